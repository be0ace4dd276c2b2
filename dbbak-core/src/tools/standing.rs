//! What stands on a server when it is backed up and is in none of the files that a backup holds, or not to be relied on there.

use super::{
    answers::{AnswerError, parse_table},
    applier::quoted,
    channels::HeldChannel,
    event_owner::{OwnedEvent, parse_owned_events},
    tool::Family,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What stood on a server right before a backup of it was taken. What the account may not ask is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// XA transactions that were prepared and not ended, as `XA COMMIT` takes them. `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared: Option<Vec<String>>,
    /// The channels that it replicated on. MariaDB has them in files that no backup holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<HeldChannel>,
    /// Events of the event scheduler that other servers made. A dump does not say so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<ForeignEvent>,
    /// Tables of the engine MEMORY, as `database.table`: no backup holds their rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub memory: Vec<String>,
    /// MariaDB: tables whose history goes by transaction ids, as `database.table`: a replay gives other ids, and times to the second.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_transaction: Vec<String>,
}

impl Standing {
    /// Whether nothing is known that is worth keeping.
    pub fn is_empty(&self) -> bool {
        *self == Standing::default()
    }
}

/// Asks for the tables of the engine MEMORY: [`parse_tables`](super::parse_tables). Shows what the account may see.
pub(super) const MEMORY_TABLES: &str = "SELECT TABLE_SCHEMA AS db, TABLE_NAME AS name FROM information_schema.TABLES WHERE ENGINE = 'MEMORY' AND \
                                        TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema') ORDER BY TABLE_SCHEMA, TABLE_NAME";

/// Asks MariaDB for tables whose history goes by transaction ids: [`parse_tables`](super::parse_tables). There are none where no transaction was registered,
/// which is known without a look at all tables.
pub const BY_TRANSACTION: &str = "SELECT TABLE_SCHEMA AS db, TABLE_NAME AS name FROM information_schema.COLUMNS WHERE (SELECT COUNT(*) FROM \
                                  mysql.transaction_registry) > 0 AND GENERATION_EXPRESSION = 'ROW START' AND DATA_TYPE = 'bigint' ORDER BY \
                                  TABLE_SCHEMA, TABLE_NAME";

/// An event that another server made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignEvent {
    /// The event.
    pub event: OwnedEvent,
    /// Whose it is, as `user@host`.
    pub definer: String,
    /// The id of the server that made it.
    pub originator: u32,
}

/// Asks for the events that other servers made: [`parse_foreign_events`]. Shows those of databases in which the account has EVENT.
pub(super) const FOREIGN_EVENTS: &str = "SELECT EVENT_SCHEMA AS db, EVENT_NAME AS name, STATUS AS status, SQL_MODE AS mode, TIME_ZONE AS zone, \
                                  UNIX_TIMESTAMP(LAST_ALTERED) AS altered, DEFINER AS definer, ORIGINATOR AS originator FROM \
                                  information_schema.EVENTS WHERE ORIGINATOR <> @@GLOBAL.server_id ORDER BY EVENT_SCHEMA, EVENT_NAME";

/// Reads what [`FOREIGN_EVENTS`] asks for.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_foreign_events(stdout: &str) -> Result<Vec<ForeignEvent>, AnswerError> {
    let (table, events) = (parse_table(stdout)?, parse_owned_events(stdout)?);
    let found = table.rows().zip(events).filter_map(|(row, event)| {
        let originator = row.get("originator")?.parse().ok()?;
        Some(ForeignEvent { event, definer: row.get("definer")?.to_owned(), originator })
    });
    Ok(found.collect())
}

/// Statements that give events back to the servers that had made them. The server's own id is this one then.
pub fn give_back_events(family: Family, events: &[ForeignEvent], own_id: u32) -> String {
    let mut sql = String::new();
    for ForeignEvent { event, definer, originator } in events {
        let statement = match family {
            Family::Mariadb => {
                let [db, name] = [&event.db, &event.name].map(|text| quoted(text));
                format!(
                    "UPDATE mysql.event SET originator={originator}, modified=modified, created=created WHERE db={db} AND \
                     name={name};"
                )
            }
            Family::Mysql => {
                let (user, host) = definer.rsplit_once('@').unwrap_or((definer, "%"));
                format!("SET GLOBAL server_id={originator}; {}", event.give_to((user, host)))
            }
        };
        sql += &statement;
        sql.push(' ');
    }
    if !events.is_empty() && family == Family::Mysql {
        sql += &format!("SET GLOBAL server_id={own_id}; ");
    }
    sql
}

