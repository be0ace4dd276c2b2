//! What a plan says of that which no log tells: settings that a replay does not take over, and transactions of which the log does
//! not say what came of them.

use super::backup::series;
use crate::{
    facts::{EdgeFact, Untold, UntoldFact},
    store::BinlogEntry,
    tools::{told_settings, unknown_settings},
};
use std::collections::BTreeMap;

/// How many names of unknown settings are told.
const NAMED: usize = 20;

/// Warnings about the settings of the source, as they were at the backup.
pub(super) fn of_settings(variables: &BTreeMap<String, String>) -> Vec<String> {
    let told = told_settings(variables);
    let mut warnings: Vec<String> = told
        .into_iter()
        .map(|setting| format!("the server ran with {} = {}: {}", setting.name, setting.value, setting.what))
        .collect();
    let unknown = unknown_settings(variables);
    if !unknown.is_empty() {
        let more = if unknown.len() > NAMED { ", ..." } else { "" };
        let names: Vec<String> =
            unknown.into_iter().take(NAMED).map(|name| name.escape_default().to_string()).collect();
        warnings.push(format!(
            "the server had settings that this dbbak does not know, and does not take over: {}{more}",
            names.join(", ")
        ));
    }
    warnings
}

/// Warnings about transactions of the window: the restored data may differ from the source's in what they did.
pub(super) fn of_window(edges: &EdgeFact, variables: Option<&BTreeMap<String, String>>) -> Vec<String> {
    let sysdate_is_now = variables
        .and_then(|variables| variables.get("sysdate_is_now"))
        .is_some_and(|value| value.eq_ignore_ascii_case("on"));
    let engine = variables.and_then(|variables| variables.get("default_storage_engine")).map(String::as_str);
    let transactions = ["InnoDB", "ROCKSDB", "TokuDB"]
        .iter()
        .any(|name| engine.is_none_or(|engine| engine.eq_ignore_ascii_case(name)));
    let matters = |fact: &&UntoldFact| match fact.what {
        Untold::NewTimes | Untold::Times => !sysdate_is_now,
        Untold::WithoutTransactions => transactions,
        _ => true,
    };
    let mut warnings: Vec<String> = edges.untold.iter().filter(matters).map(line).collect();
    let more = edges.untold_count.saturating_sub(edges.untold.len() as u64);
    // On a server whose default engine has no transactions most of them are ordinary tables of that engine.
    let ordinary = !transactions && edges.untold.iter().any(|fact| fact.what == Untold::WithoutTransactions);
    if more > 0 && !ordinary {
        warnings.push(format!("{more} more transactions of the window hold something that the log does not tell"));
    }
    warnings
}

/// Warns where another series of the server wrote a part of the window than the one that the backup is of: an upgrade lies between. The
/// private server must be of the backup's series, and what it applies was written for the other one.
pub(super) fn of_upgrade(files: &[&BinlogEntry], backup: &str) -> Option<String> {
    let made = series(backup)?;
    let written = |file: &BinlogEntry| {
        let version = file.source.as_ref()?.version.clone()?;
        series(&version).filter(|found| *found != made).map(|_| version)
    };
    let (file, version) = files.iter().find_map(|file| Some((&file.name, written(file)?)))?;
    Some(format!(
        "the server was upgraded within the window: from {file} on its log was written by {}, and the backup is of {}. The private \
         server is of the backup's series. It may fail at statements, types and collations that it does not know, and there is no way \
         across: land before {file}, or restore a full that was taken behind the upgrade",
        version.escape_default(),
        backup.escape_default()
    ))
}

fn line(fact: &UntoldFact) -> String {
    let gtid = fact.gtid.as_deref().map(|gtid| format!(" {gtid}")).unwrap_or_default();
    let tables = match fact.tables.len() {
        0 => String::new(),
        _ => format!(" on {}", fact.tables.join(", ").escape_debug()),
    };
    format!("transaction{gtid} at {}{tables}: {}", fact.at, words(fact.what))
}

