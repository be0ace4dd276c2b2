//! Builds the command line of the private server that a restore starts on the restored data.

use super::{
    backup_cnf::BackupCnf,
    command::{CommandError, CommandSpec},
    extra_options::{PRIVATE_SERVER, check_extra_options},
    plugins::BARRED,
    settings::{Fate, fate_of, settings_of},
    tool::{Family, Version},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The longest path of a Unix socket that the servers and the system take, in bytes.
pub const MAX_SOCKET_PATH: usize = 107;

/// The private server of a restore: reachable through its socket alone, without replication and without events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateServerCommand {
    /// The program, of the version that the backup was taken from: a newer one upgrades the data for good.
    pub program: PathBuf,
    /// Its family.
    pub family: Family,
    /// Its version.
    pub version: Version,
    /// The restored data directory.
    pub datadir: PathBuf,
    /// Its socket: the path is at most [`MAX_SOCKET_PATH`] bytes long.
    pub socket: PathBuf,
    /// Where it writes its process id.
    pub pid_file: PathBuf,
    /// Where it writes its messages; standard error when absent.
    pub log_error: Option<PathBuf>,
    /// A private directory for its temporary files.
    pub tmpdir: PathBuf,
    /// Statements that it runs when it starts, one a line.
    pub init_file: Option<PathBuf>,
    /// The path and base name of the binlogs that prove what it applied; it logs nothing when absent.
    pub log_bin: Option<PathBuf>,
    /// The size at which it begins another of them, in bytes.
    pub log_size: u64,
    /// Its id, which differs from that of every server in the logs: a server skips events with its own id.
    pub server_id: u32,
    /// Settings of the source that the data or the logs depend on: see [`carried_settings`].
    pub settings: BTreeMap<String, String>,
    /// The source's time zone as a name that the system knows: statements logged with `time_zone = 'SYSTEM'` mean it.
    pub time_zone: Option<String>,
    /// The account to run as; the servers refuse to run as root without one.
    pub run_as: Option<String>,
    /// Memory for the buffer pool, in bytes.
    pub buffer_pool: Option<u64>,
    /// Size of the redo log, in bytes: a larger one means fewer checkpoints during the replay.
    pub redo_log: Option<u64>,
    /// Replays through relay logs that lie in the data directory.
    pub relay: Option<RelayReplay>,
    /// More options, as they are.
    pub extra: Vec<String>,
}

/// A replay by the server's own applier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayReplay {
    /// The directory of the relay logs and of all that the applier keeps beside them.
    pub dir: PathBuf,
    /// The base name of the relay logs; their index is named after it. MySQL's are there before the server starts,
    /// MariaDB's come from a [feeder](super::FeederCommand).
    pub base: String,
    /// How much a fed applier may fetch ahead, in bytes.
    pub space: u64,
    /// Workers of the applier; 0: the one thread that reads the relay log applies it too.
    pub workers: u32,
}

/// Those of the settings that a data directory is made with and keeps.
pub fn format_settings(settings: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    settings_of(settings, &[Fate::Format])
}

/// The settings of the source that decide what a server writes encrypted, those of a server that has its keys.
pub fn encryption_settings(variables: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    settings_of(variables, &[Fate::Encryption])
}

/// Selects the settings that the private server must share with the source: from the server's variables at the time of
/// the backup, and, for those that the files depend on, from the backup's own `backup-my.cnf`, which wins.
pub fn carried_settings(
    family: Family,
    version: Version,
    variables: &BTreeMap<String, String>,
    cnf: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut settings = settings_of(variables, &[Fate::Format, Fate::Statements]);
    settings.extend(settings_of(cnf, &[Fate::Format]));
    let checksums = cnf.get("innodb_checksum_algorithm").filter(|value| !value.is_empty());
    settings.extend(checksums.map(|value| ("innodb_checksum_algorithm".to_owned(), value.clone())));
    // MySQL 8 counts its undo tablespaces itself, and warns about the setting.
    if family == Family::Mysql && version >= Version::new(8, 0, 0) {
        settings.remove("innodb_undo_tablespaces");
    }
    settings
}

