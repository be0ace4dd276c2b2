//! Builds the command lines of the backup tools: backup, prepare, copy-back.

use super::{
    command::{CommandError, CommandSpec},
    extra_options::{BACKUP_TOOL, check_extra_options},
    login::Login,
    tool::{Family, ToolVersion, Version},
};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// The backup tools as far as their command lines and files differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupSeries {
    /// XtraBackup 2.4, for MySQL 5.6 and 5.7.
    Xtrabackup24,
    /// XtraBackup 8.0, for MySQL 8.0.
    Xtrabackup80,
    /// XtraBackup 8.1 and later, for the MySQL series of the same number.
    Xtrabackup84,
    /// mariadb-backup, for MariaDB of the same series.
    MariadbBackup,
}

/// One run of `--backup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupCommand {
    /// The tool.
    pub program: PathBuf,
    /// Its series.
    pub series: BackupSeries,
    /// Where it finds its credentials.
    pub login: Login,
    /// The directory that it writes: absent or empty, with an existing parent.
    pub target_dir: PathBuf,
    /// For an incremental: a directory with the parent's checkpoints file, of which nothing else is read.
    pub parent_dir: Option<PathBuf>,
    /// The server's data directory.
    pub datadir: Option<PathBuf>,
    /// The server's socket, where the option file does not name it.
    pub socket: Option<PathBuf>,
    /// Threads that copy files.
    pub parallel: Option<u32>,
    /// Limit of I/O: XtraBackup counts chunks of 10 MB a second, mariadb-backup pairs of reads and writes.
    pub throttle: Option<u32>,
    /// Record the coordinates of the source that this server replicates from.
    pub slave_info: bool,
    /// Record the state of the Galera node.
    pub galera_info: bool,
    /// Stop the replica's SQL thread while it has temporary tables open.
    pub safe_slave_backup: bool,
    /// More options, as they are.
    pub extra: Vec<String>,
}

/// One run of `--prepare`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrepareCommand {
    /// The tool: of the series that took the backup.
    pub program: PathBuf,
    /// Its series.
    pub series: BackupSeries,
    /// A private copy of the full, which is changed even when the prepare is refused.
    pub target_dir: PathBuf,
    /// A private copy of the incremental to apply, which is used up even when the prepare is refused.
    pub incremental_dir: Option<PathBuf>,
    /// Further incrementals follow.
    pub more_follow: bool,
    /// Memory for the redo, in bytes.
    pub use_memory: Option<u64>,
    /// More options, as they are.
    pub extra: Vec<String>,
}

impl BackupSeries {
    /// The series of a backup tool; `None` for another tool, or where the series is older than all that are known.
    pub fn of(tool: &ToolVersion) -> Option<Self> {
        let version = tool.version.filter(|_| tool.kind.role() == super::ToolRole::Backup)?;
        match (tool.kind.family(), version.series()) {
            (Family::Mariadb, _) => Some(BackupSeries::MariadbBackup),
            (Family::Mysql, (2, 4)) => Some(BackupSeries::Xtrabackup24),
            (Family::Mysql, (8, 0)) => Some(BackupSeries::Xtrabackup80),
            (Family::Mysql, series) => (series > (8, 0)).then_some(BackupSeries::Xtrabackup84),
        }
    }

    /// The family of servers that it backs up.
    pub fn family(self) -> Family {
        match self {
            BackupSeries::Xtrabackup24 | BackupSeries::Xtrabackup80 | BackupSeries::Xtrabackup84 => Family::Mysql,
            BackupSeries::MariadbBackup => Family::Mariadb,
        }
    }

    /// Whether a prepared full that is to take further incrementals must be prepared with `--apply-log-only`.
    ///
    /// mariadb-backup never rolls back in a prepare; since 10.11 it even refuses the option (status 2).
    pub fn has_apply_log_only(self) -> bool {
        self.family() == Family::Mysql
    }
}

/// Whether a backup tool of this version can back up a server of that version.
///
/// XtraBackup 2.4 takes MySQL 5.6 and 5.7; 8.0 takes 8.0 up to its own patch release, and from 8.0.34 on every later one
/// too; after that the series must be the same. mariadb-backup must be of the server's own series, since neither older
/// nor newer ones are supported by its makers.
pub fn supports_server(series: BackupSeries, tool: Version, family: Family, server: Version) -> bool {
    if series.family() != family {
        return false;
    }
    match series {
        BackupSeries::Xtrabackup24 => matches!(server.series(), (5, 6 | 7)),
        BackupSeries::Xtrabackup80 => {
            let at_least_itself = tool >= Version::new(8, 0, 34) || tool >= server;
            server.series() == (8, 0) && at_least_itself
        }
        BackupSeries::Xtrabackup84 | BackupSeries::MariadbBackup => tool.series() == server.series(),
    }
}

