//! The statements with which a private server follows living sources, and what its channels say of themselves.

use super::{
    answers::{AnswerError, parse_table},
    applier::{quoted, without_query},
    command::Secret,
    tool::Family,
};
use crate::model::SourceAddress;

/// How a private server logs in at its sources, read from an option file when it is needed and kept nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLogin {
    user: String,
    password: Secret,
    /// `None`: the option file does not say.
    tls: Option<bool>,
    ca: Option<String>,
}

impl SourceLogin {
    /// Reads the group `[client]` of an option file: `user`, `password`, `ssl-mode`, `ssl`, `skip-ssl`, `ssl-ca`.
    ///
    /// # Errors
    ///
    /// What is missing.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut login = SourceLogin { user: String::new(), password: Secret::new(""), tls: None, ca: None };
        let mut inside = false;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
            if let Some(group) = line.strip_prefix('[') {
                inside = group.trim_end_matches(']').trim() == "client";
                continue;
            }
            let (name, value) = line.split_once('=').map_or((line, ""), |(name, value)| (name.trim(), value.trim()));
            let quote = value.chars().next().filter(|c| ['"', '\''].contains(c));
            let bare = quote.and_then(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value);
            match (inside, name.replace('_', "-").as_str()) {
                (true, "user") => login.user = bare.to_owned(),
                (true, "password") => login.password = Secret::new(unescaped(bare)),
                (true, "ssl-mode") => login.tls = Some(!bare.eq_ignore_ascii_case("disabled")),
                (true, "ssl") => login.tls = Some(!["0", "off", "false"].contains(&bare.to_ascii_lowercase().as_str())),
                (true, "skip-ssl") => login.tls = Some(false),
                (true, "ssl-ca") => login.ca = Some(bare.to_owned()),
                _ => {}
            }
        }
        if login.user.is_empty() { Err("its group [client] names no user".into()) } else { Ok(login) }
    }

    /// Has a channel begin to follow a source, by GTIDs. Holds the password: it belongs on standard input. MySQL keeps it in
    /// memory alone; MariaDB writes it into its file of masters.
    pub fn follow(&self, family: Family, channel: &str, source: &SourceAddress) -> String {
        let (channel, host, port) = (quoted(channel), quoted(&source.host), source.port);
        let (user, password) = (quoted(&self.user), quoted(self.password.expose().unwrap_or_default()));
        let ca = |name: &str| self.ca.as_ref().map_or_else(String::new, |ca| format!(", {name}={}", quoted(ca)));
        match family {
            Family::Mysql => {
                // By default the transfer is encrypted, as the client does it.
                let tls = u8::from(self.tls != Some(false));
                format!(
                    "CHANGE REPLICATION SOURCE TO SOURCE_HOST={host}, SOURCE_PORT={port}, SOURCE_AUTO_POSITION=1, \
                     SOURCE_CONNECT_RETRY=1, GET_SOURCE_PUBLIC_KEY=1, SOURCE_SSL={tls}{} FOR CHANNEL {channel};\n\
                     START REPLICA USER={user} PASSWORD={password} FOR CHANNEL {channel};",
                    ca("SOURCE_SSL_CA")
                )
            }
            Family::Mariadb => {
                let tls = u8::from(self.tls == Some(true) || self.ca.is_some());
                format!(
                    "CHANGE MASTER {channel} TO MASTER_HOST={host}, MASTER_PORT={port}, MASTER_USER={user}, \
                     MASTER_PASSWORD={password}, MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1, MASTER_SSL={tls}{};\n\
                     START SLAVE {channel};",
                    ca("MASTER_SSL_CA")
                )
            }
        }
    }
}

/// Option files know these escapes.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, false) => out.push(c),
            _ => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some('b') => out.push('\u{8}'),
                Some('s') => out.push(' '),
                Some('\\') => out.push('\\'),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
        }
    }
    out
}

/// What one channel says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelStatus {
    /// The channel.
    pub name: String,
    /// Whether events are fetched, or are to be.
    pub io_running: bool,
    /// Whether events are applied.
    pub sql_running: bool,
    /// Why one of the two does not work.
    pub error: Option<String>,
    /// MySQL: the GTIDs that were fetched.
    pub retrieved: String,
}

/// Asks all channels: [`parse_channels`].
pub fn ask_channels(family: Family) -> &'static str {
    match family {
        Family::Mysql => "SHOW REPLICA STATUS;",
        Family::Mariadb => "SHOW ALL SLAVES STATUS;",
    }
}