impl PrivateServerCommand {
    /// The command. Settings that only some versions know carry the `loose-` prefix, with which a server warns and goes
    /// on.
    ///
    /// # Errors
    ///
    /// [`CommandError`]: a path that is no text, a socket path that is too long, a setting that names a path outside the
    /// data directory, an extra option that is reserved.
    pub fn build(&self) -> Result<CommandSpec, CommandError> {
        check_extra_options(&self.extra, PRIVATE_SERVER)?;
        let length = self.socket.as_os_str().len();
        if length > MAX_SOCKET_PATH {
            return Err(CommandError::SocketPathTooLong { path: self.socket.clone(), length, limit: MAX_SOCKET_PATH });
        }
        let outside = BackupCnf { settings: self.settings.clone() }.paths_outside();
        if let Some((setting, path)) = outside.into_iter().next() {
            return Err(CommandError::PathOutside { setting, path });
        }
        let mut spec = CommandSpec::new(&self.program).arg("--no-defaults");
        if let Some(zone) = &self.time_zone {
            spec = spec.env("TZ", zone);
        }
        if let Some(account) = &self.run_as {
            spec = spec.option("--user", account);
        }
        spec = self.places(spec)?;
        spec = self.privacy(spec);
        spec = self.log(spec)?;
        for (name, value) in &self.settings {
            let prefix = if fate_of(name) == Some(Fate::Format) { "--" } else { "--loose-" };
            spec = spec.option(&format!("{prefix}{}", name.replace('_', "-")), value);
        }
        spec = self.speed(spec);
        if let Some(relay) = &self.relay {
            spec = relay.options(spec, self.family, self.version)?;
        }
        Ok(spec.args(self.extra.iter().cloned()))
    }

    /// Every path that the server writes, pinned: a setting in the data must not lead it elsewhere.
    fn places(&self, spec: CommandSpec) -> Result<CommandSpec, CommandError> {
        let mut spec = spec
            .path_option("--datadir", &self.datadir)?
            .path_option("--innodb-data-home-dir", &self.datadir)?
            .path_option("--innodb-log-group-home-dir", &self.datadir)?
            .path_option("--innodb-undo-directory", &self.datadir)?;
        if self.family == Family::Mariadb {
            spec = spec.path_option("--aria-log-dir-path", &self.datadir)?;
        }
        // A server reads the files of logged LOAD DATA statements there, and may write nowhere else what a statement says.
        spec = spec
            .path_option("--secure-file-priv", &self.tmpdir)?
            .path_option("--tmpdir", &self.tmpdir)?
            .path_option("--socket", &self.socket)?
            .path_option("--pid-file", &self.pid_file)?;
        if self.family == Family::Mysql && self.relay.is_none() {
            // The data of a replica hold its channels, and the server opens relay logs for them where it is told to.
            spec = spec
                .path_option("--relay-log", &self.tmpdir.join("relay"))?
                .path_option("--relay-log-index", &self.tmpdir.join("relay.index"))?;
        }
        optional(spec, "--log-error", self.log_error.as_deref())
    }

