//! Statements that give an event of the event scheduler, or a grant, to the account that made or changed it at the source.

use super::{
    answers::{AnswerError, parse_table},
    applier::quoted,
};
use serde::{Deserialize, Serialize};

/// Asks MySQL for the events that an account owns: [`parse_owned_events`].
pub fn ask_owned_events(account: &str) -> String {
    let definer = quoted(&format!("{account}@localhost"));
    format!(
        "SELECT EVENT_SCHEMA AS db, EVENT_NAME AS name, STATUS AS status, SQL_MODE AS mode, TIME_ZONE AS zone, \
         UNIX_TIMESTAMP(LAST_ALTERED) AS altered FROM information_schema.EVENTS WHERE DEFINER={definer};"
    )
}

/// An event as MySQL has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedEvent {
    pub(super) db: String,
    pub(super) name: String,
    status: String,
    mode: String,
    zone: String,
    altered: String,
}

/// Reads what [`ask_owned_events`] asks for.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_owned_events(stdout: &str) -> Result<Vec<OwnedEvent>, AnswerError> {
    let table = parse_table(stdout)?;
    let event = |row: &super::Row<'_>| {
        let text = |name: &str| row.get(name).map(str::to_owned);
        Some(OwnedEvent {
            db: text("db")?,
            name: text("name")?,
            status: text("status")?,
            mode: text("mode")?,
            zone: text("zone")?,
            altered: text("altered").filter(|altered| altered.bytes().all(|digit| digit.is_ascii_digit()))?,
        })
    };
    Ok(table.rows().filter_map(|row| event(&row)).collect())
}

impl OwnedEvent {
    /// Gives it to another account in MySQL, with nothing else of it changed, and logs nothing.
    pub fn give_to(&self, (user, host): (&str, &str)) -> String {
        let OwnedEvent { db, name, status, mode, zone, altered } = self;
        let status = match status.as_str() {
            "DISABLED" => "DISABLE",
            "ENABLED" => "ENABLE",
            _ => "DISABLE ON SLAVE",
        };
        let (mode, zone) = (quoted(mode), quoted(zone));
        let [db, name, user, host] = [db, name, user, host].map(|name| format!("`{}`", name.replace('`', "``")));
        format!(
            "SET sql_log_bin=0; SET SESSION timestamp={altered}, time_zone={zone}, sql_mode={mode}; \
             ALTER DEFINER={user}@{host} EVENT {db}.{name} {status};"
        )
    }
}

/// Has MySQL take another server's id, which events keep as that of the server that made them.
pub fn take_server_id(id: u32) -> String {
    format!("SET GLOBAL server_id={id};")
}

/// Gives MariaDB's events of an account to the one that made or changed them on a server with this id, and logs nothing.
pub fn give_events(account: &str, own_id: u32, (invoker, server_id): (Option<(&str, &str)>, u32)) -> String {
    let mut sql = format!(
        "SET sql_log_bin=0; UPDATE mysql.event SET originator={server_id}, modified=modified, created=created WHERE \
         originator={own_id};"
    );
    if let Some((user, host)) = invoker {
        let (old, new) = (quoted(&format!("{account}@localhost")), quoted(&format!("{user}@{host}")));
        sql +=
            &format!(" UPDATE mysql.event SET definer={new}, modified=modified, created=created WHERE definer={old};");
    }
    sql
}

/// Has MySQL take another account for the one that made grants, and logs nothing.
pub fn give_grants(account: &str, (user, host): (&str, &str)) -> String {
    let (old, new) = (quoted(&format!("{account}@localhost")), quoted(&format!("{user}@{host}")));
    let give = |table: &str| {
        // The stamp of the grant stays as it is.
        format!(" UPDATE mysql.{table} SET Grantor={new}, Timestamp=Timestamp WHERE Grantor={old};")
    };
    format!("SET sql_log_bin=0;{}{}{}", give("tables_priv"), give("procs_priv"), give("proxies_priv"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_events_as_they_are() {
        let answer = "db\tname\tstatus\tmode\tzone\taltered\n\
                      d\\nb\ta`b\tDISABLED\tANSI_QUOTES\t+02:00\t1790000000\n";
        let events = parse_owned_events(answer).unwrap();
        assert_eq!(
            events[0].give_to(("a'b", "%")),
            "SET sql_log_bin=0; SET SESSION timestamp=1790000000, time_zone='+02:00', sql_mode='ANSI_QUOTES'; ALTER \
             DEFINER=`a'b`@`%` EVENT `d\nb`.`a``b` DISABLE;"
        );
        assert_eq!(
            give_events("dbbak_1", 42, (Some(("it's", "%")), 11)),
            "SET sql_log_bin=0; UPDATE mysql.event SET originator=11, modified=modified, created=created WHERE \
             originator=42; UPDATE mysql.event SET definer='it''s@%', modified=modified, created=created WHERE \
             definer='dbbak_1@localhost';"
        );
        assert!(!give_events("dbbak_1", 42, (None, 11)).contains("definer"));
        let grants = give_grants("dbbak_1", ("it's", "%"));
        assert_eq!(
            grants.matches("SET Grantor='it''s@%', Timestamp=Timestamp WHERE Grantor='dbbak_1@localhost';").count(),
            3
        );
        assert!(grants.starts_with("SET sql_log_bin=0; UPDATE mysql.tables_priv"), "{grants}");
    }
}
