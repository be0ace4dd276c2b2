//! Reads the coordinates that a backup recorded: of its own server, of its source, of its Galera node.

use super::backup_files::{BackupFileError, MetadataFile};
use crate::model::{BinlogCoordinates, BinlogPosition, GtidSet};
use serde::{Deserialize, Serialize};

/// The content of the slave info file: where the backed-up replica stood in its sources' binlogs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlaveInfo {
    /// One entry a channel (MySQL) or connection (MariaDB).
    pub sources: Vec<SourcePosition>,
    /// What `gtid_purged` is to be set to (MySQL with GTIDs).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gtid_purged: Option<String>,
    /// What `gtid_slave_pos` is to be set to (MariaDB with GTIDs).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gtid_slave_pos: Option<String>,
}

/// Where a replica stood in the binlogs of one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePosition {
    /// The channel or connection; `None` for the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// File and position; `None` where the replica follows GTIDs alone.
    pub position: Option<BinlogPosition>,
}

/// The content of the Galera info file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GaleraInfo {
    /// The cluster's history.
    pub uuid: String,
    /// The last write set in the backup; -1 where the node knows none.
    pub seqno: i64,
}

/// Reads the binlog info file: `FILE<TAB>POSITION`, and a third field with the GTIDs where the server keeps some.
///
/// A GTID set may go on over several lines, each but the last ending in a comma, as the server prints long sets.
///
/// # Errors
/// [`BackupFileError::BadForm`], [`BackupFileError::BadValue`].
pub fn parse_binlog_info(bytes: &[u8]) -> Result<BinlogCoordinates, BackupFileError> {
    const FILE: MetadataFile = MetadataFile::BinlogInfo;
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    let form = || FILE.bad_form(text, "FILE<TAB>POSITION[<TAB>GTIDS]");
    let (file, rest) = text.split_once(char::is_whitespace).ok_or_else(form)?;
    let rest = rest.trim_start();
    let (position, gtid) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let position = position_of(position).ok_or_else(|| FILE.bad("position", position, "a number from 4 up"))?;
    // A set cannot hold white space but after a comma: a second line that continues nothing is not of this file.
    let words: Vec<&str> = gtid.split_whitespace().collect();
    if words.iter().rev().skip(1).any(|word| !word.ends_with(',')) {
        return Err(form());
    }
    let gtid = words.concat();
    let gtid = gtid.trim_end_matches(',');
    // What stands in no set's form would be taken for no GTIDs by whoever compares it.
    gtid.parse::<GtidSet>().map_err(|_| FILE.bad("GTIDs", gtid, "a set of GTIDs"))?;
    Ok(BinlogCoordinates {
        file: file.parse().map_err(|_| FILE.bad("file", file, "a binlog file's name"))?,
        position,
        gtid: (!gtid.is_empty()).then(|| gtid.to_owned()),
    })
}

