//! The channels of replication of a server, and of restored MySQL data: what they are asked for, and how they are forgotten.

use super::answers::{AnswerError, parse_table};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A source that a server replicated from, and where it stood there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldChannel {
    /// Its name; empty for the default one.
    pub channel: String,
    /// The source's host.
    pub host: String,
    /// The source's port.
    pub port: Option<u16>,
    /// Whether it asks the source for what its GTIDs lack.
    pub auto_position: bool,
    /// The source's binlog up to which it had applied; empty where that is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// The position in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
}

impl fmt::Display for HeldChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        write!(f, "{}{port} (channel {:?}", self.host, self.channel)?;
        match self.position.filter(|_| !self.file.is_empty()) {
            Some(position) => write!(f, ", up to {}:{position})", self.file),
            None => f.write_str(")"),
        }
    }
}

/// Asks for the channels, from the tables in which MySQL keeps them (5.7 and later; seen on 9.7.4): [`parse_held_channels`]. The
/// server need not have opened their relay logs, which no backup holds.
pub const HELD_CHANNELS: &str = "SELECT m.Channel_name AS channel, m.Host AS host, m.Port AS port, m.Enabled_auto_position AS \
                                 auto_position, COALESCE(r.Master_log_name, '') AS file, COALESCE(r.Master_log_pos, 0) AS \
                                 position FROM mysql.slave_master_info m LEFT JOIN mysql.slave_relay_log_info r ON \
                                 r.Channel_name = m.Channel_name ORDER BY m.Channel_name;";

/// Reads the answer to [`HELD_CHANNELS`].
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_held_channels(stdout: &str) -> Result<Vec<HeldChannel>, AnswerError> {
    if stdout.is_empty() {
        // The client prints no names where there are no rows.
        return Ok(Vec::new());
    }
    let channel = |row: super::answers::Row<'_>| {
        Ok(HeldChannel {
            channel: row.must(&["channel"])?.to_owned(),
            host: row.must(&["host"])?.to_owned(),
            port: row.get("port").and_then(|port| port.parse().ok()),
            auto_position: row.get("auto_position") == Some("1"),
            file: row.get("file").unwrap_or_default().to_owned(),
            position: row.get("position").and_then(|position| position.parse().ok()),
        })
    };
    parse_table(stdout)?.rows().map(channel).collect()
}

/// Reads `SHOW REPLICA STATUS`, `SHOW SLAVE STATUS` or `SHOW ALL SLAVES STATUS`: the channels of a living server, and what it had
/// applied on each.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_status_of_channels(stdout: &str) -> Result<Vec<HeldChannel>, AnswerError> {
    if stdout.is_empty() {
        return Ok(Vec::new());
    }
    let channel = |row: super::answers::Row<'_>| {
        let gtids = row.any(&["Auto_Position", "Using_Gtid"]).unwrap_or_default();
        let file = row.any(&["Relay_Source_Log_File", "Relay_Master_Log_File"]).unwrap_or_default();
        let position = row.any(&["Exec_Source_Log_Pos", "Exec_Master_Log_Pos"]);
        Ok(HeldChannel {
            channel: row.any(&["Channel_Name", "Connection_name"]).unwrap_or_default().to_owned(),
            host: row.must(&["Source_Host", "Master_Host"])?.to_owned(),
            port: row.any(&["Source_Port", "Master_Port"]).and_then(|port| port.parse().ok()),
            auto_position: !matches!(gtids, "" | "0" | "No"),
            file: file.to_owned(),
            position: position.and_then(|position| position.parse().ok()),
        })
    };
    parse_table(stdout)?.rows().map(channel).collect()
}

/// Has the server forget all channels. MySQL before 8.0.22 knows the old word alone.
pub fn forget_channels(new_words: bool) -> &'static str {
    if new_words { "RESET REPLICA ALL;" } else { "RESET SLAVE ALL;" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_where_a_living_replica_stands() {
        let mariadb = "Connection_name\tSlave_SQL_State\tMaster_Host\tMaster_Port\tRelay_Master_Log_File\tExec_Master_Log_Pos\t\
                       Using_Gtid\nwest\t\tdb2\t3307\tbin.000009\t4711\tNo\n\t\tdb3\t3306\tbin.000001\t4\tSlave_Pos\n";
        let found = parse_status_of_channels(mariadb).unwrap();
        assert_eq!(found[0].to_string(), "db2:3307 (channel \"west\", up to bin.000009:4711)");
        assert!(!found[0].auto_position && found[1].auto_position);
        let mysql = "Source_Host\tSource_Port\tRelay_Source_Log_File\tExec_Source_Log_Pos\tAuto_Position\tChannel_Name\n\
                     db1\t3306\tbinlog.000002\t158\t0\teast\n";
        let found = parse_status_of_channels(mysql).unwrap();
        assert_eq!(found[0].to_string(), "db1:3306 (channel \"east\", up to binlog.000002:158)");
        assert!(!found[0].auto_position);
        assert_eq!(parse_status_of_channels("").unwrap(), []);
    }

    #[test]
    fn reads_the_channels_of_a_replica() {
        let answer = "channel\thost\tport\tauto_position\tfile\tposition\n\t10.0.0.7\t3306\t1\tbinlog.000012\t4711\n\
                      west\tdb2\t3307\t0\t\t0\n";
        let found = parse_held_channels(answer).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].to_string(), "10.0.0.7:3306 (channel \"\", up to binlog.000012:4711)");
        assert!(found[0].auto_position && !found[1].auto_position);
        assert_eq!(found[1].to_string(), "db2:3307 (channel \"west\")");
        assert_eq!(parse_held_channels("").unwrap(), []);
        assert!(parse_held_channels("host\nh\n").is_err());
    }
}