    /// Nobody else gets in, and nothing in the data runs by itself.
    fn privacy(&self, spec: CommandSpec) -> CommandSpec {
        let skip_replication = if self.has_replica_names() { "--skip-replica-start" } else { "--skip-slave-start" };
        let spec = spec.args(["--skip-networking", "--skip-name-resolve", skip_replication, "--event-scheduler=OFF"]);
        // A reader's output loads the files of logged LOAD DATA statements from the client's side.
        let spec = spec.arg("--local-infile=ON");
        match self.family {
            Family::Mysql => spec.args([
                "--loose-mysqlx=OFF",
                // MyISAM tables are then made where the data are, whatever their definition says; InnoDB's too where no other
                // directory is known and it is not strict (`CREATE TABLE`, partitions, with and without SELECT; seen on 8.0.36,
                // 8.4.8 and 9.7.4).
                "--loose-symbolic-links=OFF",
                // What checks passwords was asked at the source already, and would refuse an account of dbbak's own.
                "--loose-validate-password=OFF",
                "--loose-validate-password.policy=LOW",
                "--loose-group-replication-start-on-boot=OFF",
                // mysqld-auto.cnf lies in the data directory and is read in spite of --no-defaults.
                "--loose-persisted-globals-load=OFF",
                // New keys do not belong in the restored data.
                "--loose-auto-generate-certs=OFF",
                "--loose-sha256-password-auto-generate-rsa-keys=OFF",
                "--loose-caching-sha2-password-auto-generate-rsa-keys=OFF",
            ]),
            Family::Mariadb => spec
                .args([
                    "--loose-wsrep-on=OFF",
                    // Without symbolic links it leaves every DATA DIRECTORY and INDEX DIRECTORY aside, of all engines and
                    // partitions (seen on 10.11.19): they are the source's.
                    "--loose-symbolic-links=OFF",
                    // It opens ports, and may be installed in the data.
                    "--loose-handlersocket=OFF",
                    "--loose-simple-password-check=OFF",
                    "--loose-cracklib-password-check=OFF",
                    "--loose-password-reuse-check=OFF",
                ])
                // Without "plugin-" in front `connect` is the beginning of another option (seen on 10.11.19).
                .args(BARRED.map(|engine| format!("--loose-plugin-{engine}=OFF"))),
        }
    }

    fn log(&self, spec: CommandSpec) -> Result<CommandSpec, CommandError> {
        let spec = optional(spec, "--init-file", self.init_file.as_deref())?.option("--server-id", self.server_id);
        let Some(base) = &self.log_bin else { return Ok(spec.arg("--skip-log-bin")) };
        let applied = if self.has_replica_names() { "--log-replica-updates=ON" } else { "--log-slave-updates=ON" };
        Ok(spec
            .path_option("--log-bin", base)?
            .args([applied, "--binlog-checksum=CRC32", "--sync-binlog=0"])
            .option("--max-binlog-size", self.log_size)
            .arg("--log-bin-trust-function-creators=ON"))
    }

    /// The data can be restored again: durability of single commits is worth nothing here.
    fn speed(&self, spec: CommandSpec) -> CommandSpec {
        let mut spec = spec.args([
            "--max-allowed-packet=1073741824",
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-buffer-pool-load-at-startup=OFF",
            "--innodb-buffer-pool-dump-at-shutdown=OFF",
        ]);
        if let Some(bytes) = self.buffer_pool {
            spec = spec.option("--innodb-buffer-pool-size", bytes);
        }
        if let Some(bytes) = self.redo_log {
            let capacity = self.family == Family::Mysql && self.version >= Version::new(8, 0, 30);
            let name = if capacity { "--innodb-redo-log-capacity" } else { "--innodb-log-file-size" };
            spec = spec.option(name, bytes);
        }
        spec
    }

    fn has_replica_names(&self) -> bool {
        has_replica_names(self.family, self.version)
    }
}

impl RelayReplay {
    /// The applier applies every event as it stands, and leaves nothing in the data directory.
    ///
    /// # Errors
    ///
    /// [`CommandError::PathNotUtf8`].
    pub fn options(&self, spec: CommandSpec, family: Family, version: Version) -> Result<CommandSpec, CommandError> {
        let relay = self;
        let place = |name: &str| relay.dir.join(name);
        let spec = spec
            .path_option("--relay-log", &place(&relay.base))?
            .path_option("--relay-log-index", &place(&format!("{}.index", relay.base)))?;
        let new_names = has_replica_names(family, version);
        let load = if new_names { "--replica-load-tmpdir" } else { "--slave-load-tmpdir" };
        let spec = spec.path_option(load, &relay.dir)?;
        if family == Family::Mariadb {
            return Ok(spec
                .path_option("--master-info-file", &place("master.info"))?
                .path_option("--relay-log-info-file", &place("relay.info"))?
                .option("--slave-parallel-threads", relay.workers)
                .args([
                    // By default a table that should not be there is replaced without a word.
                    "--slave-ddl-exec-mode=STRICT",
                    "--slave-exec-mode=STRICT",
                    "--gtid-strict-mode=OFF",
                    "--slave-sql-verify-checksum=ON",
                    "--slave-max-allowed-packet=1073741824",
                    // What was applied is removed, and no more is fetched ahead than this.
                    "--relay-log-purge=ON",
                ])
                .option("--max-relay-log-size", relay.space / 8)
                .option("--relay-log-space-limit", relay.space));
        }
        // Recovery and purging would delete the very files that are to be applied.
        let spec = spec.args(["--relay-log-recovery=OFF", "--relay-log-purge=OFF"]);
        Ok(if new_names {
            spec.option("--replica-parallel-workers", relay.workers).arg("--replica-preserve-commit-order=ON")
        } else {
            // 5.7 keeps the order only with its own log and another scheduler: one worker keeps it always.
            spec.arg("--slave-parallel-workers=0")
        })
    }
}