impl BackupCommand {
    /// The command.
    ///
    /// # Errors
    ///
    /// [`CommandError`]: a path that is no text or not absolute, an extra option that is reserved.
    pub fn build(&self) -> Result<CommandSpec, CommandError> {
        check_extra_options(&self.extra, BACKUP_TOOL)?;
        absolute(&self.target_dir)?;
        let mut spec = self.login.command(&self.program)?.arg("--backup");
        spec = spec.path_option("--target-dir", &self.target_dir)?;
        if let Some(parent) = &self.parent_dir {
            absolute(parent)?;
            spec = spec.path_option("--incremental-basedir", parent)?;
        }
        if let Some(datadir) = &self.datadir {
            spec = spec.path_option("--datadir", datadir)?;
        }
        if let Some(socket) = &self.socket {
            spec = spec.path_option("--socket", socket)?;
        }
        if let Some(threads) = self.parallel {
            spec = spec.option("--parallel", threads);
        }
        if let Some(limit) = self.throttle {
            spec = spec.option("--throttle", limit);
        }
        for (wanted, option) in [
            (self.slave_info, "--slave-info"),
            (self.galera_info, "--galera-info"),
            (self.safe_slave_backup, "--safe-slave-backup"),
            // XtraBackup would ask its maker for newer versions through the network. 8.4.0-5 and 9.7.1 do so no more, and call the
            // option deprecated: a later one may not know it.
            (matches!(self.series, BackupSeries::Xtrabackup24 | BackupSeries::Xtrabackup80), "--no-version-check"),
            (self.series == BackupSeries::Xtrabackup84, "--loose-no-version-check"),
        ] {
            if wanted {
                spec = spec.arg(option);
            }
        }
        Ok(spec.args(self.extra.iter().cloned()))
    }
}

impl PrepareCommand {
    /// The command. It names no option file: the tool reads `backup-my.cnf` in the target and nothing else (seen on
    /// mariadb-backup 10.11.19; `--no-defaults` would make it ignore that one too, and prepare with built-in settings).
    ///
    /// # Errors
    ///
    /// [`CommandError`]: a path that is no text or not absolute, an extra option that is reserved.
    pub fn build(&self) -> Result<CommandSpec, CommandError> {
        check_extra_options(&self.extra, BACKUP_TOOL)?;
        absolute(&self.target_dir)?;
        let mut spec = CommandSpec::new(&self.program).arg("--prepare");
        if self.more_follow && self.series.has_apply_log_only() {
            spec = spec.arg("--apply-log-only");
        }
        spec = spec.path_option("--target-dir", &self.target_dir)?;
        if let Some(incremental) = &self.incremental_dir {
            absolute(incremental)?;
            spec = spec.path_option("--incremental-dir", incremental)?;
        }
        if let Some(bytes) = self.use_memory {
            spec = spec.option("--use-memory", bytes);
        }
        Ok(spec.args(self.extra.iter().cloned()))
    }
}

fn absolute(path: &Path) -> Result<(), CommandError> {
    if path.is_absolute() { Ok(()) } else { Err(CommandError::PathNotAbsolute { path: path.to_owned() }) }
}