/// The name of an XA transaction as both vendors log it, `X'61',X'62',1`, from any form in which they print it.
pub fn xa_name(text: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let hex = rest.strip_prefix(['X', 'x']).and_then(|rest| rest.strip_prefix('\''));
        let plain = rest.strip_prefix('\'');
        let (part, behind) = match (hex, plain) {
            (Some(inner), _) => {
                let (digits, behind) = inner.split_once('\'').unwrap_or((inner, ""));
                (format!("X'{}'", digits.to_ascii_lowercase()), behind)
            }
            // MariaDB prints so what has neither quotes nor backslashes in it.
            (None, Some(inner)) => {
                let (text, behind) = inner.split_once('\'').unwrap_or((inner, ""));
                (format!("X'{}'", text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>()), behind)
            }
            (None, None) => {
                let (number, behind) = rest.split_once(',').unwrap_or((rest, ""));
                (number.trim().to_owned(), behind)
            }
        };
        parts.push(part);
        rest = behind.trim_start().trim_start_matches(',').trim_start();
    }
    if parts.len() == 1 {
        parts.push("X''".into());
    }
    if parts.len() == 2 {
        parts.push("1".into());
    }
    parts.join(",")
}

/// The prepared transactions that a server does not have and must: those that stood prepared at the backup and were not ended in the
/// window, and those that the window leaves prepared.
pub fn lost_prepared(
    recorded: &[String],
    (left, ended): (&BTreeSet<String>, &BTreeSet<String>),
    found: &[String],
) -> Vec<String> {
    let found: BTreeSet<String> = found.iter().map(|name| xa_name(name)).collect();
    let recorded = recorded.iter().map(|name| xa_name(name)).filter(|name| !ended.contains(name));
    let wanted: BTreeSet<String> = recorded.chain(left.iter().cloned()).collect();
    wanted.difference(&found).cloned().collect()
}

/// Those that MySQL may roll back when it is started again, though it had prepared them (seen on 9.7.4): of another format than 1.
pub fn may_be_lost(family: Family, prepared: &[String]) -> Vec<String> {
    let of_another_format = |name: &&String| family == Family::Mysql && !xa_name(name).ends_with(",1");
    prepared.iter().filter(of_another_format).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As MySQL 9.7.4 and MariaDB 10.11.19 print them, and log them.
    #[test]
    fn names_of_xa_transactions_are_of_one_form() {
        for (text, name) in [
            ("'c'", "X'63',X'',1"),
            ("'g','',7", "X'67',X'',7"),
            ("'a,b','c',9", "X'612c62',X'63',9"),
            ("X'00FF'", "X'00ff',X'',1"),
            ("X'712778',X'665c79'", "X'712778',X'665c79',1"),
            ("X'61',X'62',9", "X'61',X'62',9"),
            ("X'61', X'', 1", "X'61',X'',1"),
        ] {
            assert_eq!(xa_name(text), name, "{text}");
        }
    }

    #[test]
    fn what_is_prepared_no_more_is_known_by_name() {
        let set = |names: &[&str]| names.iter().map(|name| xa_name(name)).collect::<BTreeSet<_>>();
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let recorded = names(&["'a'", "'b','',7", "'c'"]);
        let lost = lost_prepared(&recorded, (&set(&["'d'", "'e'"]), &set(&["'a'"])), &names(&["'c'", "X'64'"]));
        assert_eq!(lost, ["X'62',X'',7", "X'65',X'',1"]);
        assert_eq!(may_be_lost(Family::Mysql, &recorded), ["'b','',7"]);
        assert_eq!(may_be_lost(Family::Mariadb, &recorded), Vec::<String>::new());
    }

    #[test]
    fn events_go_back_to_their_servers() {
        let answer = "db\tname\tstatus\tmode\tzone\taltered\tdefiner\toriginator\n\
                      d\ta'b\tREPLICA_SIDE_DISABLED\tANSI_QUOTES\tSYSTEM\t1790000000\tapp@%\t11\n";
        let events = parse_foreign_events(answer).unwrap();
        assert_eq!(
            give_back_events(Family::Mariadb, &events, 1),
            "UPDATE mysql.event SET originator=11, modified=modified, created=created WHERE db='d' AND name='a''b'; "
        );
        assert_eq!(
            give_back_events(Family::Mysql, &events, 1),
            "SET GLOBAL server_id=11; SET sql_log_bin=0; SET SESSION timestamp=1790000000, time_zone='SYSTEM', \
             sql_mode='ANSI_QUOTES'; ALTER DEFINER=`app`@`%` EVENT `d`.`a'b` DISABLE ON SLAVE; SET GLOBAL server_id=1; "
        );
        assert_eq!(parse_foreign_events("").unwrap(), []);
        assert_eq!(give_back_events(Family::Mysql, &[], 1), "");
    }
}