/// MySQL said slave until 8.0.26; MariaDB still does.
fn has_replica_names(family: Family, version: Version) -> bool {
    family == Family::Mysql && version >= Version::new(8, 0, 26)
}

fn optional(spec: CommandSpec, name: &str, path: Option<&Path>) -> Result<CommandSpec, CommandError> {
    match path {
        Some(path) => spec.path_option(name, path),
        None => Ok(spec),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn server(family: Family, version: &str) -> PrivateServerCommand {
        let version = version.parse().unwrap();
        let source = variables(&[
            ("innodb_page_size", "16384"),
            ("innodb_data_file_path", "ibdata1:12M:autoextend"),
            ("innodb_undo_tablespaces", "3"),
            ("lower_case_table_names", "0"),
            ("character_set_server", "utf8mb4"),
            ("datadir", "/var/lib/mysql/"),
            ("innodb_buffer_pool_size", "1"),
        ]);
        PrivateServerCommand {
            program: if family == Family::Mysql { "/usr/sbin/mysqld" } else { "/usr/sbin/mariadbd" }.into(),
            family,
            version,
            datadir: "/restore/data".into(),
            socket: "/run/dbbak/s.sock".into(),
            pid_file: "/run/dbbak/pid".into(),
            log_error: None,
            tmpdir: "/restore/tmp".into(),
            init_file: Some("/run/dbbak/init.sql".into()),
            log_bin: Some("/restore/log/replay".into()),
            log_size: 1 << 30,
            server_id: 4_294_967_295,
            settings: carried_settings(family, version, &source, &BTreeMap::new()),
            time_zone: None,
            run_as: None,
            buffer_pool: Some(1 << 30),
            redo_log: Some(1 << 30),
            relay: None,
            extra: Vec::new(),
        }
    }

    /// One argument a line: the lines are long.
    fn shown(server: &PrivateServerCommand) -> String {
        let spec = server.build().unwrap();
        spec.masked_args().collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn mariadb_10_11() {
        assert_snapshot!(shown(&server(Family::Mariadb, "10.11.19")), @r"
        --no-defaults
        --datadir=/restore/data
        --innodb-data-home-dir=/restore/data
        --innodb-log-group-home-dir=/restore/data
        --innodb-undo-directory=/restore/data
        --aria-log-dir-path=/restore/data
        --secure-file-priv=/restore/tmp
        --tmpdir=/restore/tmp
        --socket=/run/dbbak/s.sock
        --pid-file=/run/dbbak/pid
        --skip-networking
        --skip-name-resolve
        --skip-slave-start
        --event-scheduler=OFF
        --local-infile=ON
        --loose-wsrep-on=OFF
        --loose-symbolic-links=OFF
        --loose-handlersocket=OFF
        --loose-simple-password-check=OFF
        --loose-cracklib-password-check=OFF
        --loose-password-reuse-check=OFF
        --loose-plugin-federated=OFF
        --loose-plugin-spider=OFF
        --loose-plugin-s3=OFF
        --loose-plugin-connect=OFF
        --loose-plugin-sphinx=OFF
        --init-file=/run/dbbak/init.sql
        --server-id=4294967295
        --log-bin=/restore/log/replay
        --log-slave-updates=ON
        --binlog-checksum=CRC32
        --sync-binlog=0
        --max-binlog-size=1073741824
        --log-bin-trust-function-creators=ON
        --loose-character-set-server=utf8mb4
        --innodb-data-file-path=ibdata1:12M:autoextend
        --innodb-page-size=16384
        --innodb-undo-tablespaces=3
        --lower-case-table-names=0
        --max-allowed-packet=1073741824
        --innodb-flush-log-at-trx-commit=2
        --innodb-buffer-pool-load-at-startup=OFF
        --innodb-buffer-pool-dump-at-shutdown=OFF
        --innodb-buffer-pool-size=1073741824
        --innodb-log-file-size=1073741824
        ");
    }

    #[test]
    fn mysql_5_7_without_a_log() {
        let server = PrivateServerCommand { log_bin: None, ..server(Family::Mysql, "5.7.44") };
        assert_snapshot!(shown(&server), @r"
        --no-defaults
        --datadir=/restore/data
        --innodb-data-home-dir=/restore/data
        --innodb-log-group-home-dir=/restore/data
        --innodb-undo-directory=/restore/data
        --secure-file-priv=/restore/tmp
        --tmpdir=/restore/tmp
        --socket=/run/dbbak/s.sock
        --pid-file=/run/dbbak/pid
        --relay-log=/restore/tmp/relay
        --relay-log-index=/restore/tmp/relay.index
        --skip-networking
        --skip-name-resolve
        --skip-slave-start
        --event-scheduler=OFF
        --local-infile=ON
        --loose-mysqlx=OFF
        --loose-symbolic-links=OFF
        --loose-validate-password=OFF
        --loose-validate-password.policy=LOW
        --loose-group-replication-start-on-boot=OFF
        --loose-persisted-globals-load=OFF
        --loose-auto-generate-certs=OFF
        --loose-sha256-password-auto-generate-rsa-keys=OFF
        --loose-caching-sha2-password-auto-generate-rsa-keys=OFF
        --init-file=/run/dbbak/init.sql
        --server-id=4294967295
        --skip-log-bin
        --loose-character-set-server=utf8mb4
        --innodb-data-file-path=ibdata1:12M:autoextend
        --innodb-page-size=16384
        --innodb-undo-tablespaces=3
        --lower-case-table-names=0
        --max-allowed-packet=1073741824
        --innodb-flush-log-at-trx-commit=2
        --innodb-buffer-pool-load-at-startup=OFF
        --innodb-buffer-pool-dump-at-shutdown=OFF
        --innodb-buffer-pool-size=1073741824
        --innodb-log-file-size=1073741824
        ");
    }

    #[test]
    fn mysql_8_0() {
        assert_snapshot!(shown(&server(Family::Mysql, "8.0.35")), @r"
        --no-defaults
        --datadir=/restore/data
        --innodb-data-home-dir=/restore/data
        --innodb-log-group-home-dir=/restore/data
        --innodb-undo-directory=/restore/data
        --secure-file-priv=/restore/tmp
        --tmpdir=/restore/tmp
        --socket=/run/dbbak/s.sock
        --pid-file=/run/dbbak/pid
        --relay-log=/restore/tmp/relay
        --relay-log-index=/restore/tmp/relay.index
        --skip-networking
        --skip-name-resolve
        --skip-replica-start
        --event-scheduler=OFF
        --local-infile=ON
        --loose-mysqlx=OFF
        --loose-symbolic-links=OFF
        --loose-validate-password=OFF
        --loose-validate-password.policy=LOW
        --loose-group-replication-start-on-boot=OFF
        --loose-persisted-globals-load=OFF
        --loose-auto-generate-certs=OFF
        --loose-sha256-password-auto-generate-rsa-keys=OFF
        --loose-caching-sha2-password-auto-generate-rsa-keys=OFF
        --init-file=/run/dbbak/init.sql
        --server-id=4294967295
        --log-bin=/restore/log/replay
        --log-replica-updates=ON
        --binlog-checksum=CRC32
        --sync-binlog=0
        --max-binlog-size=1073741824
        --log-bin-trust-function-creators=ON
        --loose-character-set-server=utf8mb4
        --innodb-data-file-path=ibdata1:12M:autoextend
        --innodb-page-size=16384
        --lower-case-table-names=0
        --max-allowed-packet=1073741824
        --innodb-flush-log-at-trx-commit=2
        --innodb-buffer-pool-load-at-startup=OFF
        --innodb-buffer-pool-dump-at-shutdown=OFF
        --innodb-buffer-pool-size=1073741824
        --innodb-redo-log-capacity=1073741824
        ");
    }

    #[test]
    fn mysql_8_4_is_as_8_0() {
        assert_eq!(shown(&server(Family::Mysql, "8.4.8")), shown(&server(Family::Mysql, "8.0.35")));
    }

    #[test]
    fn relay_replay() {
        let relay = |family, version| {
            let relay = Some(RelayReplay {
                dir: "/restore/relay".into(),
                base: "pitr-relay".into(),
                workers: 4,
                space: 512 << 20,
            });
            let args = shown(&PrivateServerCommand { relay, ..server(family, version) });
            args.lines()
                .filter(|line| line.contains("relay-log") || line.contains("info-file") || line.contains("parallel-"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_snapshot!(relay(Family::Mysql, "9.7.4"), @"--relay-log=/restore/relay/pitr-relay --relay-log-index=/restore/relay/pitr-relay.index --relay-log-recovery=OFF --relay-log-purge=OFF --replica-parallel-workers=4");
        assert_snapshot!(relay(Family::Mysql, "5.7.44"), @"--relay-log=/restore/relay/pitr-relay --relay-log-index=/restore/relay/pitr-relay.index --relay-log-recovery=OFF --relay-log-purge=OFF --slave-parallel-workers=0");
        assert_snapshot!(relay(Family::Mariadb, "10.11.19"), @"--relay-log=/restore/relay/pitr-relay --relay-log-index=/restore/relay/pitr-relay.index --master-info-file=/restore/relay/master.info --relay-log-info-file=/restore/relay/relay.info --slave-parallel-threads=4 --relay-log-purge=ON --max-relay-log-size=67108864 --relay-log-space-limit=536870912");
    }

    #[test]
    fn the_backups_own_settings_win() {
        let cnf = variables(&[("innodb_page_size", "32768"), ("innodb_log_file_size", "5"), ("server_uuid", "x")]);
        let source = variables(&[("innodb_page_size", "16384"), ("gtid_mode", "ON"), ("innodb_undo_tablespaces", "2")]);
        let mysql = carried_settings(Family::Mysql, Version::new(8, 0, 35), &source, &cnf);
        assert_eq!(mysql, variables(&[("gtid_mode", "ON"), ("innodb_page_size", "32768")]));
        let older = carried_settings(Family::Mysql, Version::new(5, 7, 44), &source, &cnf);
        assert_eq!(older.get("innodb_undo_tablespaces").map(String::as_str), Some("2"));
    }

    #[test]
    fn refuses_what_would_touch_another_server() {
        let mut outside = server(Family::Mysql, "8.0.35");
        outside.settings.insert("innodb_data_file_path".into(), "/data/ibdata1:12M:autoextend".into());
        assert!(matches!(outside.build(), Err(CommandError::PathOutside { .. })));
        let extra = PrivateServerCommand { extra: vec!["--port=3306".into()], ..server(Family::Mysql, "8.0.35") };
        assert!(matches!(extra.build(), Err(CommandError::ReservedOption { .. })));
        let socket = format!("/{}", "s".repeat(MAX_SOCKET_PATH)).into();
        let long = PrivateServerCommand { socket, ..server(Family::Mysql, "8.0.35") };
        assert!(matches!(long.build(), Err(CommandError::SocketPathTooLong { length: 108, .. })));
    }

    #[test]
    fn runs_in_the_sources_time_zone() {
        let zone = PrivateServerCommand { time_zone: Some("Europe/Berlin".into()), ..server(Family::Mysql, "8.0.35") };
        let spec = zone.build().unwrap();
        assert_eq!(spec.env.get("TZ").map(String::as_str), Some("Europe/Berlin"));
        assert!(spec.to_string().starts_with("TZ=Europe/Berlin /usr/sbin/mysqld --no-defaults "));
    }
}