impl fmt::Display for BackupSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BackupSeries::Xtrabackup24 => "xtrabackup 2.4",
            BackupSeries::Xtrabackup80 => "xtrabackup 8.0",
            BackupSeries::Xtrabackup84 => "xtrabackup 8.4",
            BackupSeries::MariadbBackup => "mariadb-backup",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ToolRole, parse_version};
    use super::*;
    use insta::assert_snapshot;

    const ALL: [BackupSeries; 4] = [
        BackupSeries::Xtrabackup24,
        BackupSeries::Xtrabackup80,
        BackupSeries::Xtrabackup84,
        BackupSeries::MariadbBackup,
    ];

    fn program(series: BackupSeries) -> PathBuf {
        let name = if series.family() == Family::Mysql { "xtrabackup" } else { "mariadb-backup" };
        PathBuf::from("/usr/bin").join(name)
    }

    fn backup(series: BackupSeries) -> BackupCommand {
        BackupCommand {
            program: program(series),
            series,
            login: Login::OptionFile("/etc/dbbak/backup.cnf".into()),
            target_dir: "/store/full_2025-10-02T02-00Z/raw".into(),
            parent_dir: None,
            datadir: Some("/var/lib/mysql".into()),
            socket: None,
            parallel: Some(4),
            throttle: None,
            slave_info: false,
            galera_info: false,
            safe_slave_backup: false,
            extra: Vec::new(),
        }
    }

    fn prepare(series: BackupSeries, incremental: Option<&str>, more_follow: bool) -> PrepareCommand {
        PrepareCommand {
            program: program(series),
            series,
            target_dir: "/scratch/full".into(),
            incremental_dir: incremental.map(PathBuf::from),
            more_follow,
            use_memory: Some(1 << 30),
            extra: Vec::new(),
        }
    }

    fn lines(commands: impl IntoIterator<Item = Result<CommandSpec, CommandError>>) -> String {
        commands.into_iter().map(|spec| spec.unwrap().to_string()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn full_of_each_series() {
        assert_snapshot!(lines(ALL.map(|series| backup(series).build())), @r"
        /usr/bin/xtrabackup --defaults-file=/etc/dbbak/backup.cnf --backup --target-dir=/store/full_2025-10-02T02-00Z/raw --datadir=/var/lib/mysql --parallel=4 --no-version-check
        /usr/bin/xtrabackup --defaults-file=/etc/dbbak/backup.cnf --backup --target-dir=/store/full_2025-10-02T02-00Z/raw --datadir=/var/lib/mysql --parallel=4 --no-version-check
        /usr/bin/xtrabackup --defaults-file=/etc/dbbak/backup.cnf --backup --target-dir=/store/full_2025-10-02T02-00Z/raw --datadir=/var/lib/mysql --parallel=4 --loose-no-version-check
        /usr/bin/mariadb-backup --defaults-file=/etc/dbbak/backup.cnf --backup --target-dir=/store/full_2025-10-02T02-00Z/raw --datadir=/var/lib/mysql --parallel=4
        ");
    }

    #[test]
    fn incremental_on_a_replica_with_everything() {
        let full = |series| BackupCommand {
            parent_dir: Some("/store/full_2025-10-02T02-00Z/raw".into()),
            target_dir: "/store/incr_2025-10-03T02-00Z_from_2025-10-02T02-00Z/raw".into(),
            login: Login::ExtraOptionFile("/etc/dbbak/backup.cnf".into()),
            socket: Some("/run/mysqld/mysqld.sock".into()),
            throttle: Some(40),
            slave_info: true,
            galera_info: true,
            safe_slave_backup: true,
            extra: vec!["--open-files-limit=65536".into()],
            ..backup(series)
        };
        assert_snapshot!(lines([BackupSeries::Xtrabackup84, BackupSeries::MariadbBackup].map(|series| full(series).build())), @r"
        /usr/bin/xtrabackup --defaults-extra-file=/etc/dbbak/backup.cnf --backup --target-dir=/store/incr_2025-10-03T02-00Z_from_2025-10-02T02-00Z/raw --incremental-basedir=/store/full_2025-10-02T02-00Z/raw --datadir=/var/lib/mysql --socket=/run/mysqld/mysqld.sock --parallel=4 --throttle=40 --slave-info --galera-info --safe-slave-backup --loose-no-version-check --open-files-limit=65536
        /usr/bin/mariadb-backup --defaults-extra-file=/etc/dbbak/backup.cnf --backup --target-dir=/store/incr_2025-10-03T02-00Z_from_2025-10-02T02-00Z/raw --incremental-basedir=/store/full_2025-10-02T02-00Z/raw --datadir=/var/lib/mysql --socket=/run/mysqld/mysqld.sock --parallel=4 --throttle=40 --slave-info --galera-info --safe-slave-backup --open-files-limit=65536
        ");
    }

    #[test]
    fn prepare_of_a_chain_with_two_incrementals() {
        let chain = |series| {
            lines([
                prepare(series, None, true).build(),
                prepare(series, Some("/scratch/inc1"), true).build(),
                prepare(series, Some("/scratch/inc2"), false).build(),
            ])
        };
        assert_snapshot!(chain(BackupSeries::Xtrabackup24), @r"
        /usr/bin/xtrabackup --prepare --apply-log-only --target-dir=/scratch/full --use-memory=1073741824
        /usr/bin/xtrabackup --prepare --apply-log-only --target-dir=/scratch/full --incremental-dir=/scratch/inc1 --use-memory=1073741824
        /usr/bin/xtrabackup --prepare --target-dir=/scratch/full --incremental-dir=/scratch/inc2 --use-memory=1073741824
        ");
        assert_eq!(chain(BackupSeries::Xtrabackup80), chain(BackupSeries::Xtrabackup24));
        assert_eq!(chain(BackupSeries::Xtrabackup84), chain(BackupSeries::Xtrabackup24));
        assert_snapshot!(chain(BackupSeries::MariadbBackup), @r"
        /usr/bin/mariadb-backup --prepare --target-dir=/scratch/full --use-memory=1073741824
        /usr/bin/mariadb-backup --prepare --target-dir=/scratch/full --incremental-dir=/scratch/inc1 --use-memory=1073741824
        /usr/bin/mariadb-backup --prepare --target-dir=/scratch/full --incremental-dir=/scratch/inc2 --use-memory=1073741824
        ");
    }

    #[test]
    fn refuses_relative_paths_and_reserved_options() {
        let series = BackupSeries::MariadbBackup;
        let relative = BackupCommand { target_dir: "raw".into(), ..backup(series) };
        assert_eq!(relative.build(), Err(CommandError::PathNotAbsolute { path: "raw".into() }));
        let relative = prepare(series, Some("inc"), false);
        assert_eq!(relative.build(), Err(CommandError::PathNotAbsolute { path: "inc".into() }));
        let reserved = BackupCommand { extra: vec!["--no-lock".into()], ..backup(series) };
        assert!(matches!(reserved.build(), Err(CommandError::ReservedOption { .. })));
        let reserved = PrepareCommand { extra: vec!["--no-defaults".into()], ..prepare(series, None, false) };
        assert!(matches!(reserved.build(), Err(CommandError::ReservedOption { .. })));
    }

    #[test]
    fn tells_the_series_of_a_tool() {
        for (output, series) in [
            ("xtrabackup version 2.4.29 based on MySQL server 5.7.44 Linux", Some(BackupSeries::Xtrabackup24)),
            ("xtrabackup version 8.0.35-31 based on MySQL server 8.0.35 Linux", Some(BackupSeries::Xtrabackup80)),
            ("xtrabackup version 8.4.0-1 based on MySQL server 8.4.0 Linux", Some(BackupSeries::Xtrabackup84)),
            ("xtrabackup version 9.1.0-1 based on MySQL server 9.1.0 Linux", Some(BackupSeries::Xtrabackup84)),
            ("xtrabackup version 2.3.10 based on MySQL server 5.6.24 Linux", None),
            ("mariadb-backup based on MariaDB server 11.8.6-MariaDB Linux", Some(BackupSeries::MariadbBackup)),
        ] {
            assert_eq!(BackupSeries::of(&parse_version(ToolRole::Backup, output).unwrap()), series, "{output}");
        }
    }

    #[test]
    fn knows_which_servers_a_tool_takes() {
        let fits = |series, tool: &str, server: &str| {
            let family =
                if server.starts_with("10") || server.starts_with("11") { Family::Mariadb } else { Family::Mysql };
            supports_server(series, tool.parse().unwrap(), family, server.parse().unwrap())
        };
        use BackupSeries::*;
        assert!(fits(Xtrabackup24, "2.4.29", "5.7.44") && !fits(Xtrabackup24, "2.4.29", "8.0.35"));
        assert!(fits(Xtrabackup80, "8.0.35", "8.0.42") && fits(Xtrabackup80, "8.0.30", "8.0.28"));
        assert!(!fits(Xtrabackup80, "8.0.30", "8.0.32") && !fits(Xtrabackup80, "8.0.35", "8.4.0"));
        assert!(fits(Xtrabackup84, "8.4.0", "8.4.8") && !fits(Xtrabackup84, "9.1.0", "8.4.8"));
        assert!(fits(MariadbBackup, "10.11.19", "10.11.4") && !fits(MariadbBackup, "10.11.19", "11.8.6"));
        assert!(!fits(MariadbBackup, "10.11.19", "8.0.35") && !fits(Xtrabackup80, "8.0.35", "10.11.4"));
    }
}