/// Reads the slave info file: SQL statements, one `CHANGE MASTER TO` or `CHANGE REPLICATION SOURCE TO` a source, and one
/// that sets the GTIDs.
///
/// # Errors
/// [`BackupFileError::BadForm`], [`BackupFileError::BadValue`].
pub fn parse_slave_info(bytes: &[u8]) -> Result<SlaveInfo, BackupFileError> {
    const FILE: MetadataFile = MetadataFile::SlaveInfo;
    let text = String::from_utf8_lossy(bytes);
    let form = || FILE.bad_form(text.trim(), "SET GLOBAL and CHANGE MASTER statements");
    let mut info = SlaveInfo::default();
    let tokens = tokens_of(&text).ok_or_else(form)?;
    for statement in tokens.split(|token| *token == Token::Mark(';')).filter(|part| !part.is_empty()) {
        let has = |name: &str| statement.iter().any(|token| token.is_word(name));
        if statement[0].is_word("SET") {
            let gtids = value_of(statement, &["gtid_purged", "gtid_slave_pos"]).ok_or_else(form)?;
            let gtids = gtids.split_whitespace().collect::<String>();
            gtids.parse::<GtidSet>().map_err(|_| FILE.bad("GTIDs", &gtids, "a set of GTIDs"))?;
            if has("gtid_purged") {
                info.gtid_purged = Some(gtids);
            } else {
                info.gtid_slave_pos = Some(gtids);
            }
        } else if statement[0].is_word("CHANGE") {
            let named = |after: &str| {
                let at = statement.iter().position(|token| token.is_word(after))?;
                statement.get(at + 1)?.quoted()
            };
            // MySQL writes FOR CHANNEL 'c' at the end, MariaDB CHANGE MASTER 'c' TO at the start.
            let channel = named("CHANNEL").or_else(|| named("MASTER")).filter(|name| !name.is_empty());
            let file = value_of(statement, &["MASTER_LOG_FILE", "SOURCE_LOG_FILE"]);
            let position = value_of(statement, &["MASTER_LOG_POS", "SOURCE_LOG_POS"]);
            let position = match (file, position) {
                (Some(file), Some(position)) => Some(BinlogPosition {
                    file: file.parse().map_err(|_| FILE.bad("log file", file, "a binlog file's name"))?,
                    position: position_of(position)
                        .ok_or_else(|| FILE.bad("log position", position, "a number from 4 up"))?,
                }),
                (None, None) => None,
                _ => return Err(form()),
            };
            info.sources.push(SourcePosition { channel: channel.map(str::to_owned), position });
        } else {
            return Err(form());
        }
    }
    Ok(info)
}

/// Reads the Galera info file: `UUID:SEQNO`, from MariaDB 10.4 on with a domain id behind it.
///
/// # Errors
/// [`BackupFileError::BadForm`].
pub fn parse_galera_info(bytes: &[u8]) -> Result<GaleraInfo, BackupFileError> {
    let text = String::from_utf8_lossy(bytes);
    let first = text.split_whitespace().next().unwrap_or_default();
    first
        .rsplit_once(':')
        .and_then(|(uuid, seqno)| {
            Some(GaleraInfo { uuid: (!uuid.is_empty()).then(|| uuid.to_owned())?, seqno: seqno.parse().ok()? })
        })
        .ok_or_else(|| MetadataFile::GaleraInfo.bad_form(text.trim(), "UUID:SEQNO"))
}

/// No event begins before byte 4, behind the magic number.
fn position_of(text: &str) -> Option<u64> {
    text.parse().ok().filter(|position| *position >= 4)
}

#[derive(Debug, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    Quoted(&'a str),
    Mark(char),
}

impl<'a> Token<'a> {
    fn is_word(&self, name: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(name))
    }

    fn quoted(&self) -> Option<&'a str> {
        match self {
            Token::Quoted(text) => Some(text),
            _ => None,
        }
    }
}

/// Words, quoted texts and marks; `None` where a quotation does not end. The tools write no escapes.
fn tokens_of(text: &str) -> Option<Vec<Token<'_>>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        if first == '\'' || first == '"' {
            let end = after.find(first)?;
            tokens.push(Token::Quoted(&after[..end]));
            rest = &after[end + 1..];
        } else if first.is_ascii_alphanumeric() || first == '_' || first == '@' {
            let end = rest
                .find(|letter: char| !letter.is_ascii_alphanumeric() && !"_@.".contains(letter))
                .unwrap_or(rest.len());
            tokens.push(Token::Word(&rest[..end]));
            rest = &rest[end..];
        } else {
            tokens.push(Token::Mark(first));
            rest = after;
        }
        rest = rest.trim_start();
    }
    Some(tokens)
}

