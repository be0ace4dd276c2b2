//! Finds the version in what a program prints for `--version`, and whose program it is.
//!
//! Vendors and distributions put words of their own around the version: `from Debian`, suffixes, remarks in parentheses.
//! So a line is searched for words that are versions, and each is weighed by what stands before it.

use super::{
    names::role_of,
    tool::{Flavor, ToolRole, ToolVersion, Version, VersionError},
};

/// Reads `--version` output (standard output and standard error together), or that of `--help`.
///
/// The forms, all seen on real programs: `xtrabackup version 8.0.35-31 based on MySQL server ...` between notes,
/// `mariadb-backup based on MariaDB server 10.11.19-MariaDB ...`, `mysqld  Ver 8.0.35 for Linux on ...`,
/// `mysql  Ver 14.14 Distrib 5.7.44, for ...`, `mariadb from 11.8.3-MariaDB, client 15.2 for ...`,
/// `mariadbd  Ver 11.8.9-MariaDB-0+deb13u1 from Debian for ...`, and `mysqlbinlog Ver 3.4 for Linux at x86_64`, which does
/// not tell the vendor: its `--help` does.
///
/// # Errors
/// [`VersionError`]: no version found, or the program is another tool.
pub fn parse_version(role: ToolRole, output: &str) -> Result<ToolVersion, VersionError> {
    let lines: Vec<Line<'_>> = output.lines().filter_map(Line::of).collect();
    // Notes and warnings stand around the line that is meant: the first of the surest.
    let Some(line) = lines.iter().rev().max_by_key(|line| line.rank) else {
        let output = output.lines().take(3).collect::<Vec<_>>().join("\n");
        return Err(VersionError::NoVersion { role, output });
    };
    if let Some(found) = line.role().filter(|found| *found != role) {
        return Err(VersionError::OtherTool { expected: role, found, line: line.text.trim().to_owned() });
    }
    line.read(role, output)
}

/// Reads `@@version` and `@@version_comment` of a server.
///
/// # Errors
/// [`VersionError::NotAVersion`].
pub fn parse_server_version(version: &str, comment: &str) -> Result<(Flavor, Version), VersionError> {
    // MariaDB puts 5.5.5- before its version on the wire, and some proxies repeat it in the variable.
    let text = version.strip_prefix("5.5.5-").filter(|rest| numbers(rest).is_some()).unwrap_or(version);
    let number: Version = text.parse()?;
    Ok((maker_in(&[text, comment]).unwrap_or_else(|| maker_of_series(number)), number))
}

/// A word that is a version, in order of how surely it is the one that is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Within parentheses, where remarks stand.
    Remark,
    /// Two numbers behind `Ver` or `from`: a number of the tool's own, or a version without a patch.
    Short,
    /// At least three numbers, anywhere.
    Loose,
    /// Behind `Ver`, `version` or `from`.
    Named,
    /// Behind `Distrib`, `MariaDB server`, or `xtrabackup version`: there it is always that of the distribution.
    Sure,
}

/// A line with a version.
struct Line<'a> {
    text: &'a str,
    /// The first word, without its directories.
    program: &'a str,
    version: &'a str,
    rank: Rank,
}

