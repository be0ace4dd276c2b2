//! What a plan says of that which no log tells: settings that a replay does not take over, and transactions of which the log does
//! not say what came of them.

use super::backup::series;
use crate::{
    facts::{Untold, UntoldFact, UntoldOfWindow},
    model::{BinlogPosition, Gtid},
    store::BinlogEntry,
    tools::{told_settings, unknown_settings},
};
use serde::{Deserialize, Serialize};
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

/// What decides whether something that no log tells matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matters {
    /// SYSDATE is another time than that of the statement.
    pub times: bool,
    /// The server's own default engine has transactions.
    pub engines: bool,
    /// Who creates a routine is granted rights on it.
    pub routines: bool,
    /// The log does not say who ran a GRANT of a role. MySQL's does.
    pub roles: bool,
}

/// What a plan tells of its window: the run says what is beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What decides whether something matters.
    pub matters: Matters,
    /// Whether it says that the window holds logged statements.
    pub statements: bool,
    /// Where the transactions begin that it names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transactions: Vec<BinlogPosition>,
}

impl Told {
    /// What is told of a window.
    pub(super) fn of(untold: &UntoldOfWindow, variables: Option<&BTreeMap<String, String>>) -> Self {
        Told {
            matters: Matters::of(variables),
            statements: untold.statements_from.is_some(),
            transactions: untold.transactions.iter().map(|fact| fact.at.clone()).collect(),
        }
    }
}

impl Default for Matters {
    fn default() -> Self {
        Matters { times: true, engines: true, routines: true, roles: true }
    }
}

impl Matters {
    /// By the settings of the source, as far as they were kept.
    pub fn of(variables: Option<&BTreeMap<String, String>>) -> Self {
        let value = |name: &str| variables.and_then(|variables| variables.get(name)).map(String::as_str);
        let now = value("sysdate_is_now").is_some_and(|value| value.eq_ignore_ascii_case("on"));
        let engine = value("default_storage_engine");
        let engines = ["InnoDB", "ROCKSDB", "TokuDB"]
            .iter()
            .any(|name| engine.is_none_or(|engine| engine.eq_ignore_ascii_case(name)));
        let granted = value("automatic_sp_privileges");
        let routines = !granted.is_some_and(|value| value.eq_ignore_ascii_case("off") || value == "0");
        let roles = value("version").is_none_or(|version| version.contains("MariaDB"));
        Matters { times: !now, engines, routines, roles }
    }

    /// Whether it matters of a transaction.
    pub fn holds(&self, what: Untold) -> bool {
        match what {
            Untold::NewTimes | Untold::Times => self.times,
            Untold::WithoutTransactions => self.engines,
            Untold::RoutineGrants => self.routines,
            Untold::RoleOfInvoker => self.roles,
            _ => true,
        }
    }
}

/// Warnings about transactions of the window: the restored data may differ from the source's in what they did.
pub(super) fn of_window(
    untold: &UntoldOfWindow,
    variables: Option<&BTreeMap<String, String>>,
    skip: &[Gtid],
) -> Vec<String> {
    let matters = Matters::of(variables);
    let skipped = |fact: &&UntoldFact| skip.iter().any(|gtid| Some(gtid.to_string()) == fact.gtid);
    let mut warnings: Vec<String> = untold.statements_from.iter().map(statements).collect();
    let told = untold.transactions.iter().filter(|fact| matters.holds(fact.what) && !skipped(fact));
    warnings.extend(told.map(told_of));
    let more = untold.count.saturating_sub(untold.transactions.len() as u64);
    // On a server whose default engine has no transactions most of them are ordinary tables of that engine.
    let ordinary = !matters.engines && untold.transactions.iter().any(|fact| fact.what == Untold::WithoutTransactions);
    if more > 0 && !ordinary {
        warnings.push(format!("{more} more transactions of the window hold something that the log does not tell"));
    }
    warnings.extend(untold.unseen_from.iter().map(|from| {
        format!(
            "from {from} on not all binlogs of the window were looked through for what no log tells (statements on temporary tables of \
             before the window, functions of a session, tables of a session's own engine): the run looks at every transaction, tells \
             what it finds, and keeps it in the report"
        )
    }));
    warnings
}

