//! Replaces what differs from run to run in a command's output: the one place where snapshots are redacted.

use std::{collections::BTreeMap, path::Path};

/// What is replaced, as a pattern of `9` (a digit), `h` (a lower-case hexadecimal digit) and characters that stand for
/// themselves. Longer ones first: a pattern is looked for only where no earlier one fits.
const PATTERNS: &[(&str, &str)] = &[
    ("hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh", "UUID"),
    ("9999-99-99T99-99-99Z", "STAMP"),
    ("9999-99-99T99-99Z", "STAMP"),
    ("9999-99-99T99:99:99.999999999Z", "TIME"),
    ("9999-99-99T99:99:99.999999Z", "TIME"),
    ("9999-99-99T99:99:99Z", "TIME"),
    ("9999-99-99 99:99:99.999999", "TIME"),
    ("9999-99-99 99:99:99", "TIME"),
];

/// Replaces the root of a test's directory by `/T`, moments of the present by `TIME`, stamps of the present by `STAMP1`,
/// `STAMP2` and so on in the order in which they appear, and identifiers by `UUID`. What lies before 2026 is a
/// fixture's, and stays.
#[derive(Debug)]
pub struct Redactor {
    root: String,
}

/// The first year that no fixture lies in; the shims' own messages are of that year.
const PRESENT: &str = "2026";

impl Redactor {
    /// A redactor for a test that works below this directory.
    pub fn new(root: &Path) -> Self {
        Redactor { root: root.display().to_string() }
    }

    /// The text without what differs from run to run.
    pub fn redact(&self, text: &str) -> String {
        let text = text.replace(&self.root, "/T");
        let mut stamps: BTreeMap<String, usize> = BTreeMap::new();
        let mut redacted = String::with_capacity(text.len());
        let mut rest = text.as_str();
        'text: while let Some(next) = rest.chars().next() {
            for (pattern, name) in PATTERNS {
                let Some(found) = fitting(rest, pattern).filter(|found| is_present(name, found)) else { continue };
                redacted.push_str(name);
                if *name == "STAMP" {
                    let number = stamps.len() + 1;
                    let number = *stamps.entry(found.to_owned()).or_insert(number);
                    redacted.push_str(&number.to_string());
                }
                rest = &rest[found.len()..];
                // A restore's directory ends in the first digits of its id.
                if *name == "STAMP" && fitting(rest, "-hhhhhhhh").is_some() {
                    redacted.push_str("-ID");
                    rest = &rest["-hhhhhhhh".len()..];
                }
                continue 'text;
            }
            redacted.push(next);
            rest = &rest[next.len_utf8()..];
        }
        redacted.lines().map(quiet_numbers).map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }
}

/// What a run said on a standard error that is no terminal, without the time that stands before each line.
pub fn without_times(text: &str) -> String {
    let bare = |line: &str| match fitting(line, "9999-99-99T99:99:99Z ") {
        Some(time) => line[time.len()..].to_owned(),
        None => line.to_owned(),
    };
    text.split('\n').map(bare).collect::<Vec<_>>().join("\n")
}

fn is_present(name: &str, found: &str) -> bool {
    name == "UUID" || &found[..PRESENT.len()] >= PRESENT
}

/// Numbers that differ from run to run without a form of their own: process ids, seconds, free bytes.
fn quiet_numbers(line: &str) -> String {
    let mut line = line.to_owned();
    for (before, after) in [("process ", " "), ("process ", ","), ("\"seconds\": ", ""), ("has ", " bytes free")] {
        line = quiet_number(&line, before, after);
    }
    const FULL: &str = "no space was left on the file system at ";
    if let Some((head, tail)) = line.split_once(FULL) {
        let rest = tail.split_once(';').map_or(String::new(), |(_, rest)| format!(";{rest}"));
        line = format!("{head}{FULL}M: N of N are free now{rest}");
    }
    if let Some((head, tail)) = line.split_once(" free in ")
        && let Some(start) = head.rfind("space: ")
    {
        line = format!("{}space: N free in {tail}", &head[..start]);
    }
    line
}

fn quiet_number(line: &str, before: &str, after: &str) -> String {
    let Some((head, tail)) = line.split_once(before) else { return line.to_owned() };
    let number: String = tail.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    match tail[number.len()..].starts_with(after) && !number.is_empty() {
        true => format!("{head}{before}N{}", &tail[number.len()..]),
        false => line.to_owned(),
    }
}

fn fitting<'a>(text: &'a str, pattern: &str) -> Option<&'a str> {
    let found = text.get(..pattern.len())?;
    let fits = found.chars().zip(pattern.chars()).all(|(c, wanted)| match wanted {
        '9' => c.is_ascii_digit(),
        'h' => c.is_ascii_digit() || ('a'..='f').contains(&c),
        other => c == other,
    });
    fits.then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_the_present_and_keeps_the_past() {
        let redactor = Redactor::new(Path::new("/tmp/xyz"));
        let now = "2026-11-21T03-04Z";
        let text = format!("/tmp/xyz/a full_{now} full_2025-10-02T02-00Z {now} process 123 on x");
        assert_eq!(redactor.redact(&text), "/T/a full_STAMP1 full_2025-10-02T02-00Z STAMP1 process N on x");
        assert_eq!(redactor.redact("2026-11-21 03:04:05 UTC"), "TIME UTC");
        assert_eq!(redactor.redact("5548e6f5-e54c-11f1-bda1-02fc00000001."), "UUID.");
    }
}