impl<'a> Line<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let program = words.first()?.rsplit('/').next()?.trim_end_matches(':');
        let mut depth = 0_usize;
        let mut best: Option<(Rank, &str)> = None;
        for (at, word) in words.iter().enumerate() {
            depth += word.matches('(').count();
            if let Some((version, parts)) = version_word(word).filter(|_| at > 0)
                && let Some(rank) = rank(program, &words[..at], parts, depth > 0)
                && best.is_none_or(|(known, _)| rank > known)
            {
                best = Some((rank, version));
            }
            depth = depth.saturating_sub(word.matches(')').count());
        }
        let (rank, version) = best?;
        // A number in any sentence is no version.
        let speaks = rank >= Rank::Named || role_of(program).is_some() || maker_in(&[text]).is_some();
        speaks.then_some(Line { text, program, version, rank })
    }

    /// What the program is, by its name and by forms that only one kind of program prints.
    fn role(&self) -> Option<ToolRole> {
        let is_backup = self.program.contains("xtrabackup") || self.text.contains("based on MariaDB server");
        if is_backup { Some(ToolRole::Backup) } else { role_of(self.program) }
    }

    fn read(&self, role: ToolRole, output: &str) -> Result<ToolVersion, VersionError> {
        let number: Version = self.version.parse()?;
        let own = self.rank == Rank::Short && is_own_number(role, number);
        // The directories that the program lies in say nothing of who made it.
        let rest = self.text.trim_start().split_once(char::is_whitespace).map_or("", |(_, rest)| rest);
        let told = maker_in(&[self.program, rest]);
        let flavor = match (told, role) {
            (Some(Flavor::Mariadb), _) => Flavor::Mariadb,
            (_, ToolRole::Backup) => Flavor::Percona,
            (Some(flavor), _) => flavor,
            (None, _) if !own => maker_of_series(number),
            // A number of the tool's own. Only MariaDB ever came to 3.5 (10.x); 3.4 and less stand for both.
            (None, _) if self.version == "3.5" || output.contains("MariaDB") => Flavor::Mariadb,
            (None, _) if output.contains("Oracle") => Flavor::Mysql,
            (None, _) => return Err(VersionError::UnknownVendor { line: self.text.trim().to_owned() }),
        };
        Ok(ToolVersion {
            kind: role.kind(flavor.family()),
            flavor,
            version: (!own).then_some(number),
            full: self.version.to_owned(),
        })
    }
}

/// How surely a version is the one that is looked for; `None` where it is surely another one.
fn rank(program: &str, before: &[&str], parts: usize, in_parentheses: bool) -> Option<Rank> {
    let last = before.last()?.trim_end_matches([':', '.']).to_ascii_lowercase();
    let before_last = before.len().checked_sub(2).map_or("", |at| before[at]);
    match (last.as_str(), before_last) {
        // The line editor of a client, and the server that XtraBackup knows.
        ("using" | "client" | "wrapper" | "wsrep", _) | ("server", "MySQL") => None,
        _ if in_parentheses => (parts > 2 && before_last != "WSREP").then_some(Rank::Remark),
        ("distrib", _) | ("server", "MariaDB") => Some(Rank::Sure),
        ("version", _) if program.contains("xtrabackup") && parts > 2 => Some(Rank::Sure),
        ("ver" | "version" | "from", _) => Some(if parts > 2 { Rank::Named } else { Rank::Short }),
        _ => (parts > 2).then_some(Rank::Loose),
    }
}

/// The version that a word is, without what surrounds it, and how many numbers it begins with.
fn version_word(word: &str) -> Option<(&str, usize)> {
    let bare = word.trim_start_matches(['(', '\'', '"', 'v', 'V']).trim_end_matches([',', ';', ')', '\'', '"']);
    // The epoch of a package.
    let bare = bare.split_once(':').filter(|(epoch, _)| epoch.parse::<u8>().is_ok()).map_or(bare, |(_, rest)| rest);
    Some((bare, numbers(bare)?.1))
}

/// The first three numbers of a version, and how many there are. What is missing of three is 0.
pub(super) fn numbers(text: &str) -> Option<([u32; 3], usize)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (head, rest) = text.split_at(end);
    // `8.0.x` and `1.2.3/foo` are none.
    let ends =
        rest.is_empty() || rest.starts_with(['-', '+', '~', '_', ' ', ':']) || rest.starts_with(char::is_alphabetic);
    let mut found = [0; 3];
    let mut count = 0;
    for number in head.split('.') {
        let number = number.parse().ok()?;
        if let Some(place) = found.get_mut(count) {
            *place = number;
        }
        count += 1;
    }
    (ends && count > 1).then_some((found, count))
}