/// The value behind `name =`, quoted or not.
fn value_of<'a>(statement: &[Token<'a>], names: &[&str]) -> Option<&'a str> {
    statement.windows(3).find_map(|window| match window {
        [name, Token::Mark('='), Token::Word(value) | Token::Quoted(value)]
            if names.iter().any(|known| name.is_word(known)) =>
        {
            Some(*value)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn reads_binlog_info_of_every_form() {
        let read = |bytes: &[u8]| parse_binlog_info(bytes).map(|at| (at.place().to_string(), at.gtid));
        let real = fixture("mariadb-backup-10.11.19/full/xtrabackup_binlog_info");
        assert_eq!(read(&real), Ok(("mariadb-bin.000002:13762".into(), Some("0-1011-256".into()))));
        let newer = fixture("mariadb-backup-11.8.9/full/mariadb_backup_binlog_info");
        assert_eq!(read(&newer), Ok(("my.000001:809".into(), Some("0-11-3".into()))));
        assert_eq!(read(b"mysql-bin.000003\t57\n"), Ok(("mysql-bin.000003:57".into(), None)));
        assert_eq!(read(b"mysql-bin.000003\t57\t\n"), Ok(("mysql-bin.000003:57".into(), None)));
        let spilled = fixture("xtrabackup-2.4/full/xtrabackup_binlog_info");
        let (place, gtid) = read(&spilled).unwrap();
        assert_eq!(place, "mysql-bin.000024:194");
        assert_eq!(
            gtid.as_deref(),
            Some("411148c1-26bf-11ea-a420-000c298780da:1-32,cca7bb3f-687e-11ea-b0d9-0800273e0795:1-19:21-30")
        );
    }

    #[test]
    fn refuses_binlog_info_that_is_cut_or_mixed() {
        for broken in [
            "",
            "mysql-bin.000003",
            "mysql-bin\t57",
            "mysql-bin.000003\t",
            "mysql-bin.000003\t-57",
            "mysql-bin.000003\t0",
            "mysql-bin.000003\t57\tu:1\nmysql-bin.000004\t4",
            "mysql-bin.000003\t57\t0-1",
            "mysql-bin.000003\t57\t411148c1-26bf-11ea-a420-000c298780da:1-",
        ] {
            assert!(parse_binlog_info(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn reads_slave_info_of_every_dialect() {
        let real = parse_slave_info(&fixture("mariadb-backup-10.11.19/replica/xtrabackup_slave_info")).unwrap();
        assert_eq!(real.gtid_slave_pos.as_deref(), Some("0-1-5"));
        assert_eq!(real.sources.len(), 2);
        assert_eq!(real.sources[0].channel, None);
        assert_eq!(real.sources[0].position.as_ref().map(ToString::to_string), Some("src-bin.000007:4711".into()));
        assert_eq!((real.sources[1].channel.as_deref(), &real.sources[1].position), (Some("c2"), &None));

        let mysql = "SET GLOBAL gtid_purged='3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5,\n3e11fa47-71ca-11e1-9e33-c80aa9429563:1';\n\
             CHANGE MASTER TO MASTER_AUTO_POSITION=1 FOR CHANNEL 'c';\n";
        let mysql = parse_slave_info(mysql.as_bytes()).unwrap();
        assert_eq!(
            mysql.gtid_purged.as_deref(),
            Some("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5,3e11fa47-71ca-11e1-9e33-c80aa9429563:1")
        );
        assert!(parse_slave_info(b"SET GLOBAL gtid_slave_pos='0-1';\n").is_err());
        assert_eq!(mysql.sources[0].channel.as_deref(), Some("c"));

        let newer = "CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE='binlog.000002', SOURCE_LOG_POS=1197;\n";
        let newer = parse_slave_info(newer.as_bytes()).unwrap();
        assert_eq!(newer.sources[0].position.as_ref().map(ToString::to_string), Some("binlog.000002:1197".into()));
    }

    #[test]
    fn takes_an_empty_slave_info_and_refuses_a_cut_one() {
        // The tool leaves an empty file on a server that replicates from nowhere.
        assert_eq!(parse_slave_info(b"\n"), Ok(SlaveInfo::default()));
        for broken in [
            "CHANGE MASTER TO MASTER_LOG_FILE='src-bin.000007",
            "CHANGE MASTER TO MASTER_LOG_FILE='src-bin.000007';",
            "src-bin.000007 4711",
        ] {
            assert!(parse_slave_info(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn reads_galera_info() {
        let info = parse_galera_info(b"d3a124bc-e605-11e4-aa66-ad53cbd1b0c0:26 0\n").unwrap();
        assert_eq!((info.uuid.as_str(), info.seqno), ("d3a124bc-e605-11e4-aa66-ad53cbd1b0c0", 26));
        assert!(parse_galera_info(b"26\n").is_err());
    }
}