/// What the report of a restore says, once all transactions were looked at: what was planned, and what was found beside it.
pub fn not_in_log(planned: &[String], found: &UntoldOfWindow) -> Vec<String> {
    let mut lines = planned.to_vec();
    // A plan may name the place of the first one by its file alone.
    let known = planned.iter().any(|line| line.contains(BY_GTID_ALONE));
    lines.extend(found.statements_from.iter().filter(|_| !known).map(statements));
    for line in found.transactions.iter().map(told_of) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// What a proof is worth for statements, in the words of reports and README.
const BY_GTID_ALONE: &str = "A statement is compared by its GTID alone";

/// Says of a window with logged statements what its proof is worth.
pub fn statements(from: &BinlogPosition) -> String {
    format!(
        "from {from} on the window holds rows that were logged as statements (binlog_format STATEMENT or MIXED). {BY_GTID_ALONE}: the proof shows that it was executed in its place, not which rows it wrote. What it takes from a stored function, \
         a trigger, a default or a generated column, or from the order in which rows lie, may have become other rows, and nothing tells"
    )
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

/// Says of a transaction what no log tells of it.
pub fn told_of(fact: &UntoldFact) -> String {
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
        Untold::RoutineGrants => {
            "it creates a routine (automatic_sp_privileges): the source granted EXECUTE and ALTER ROUTINE to the account that did so, if that \
             had not both, and no log says which it was. In the restored data an applier has granted them to the definer, if that had not \
             both, and a pipe to nobody: compare mysql.procs_priv"
        }
        Untold::RoleOfInvoker => {
            "it grants a role to CURRENT_USER, or takes it away, and the log does not say who that was: MariaDB's applier stops there (error \
             1133), as that of every replica does. Leave it out with --skip-gtid and do it by hand, or land before it"
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
        let untold = UntoldOfWindow {
            transactions: vec![fact(Untold::NewValues), fact(Untold::NewTimes)],
            count: 12,
            ..UntoldOfWindow::default()
        };
        let sysdate = |value: &str| BTreeMap::from([("sysdate_is_now".to_owned(), value.to_owned())]);
        let said = of_window(&untold, Some(&sysdate("OFF")), &[]);
        assert_eq!(said.len(), 3, "{said:?}");
        let wanted = "transaction 0-1-7 at b.000002:120 on shop.\\u{1b}t: it filled a new column by a function";
        assert!(said[0].starts_with(wanted), "{said:?}");
        assert!(said[1].contains("SYSDATE") && said[2].starts_with("10 more"), "{said:?}");
        // There SYSDATE is the time of the statement, which the log has.
        assert_eq!(of_window(&untold, Some(&sysdate("ON")), &[]).len(), 2);
        // What is left out does nothing.
        assert_eq!(of_window(&untold, None, &["0-1-7".parse().unwrap()]).len(), 1);
        assert_eq!(of_window(&UntoldOfWindow::default(), None, &[]), [""; 0]);
    }

    #[test]
    fn a_window_of_statements_is_told_once() {
        let untold = UntoldOfWindow {
            statements_from: Some("b.000002:120".parse().unwrap()),
            unseen_from: Some("b.000007".parse().unwrap()),
            ..UntoldOfWindow::default()
        };
        let said = of_window(&untold, None, &[]);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("from b.000002:120 on") && said[0].contains("by its GTID alone"), "{said:?}");
        assert!(said[1].contains("from b.000007 on not all binlogs"), "{said:?}");
        let fact =
            UntoldFact { at: "b.000008:4".parse().unwrap(), gtid: None, tables: Vec::new(), what: Untold::Values };
        let found = UntoldOfWindow { transactions: vec![fact], count: 1, ..untold };
        let reported = not_in_log(&said, &found);
        assert_eq!(reported.len(), 3, "{reported:?}");
        assert!(reported[2].contains("b.000008:4"));
        assert_eq!(not_in_log(&[], &found).len(), 2);
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
