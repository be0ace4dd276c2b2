//! Builds the command line of the feeder: a second private MariaDB server that serves binlogs to the first one's applier.

use super::{
    command::{CommandError, CommandSpec},
    mysqld::MAX_SOCKET_PATH,
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A MariaDB server that holds nothing but binlogs and one account that may read them. It listens on the loopback
/// address, for a replica connects in no other way; the port is chosen when it is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeederCommand {
    /// The program.
    pub program: PathBuf,
    /// An empty directory for its own tables.
    pub datadir: PathBuf,
    /// A socket that nobody uses, at most 107 bytes long.
    pub socket: PathBuf,
    /// Where it writes its process id.
    pub pid_file: PathBuf,
    /// A private directory for its temporary files.
    pub tmpdir: PathBuf,
    /// The statements of [`FeederCommand::account_statements`].
    pub init_file: PathBuf,
    /// The path and base name of the binlogs that it serves; it begins a file of its own behind them.
    pub log_bin: PathBuf,
    /// The list of the binlogs, in order.
    pub log_bin_index: PathBuf,
    /// Its id, which differs from the replica's.
    pub server_id: u32,
    /// The account to run as; the server refuses to run as root without one.
    pub run_as: Option<String>,
}

impl FeederCommand {
    /// The command, without the option `--port`.
    ///
    /// # Errors
    ///
    /// [`CommandError`]: a path that is no text, a socket path that is too long.
    pub fn build(&self) -> Result<CommandSpec, CommandError> {
        let length = self.socket.as_os_str().len();
        if length > MAX_SOCKET_PATH {
            return Err(CommandError::SocketPathTooLong { path: self.socket.clone(), length, limit: MAX_SOCKET_PATH });
        }
        let mut spec = CommandSpec::new(&self.program).arg("--no-defaults");
        if let Some(account) = &self.run_as {
            spec = spec.option("--user", account);
        }
        Ok(spec
            .path_option("--datadir", &self.datadir)?
            .path_option("--tmpdir", &self.tmpdir)?
            .path_option("--socket", &self.socket)?
            .path_option("--pid-file", &self.pid_file)?
            .path_option("--init-file", &self.init_file)?
            .path_option("--secure-file-priv", &self.datadir)?
            .path_option("--log-bin", &self.log_bin)?
            .path_option("--log-bin-index", &self.log_bin_index)?
            .option("--server-id", self.server_id)
            .args([
                "--bind-address=127.0.0.1",
                "--skip-name-resolve",
                // There is no account in an empty directory; the statements make one, and turn the checks on.
                "--skip-grant-tables",
                "--skip-slave-start",
                "--event-scheduler=OFF",
                "--loose-wsrep-on=OFF",
                "--skip-innodb",
                "--default-storage-engine=Aria",
                "--master-verify-checksum=ON",
                "--binlog-checksum=CRC32",
                "--sync-binlog=0",
                // The files are there until the replay has ended.
                "--expire-logs-days=0",
                "--loose-max-binlog-total-size=0",
                "--max-allowed-packet=1073741824",
                "--max-connections=10",
            ]))
    }

    /// Statements that make the grant tables, as far as a server needs them to tell accounts apart, and an account that
    /// may read binlogs and nothing else. They hold its password.
    pub fn account_statements(account: &str, password: &str) -> String {
        let privileges = DATABASE_PRIVILEGES
            .map(|name| format!("{name}_priv ENUM('N','Y') COLLATE utf8mb3_general_ci DEFAULT 'N' NOT NULL"));
        let privileges = privileges.join(", ");
        // REPLICATION SLAVE is bit 19 of a MariaDB account's access.
        let access = 1 << 19;
        [
            "SET sql_log_bin=0;".to_owned(),
            "CREATE DATABASE mysql;".to_owned(),
            "CREATE TABLE mysql.global_priv (Host CHAR(255) BINARY DEFAULT '', User CHAR(128) BINARY DEFAULT '', Priv \
             LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT '{}' NOT NULL, PRIMARY KEY (Host, User)) \
             ENGINE=Aria CHARACTER SET utf8mb3 COLLATE utf8mb3_bin;"
                .to_owned(),
            format!(
                "CREATE TABLE mysql.db (Host CHAR(255) BINARY DEFAULT '' NOT NULL, Db CHAR(64) BINARY DEFAULT '' NOT NULL, \
                 User CHAR(128) BINARY DEFAULT '' NOT NULL, {privileges}, PRIMARY KEY (Host, Db, User), KEY User (User)) \
                 ENGINE=Aria CHARACTER SET utf8mb3 COLLATE utf8mb3_bin;"
            ),
            format!(
                "INSERT INTO mysql.global_priv VALUES ('127.0.0.1', '{account}', CONCAT('{{\"access\":{access},\
                 \"version_id\":101000,\"plugin\":\"mysql_native_password\",\"authentication_string\":\"', \
                 PASSWORD('{password}'), '\"}}'));"
            ),
            "FLUSH PRIVILEGES;".to_owned(),
        ]
        .map(|statement| statement + "\n")
        .concat()
    }
}

/// The privileges that `mysql.db` has a column for.
const DATABASE_PRIVILEGES: [&str; 20] = [
    "Select",
    "Insert",
    "Update",
    "Delete",
    "Create",
    "Drop",
    "Grant",
    "References",
    "Index",
    "Alter",
    "Create_tmp_table",
    "Lock_tables",
    "Create_view",
    "Show_view",
    "Create_routine",
    "Alter_routine",
    "Execute",
    "Event",
    "Trigger",
    "Delete_history",
];

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    #[test]
    fn serves_binlogs_and_nothing_else() {
        let feeder = FeederCommand {
            program: "/usr/sbin/mariadbd".into(),
            datadir: "/restore/feeder".into(),
            socket: "/run/dbbak/f".into(),
            pid_file: "/run/dbbak/feeder.pid".into(),
            tmpdir: "/restore/tmp".into(),
            init_file: "/run/dbbak/feeder.sql".into(),
            log_bin: "/restore/binlogs/mysql-bin".into(),
            log_bin_index: "/restore/binlogs/dbbak-feeder.index".into(),
            server_id: 4_294_967_294,
            run_as: None,
        };
        let spec = feeder.build().unwrap();
        assert_snapshot!(spec.masked_args().collect::<Vec<_>>().join("\n"));
        let statements = FeederCommand::account_statements("dbbak_feed", "s3cret");
        // The server reads a file of statements line by line.
        assert!(statements.lines().all(|line| line.ends_with(';')), "{statements}");
    }
}