fn words(what: Untold) -> &'static str {
    match what {
        Untold::NewValues => {
            "it filled a new column by a function that gives another value each time or in each session, and the log does not hold the values: \
             the restored ones are others"
        }
        Untold::NewTimes => {
            "it filled a new column by SYSDATE, and the log does not hold the values: the restored ones are the times of the replay"
        }
        Untold::NewNumbers => {
            "it numbered the rows of a table by a new AUTO_INCREMENT column: if the table had no primary key, the numbers went \
             by the order in which the rows lay there, and the restored ones may be others"
        }
        Untold::Values => {
            "it was logged as a statement that asks for what no log holds (a function that gives another value each time, the session, the \
             server's settings): the restored rows may hold others"
        }
        Untold::EarlierTemporary => {
            "it depends on a temporary table that its session had before the window begins, which no backup holds: the replay takes the \
             permanent table of that name, where there is one. Restore from an older backup, or land before it"
        }
        Untold::Times => {
            "it was logged as a statement that calls SYSDATE: the restored rows hold the time of the replay"
        }
        Untold::WithoutTransactions => {
            "its table was made without naming an engine, and has no transactions: the session had set default_storage_engine, which is \
             in no log; in the restored data the table is of the server's default engine"
        }
        Untold::Tablespace => {
            "it discards or imports a tablespace, whose file is in no log: a replay cannot do that, and what follows on the table \
             depends on it. Take a backup behind it, land before it, or leave it out with --skip-gtid"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::LogTime, store::BinlogSource};

    #[test]
    fn transactions_of_which_the_log_does_not_tell_all_are_named() {
        let fact = |what| UntoldFact {
            at: "b.000002:120".parse().unwrap(),
            gtid: Some("0-1-7".into()),
            tables: vec!["shop.\u{1b}t".into()],
            what,
        };
        let at = "b.000003:4".parse().unwrap();
        let edges = EdgeFact {
            timeline: "t1".into(),
            at,
            last_included: None,
            first_excluded: None,
            unknown_after: None,
            earlier: Vec::new(),
            earlier_count: 0,
            earlier_up_to: None,
            jumps: Vec::new(),
            jump_count: 0,
            jumps_from: None,
            untold: vec![fact(Untold::NewValues), fact(Untold::NewTimes)],
            untold_count: 12,
        };
        let sysdate = |value: &str| BTreeMap::from([("sysdate_is_now".to_owned(), value.to_owned())]);
        let said = of_window(&edges, Some(&sysdate("OFF")));
        assert_eq!(said.len(), 3, "{said:?}");
        let wanted = "transaction 0-1-7 at b.000002:120 on shop.\\u{1b}t: it filled a new column by a function";
        assert!(said[0].starts_with(wanted), "{said:?}");
        assert!(said[1].contains("SYSDATE") && said[2].starts_with("10 more"), "{said:?}");
        // There SYSDATE is the time of the statement, which the log has.
        assert_eq!(of_window(&edges, Some(&sysdate("ON"))).len(), 2);
        assert_eq!(of_window(&EdgeFact { untold: Vec::new(), untold_count: 0, ..edges }, None), [""; 0]);
    }

    #[test]
    fn an_upgrade_within_the_window_is_told() {
        let file = |name: &str, version: Option<&str>| {
            let at = LogTime::from_seconds(1);
            let source =
                version.map(|version| BinlogSource { version: Some(version.into()), ..BinlogSource::default() });
            BinlogEntry { source, ..BinlogEntry::basic(name.parse().unwrap(), name.parse().unwrap(), 1, at, at) }
        };
        let old = [file("b.000001", Some("10.11.19-MariaDB-log")), file("b.000002", None)];
        let new = file("b.000003", Some("11.8.9-MariaDB-log"));
        let of = |files: &[&BinlogEntry]| of_upgrade(files, "10.11.17-MariaDB");
        assert_eq!(of(&[&old[0], &old[1]]), None);
        let said = of(&[&old[0], &old[1], &new]).unwrap();
        assert!(said.contains("from b.000003 on") && said.contains("11.8.9"), "{said}");
        assert_eq!(of_upgrade(&[&new], "11.8.6-MariaDB"), None);
    }
}