/// Whether two numbers are the tool's own and not a version: clients and dump programs of MySQL up to 5.7 and of MariaDB
/// count 10 to 16, binlog readers 3. MySQL's versions by year begin with 26.
fn is_own_number(role: ToolRole, number: Version) -> bool {
    matches!(role, ToolRole::Client | ToolRole::Dump | ToolRole::BinlogReader) && number.major < 26
}

/// Who made it, by what is printed.
fn maker_in(texts: &[&str]) -> Option<Flavor> {
    let holds = |name: &str| texts.iter().any(|text| text.to_ascii_lowercase().contains(name));
    if holds("mariadb") {
        Some(Flavor::Mariadb)
    } else if holds("percona") {
        Some(Flavor::Percona)
    } else {
        None
    }
}

/// Who made it, by the number alone: only MariaDB has 10 to 25. MySQL went from 9 to its versions by year, 26.7 and later.
fn maker_of_series(version: Version) -> Flavor {
    if (10..26).contains(&version.major) { Flavor::Mariadb } else { Flavor::Mysql }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fixture;
    use ToolRole as R;

    fn table(name: &str) -> Vec<Vec<String>> {
        let text = String::from_utf8(fixture(name)).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.split(" | ").map(|field| field.trim().replace("\\n", "\n")).collect()).collect()
    }

    #[test]
    fn reads_what_programs_print() {
        let rows = table("versions/tools.txt");
        assert!(rows.len() > 70);
        for row in rows {
            let [role, kind, maker, version, full, line] = row.as_slice() else { panic!("{row:?}") };
            let role = R::ALL.into_iter().find(|known| known.to_string() == *role).unwrap();
            let found = parse_version(role, line).unwrap_or_else(|error| panic!("{line}: {error}"));
            let number = found.version.map_or("-".to_owned(), |version| version.to_string());
            assert_eq!(
                (found.kind.to_string(), found.flavor.to_string(), number, &found.full),
                (kind.clone(), maker.clone(), version.clone(), full),
                "{line}"
            );
            assert_eq!((found.kind.role(), found.kind.family()), (role, found.flavor.family()), "{line}");
        }
    }

    #[test]
    fn reads_what_servers_answer() {
        for row in table("versions/servers.txt") {
            let [maker, version, text, rest @ ..] = row.as_slice() else { panic!("{row:?}") };
            let comment = rest.first().map_or("", |comment| comment.trim_start_matches('|'));
            let (flavor, number) = parse_server_version(text, comment).unwrap();
            assert_eq!((flavor.to_string(), number.to_string()), (maker.clone(), version.clone()), "{text}");
        }
        for text in ["", "unknown", "8", "-8.0.1", "8..1"] {
            assert!(parse_server_version(text, "MySQL").is_err(), "{text}");
        }
    }

    #[test]
    fn refuses_another_tool_and_an_unknown_vendor() {
        let line = "mysqld  Ver 8.0.35 for Linux on x86_64 (MySQL Community Server - GPL)";
        assert!(matches!(
            parse_version(R::BinlogReader, line),
            Err(VersionError::OtherTool { expected: R::BinlogReader, found: R::Server, .. })
        ));
        assert!(matches!(
            parse_version(R::BinlogReader, "mysqlbinlog Ver 3.4 for Linux at x86_64\n"),
            Err(VersionError::UnknownVendor { .. })
        ));
        assert!(matches!(
            parse_version(R::Client, "mariadb-backup based on MariaDB server 11.8.9-MariaDB debian-linux-gnu (x86_64)"),
            Err(VersionError::OtherTool { found: R::Backup, .. })
        ));
    }

    #[test]
    fn a_number_in_a_sentence_is_no_version() {
        for output in [
            "",
            "sh: xtrabackup: not found",
            "xtrabackup version",
            "/lib/libc.so.6: version `GLIBC_2.38' not found (required by /opt/mysql)",
            "error while loading shared libraries: libaio.so.1.0.1: cannot open shared object file",
            "listening on 127.0.0.1",
            "mysql version unknown",
        ] {
            assert!(parse_version(R::Backup, output).is_err(), "{output}");
            assert!(parse_version(R::Client, output).is_err(), "{output}");
        }
    }
}
