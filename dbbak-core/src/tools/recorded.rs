//! Reads a recorded command line of a backup tool, to find which backup an incremental was taken on.

use crate::model::Lsn;
use std::path::PathBuf;

/// A command line as `meta.json` or the info file keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCommand {
    words: Vec<String>,
}

impl RecordedCommand {
    /// Splits a line as a POSIX shell would: quotes and backslashes are honoured, nothing is expanded.
    ///
    /// The info file joins its arguments with bare spaces; a path with spaces cannot be told apart there.
    pub fn parse(line: &str) -> Self {
        let mut words = Vec::new();
        let mut word: Option<String> = None;
        let mut letters = line.chars();
        let mut quote: Option<char> = None;
        while let Some(letter) = letters.next() {
            match (quote, letter) {
                (Some(open), _) if letter == open => quote = None,
                (None, '\'' | '"') => {
                    quote = Some(letter);
                    word.get_or_insert_default();
                }
                (None | Some('"'), '\\') => word.get_or_insert_default().extend(letters.next()),
                (None, _) if letter.is_whitespace() => words.extend(word.take()),
                (_, _) => word.get_or_insert_default().push(letter),
            }
        }
        words.extend(word);
        RecordedCommand { words }
    }

    /// The value of the last occurrence of an option, as the tools take it: `--name=value` or `--name value`, with
    /// dashes or underscores. `name` is without leading dashes.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.words.iter().enumerate().rev().find_map(|(at, word)| match value_in(word, name)? {
            Some(value) => Some(value),
            None => self.words.get(at + 1).map(String::as_str).filter(|next| !next.starts_with("--")),
        })
    }

    /// The directory of the parent of an incremental.
    pub fn incremental_basedir(&self) -> Option<PathBuf> {
        self.option("incremental-basedir").map(PathBuf::from)
    }

    /// The LSN that an incremental was told to begin at.
    pub fn incremental_lsn(&self) -> Option<Lsn> {
        self.option("incremental-lsn")?.parse().ok()
    }

    /// The directory that the backup was written to.
    pub fn target_dir(&self) -> Option<PathBuf> {
        self.option("target-dir").map(PathBuf::from)
    }
}

/// The value that a word gives to an option: `None` where it is another word, `Some(None)` where the next word is it.
fn value_in<'a>(word: &'a str, name: &str) -> Option<Option<&'a str>> {
    let text = word.strip_prefix("--")?;
    let (found, value) = text.split_once('=').map_or((text, None), |(key, value)| (key, Some(value)));
    (found.replace('_', "-") == name).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_parent_in_every_spelling() {
        for line in [
            "xtrabackup --backup --target-dir=/s/incr --incremental-basedir=/s/full_2025-10-02T02-00Z/raw",
            "--backup --target-dir /s/incr --incremental-basedir /s/full_2025-10-02T02-00Z/raw",
            "xtrabackup '--target_dir=/s/incr' \"--incremental_basedir=/s/full_2025-10-02T02-00Z/raw\" --parallel=4",
            "x --incremental-basedir=/old --target-dir=/s/incr --incremental-basedir=/s/full_2025-10-02T02-00Z/raw",
        ] {
            let command = RecordedCommand::parse(line);
            assert_eq!(command.incremental_basedir(), Some(PathBuf::from("/s/full_2025-10-02T02-00Z/raw")), "{line}");
            assert_eq!(command.target_dir(), Some(PathBuf::from("/s/incr")), "{line}");
        }
        let full = RecordedCommand::parse("xtrabackup --backup --incremental-basedir --target-dir=/s");
        assert_eq!((full.incremental_basedir(), full.incremental_lsn()), (None, None));
        assert_eq!(RecordedCommand::parse("x --incremental-lsn=42").incremental_lsn(), Some(Lsn(42)));
    }

    #[test]
    fn splits_words_as_a_shell_does() {
        let words = RecordedCommand::parse(r#"a 'b c'\''d' "e \" f" '' g\ h"#).words;
        assert_eq!(words, ["a", "b c'd", "e \" f", "", "g h"]);
    }

    #[test]
    fn reads_back_what_a_command_prints() {
        let spec = crate::tools::CommandSpec::new("/opt/x y/xtrabackup").option("--target-dir", "/it's/a dir");
        let command = RecordedCommand::parse(&spec.to_string());
        assert_eq!(command.target_dir(), Some(PathBuf::from("/it's/a dir")));
    }
}