/// Reads the answer to [`ask_channels`].
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_channels(stdout: &str) -> Result<Vec<ChannelStatus>, AnswerError> {
    let table = parse_table(stdout)?;
    table
        .rows()
        .map(|row| {
            let error = |number: &str, text: &str| {
                row.get(number).filter(|number| *number != "0")?;
                Some(without_query(row.get(text)?)).filter(|text| !text.is_empty())
            };
            let retrieved = row.get("Retrieved_Gtid_Set").unwrap_or_default();
            Ok(ChannelStatus {
                name: row.must(&["Channel_Name", "Connection_name"])?.to_owned(),
                io_running: row.any(&["Replica_IO_Running", "Slave_IO_Running"]) != Some("No"),
                sql_running: row.any(&["Replica_SQL_Running", "Slave_SQL_Running"]) == Some("Yes"),
                error: error("Last_SQL_Errno", "Last_SQL_Error").or_else(|| error("Last_IO_Errno", "Last_IO_Error")),
                retrieved: retrieved.split_whitespace().collect(),
            })
        })
        .collect()
}

/// Waits until the server has applied what a source had: the column `reached` is 0 then. At most so many seconds.
pub fn wait_for(family: Family, gtids: &str, seconds: u32) -> String {
    let gtids = quoted(gtids);
    match family {
        Family::Mysql => format!("SELECT WAIT_FOR_EXECUTED_GTID_SET({gtids}, {seconds}) AS reached;"),
        Family::Mariadb => format!("SELECT MASTER_GTID_WAIT({gtids}, {seconds}) AS reached;"),
    }
}

/// Stops all channels; what was begun is ended.
pub fn stop_channels(family: Family) -> &'static str {
    match family {
        Family::Mysql => "STOP REPLICA;",
        Family::Mariadb => "STOP ALL SLAVES;",
    }
}

/// Forgets a channel and its source.
pub fn forget_channel(family: Family, channel: &str) -> String {
    let channel = quoted(channel);
    match family {
        Family::Mysql => format!("RESET REPLICA ALL FOR CHANNEL {channel};"),
        Family::Mariadb => format!("RESET SLAVE {channel} ALL;"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_login_and_never_shows_it() {
        let text =
            "[mysqld]\nuser=x\n[client]\n# no\nuser = \"repl\"\npassword='it''s\\sa \\\\ secret'\nssl_mode=REQUIRED\n";
        let login = SourceLogin::parse(text).unwrap();
        assert!(!format!("{login:?}").contains("secret"), "{login:?}");
        let source: SourceAddress = "db1:3307".parse().unwrap();
        let mysql = login.follow(Family::Mysql, "dbbak_1", &source);
        let (change, start) = mysql.split_once('\n').unwrap();
        assert!(!change.contains("secret") && change.contains("SOURCE_SSL=1 FOR CHANNEL 'dbbak_1'"), "{change}");
        assert!(start.contains("USER='repl' PASSWORD='it''''s a \\\\ secret' FOR CHANNEL 'dbbak_1';"), "{start}");
        let mariadb = login.follow(Family::Mariadb, "dbbak_1", &source);
        assert!(mariadb.contains("CHANGE MASTER 'dbbak_1' TO") && mariadb.contains("MASTER_SSL=1"), "{mariadb}");
        assert!(mariadb.ends_with("START SLAVE 'dbbak_1';"), "{mariadb}");
        assert!(SourceLogin::parse("[client]\npassword=x\n").is_err());
    }

    #[test]
    fn reads_channels() {
        let text = "Connection_name\tSlave_IO_Running\tSlave_SQL_Running\tLast_SQL_Errno\tLast_SQL_Error\tLast_IO_Errno\t\
                    Last_IO_Error\ndbbak_1\tYes\tNo\t1062\tDuplicate entry. Query: 'insert secret'\t0\t\n\
                    dbbak_2\tConnecting\tYes\t0\t\t2003\tcannot connect\n";
        let channels = parse_channels(text).unwrap();
        assert_eq!(channels[0].error.as_deref(), Some("Duplicate entry"));
        assert!(!channels[0].sql_running && channels[0].io_running && channels[1].io_running);
        assert_eq!(channels[1].error.as_deref(), Some("cannot connect"));
    }
}
