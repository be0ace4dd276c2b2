//! What helps where no plan is possible.

use crate::hints::{keep_hint, keyring_hints, lacking_hints, prepared_hints, server_hint};
use dbbak_core::{
    catalog::Finding,
    model::GtidSet,
    plan::{NeededFor, NotReadable, PlanError, UnmarkError, Whereabouts},
    tools::ToolRole,
};

pub(crate) fn plan_hints(error: &PlanError) -> Vec<String> {
    let hint = |text: &str| vec![text.to_owned()];
    match error {
        PlanError::PutsOutside { table: true, .. } => {
            hint("--replay relay makes such a table in the restored data directory")
        }
        PlanError::PutsOutside { .. } => {
            hint("--skip-gtid leaves the transaction out, with what depends on it; or restore to before it")
        }
        PlanError::Closed(refusal) => not_readable_hints(refusal),
        PlanError::Lacks(lack) => lacking_hints(&lack.name, lack.library.as_deref()),
        PlanError::NoRelay { .. } => hint("--replay auto takes the pipe there"),
        PlanError::SkipNotInWindow { .. } => hint("`dbbak find` shows the transactions of the archive"),
        PlanError::NoFull => hint("take one with `dbbak backup-full --exec`"),
        PlanError::NoFullBefore { oldest: Some(oldest), .. } => {
            vec![
                format!("ask for {} or later, or see `dbbak list`", oldest.format("%Y-%m-%d %H:%M:%S")),
                "without --exact a time is floored to pitr_round_minutes: --exact takes it as it stands".into(),
            ]
        }
        PlanError::UnknownBackup { nearest, .. } if !nearest.is_empty() => {
            let nearest: Vec<String> = nearest.iter().map(ToString::to_string).collect();
            vec![format!("the nearest are {}", nearest.join(", "))]
        }
        PlanError::UnknownBackup { .. } => hint("`dbbak list` names the backups"),
        PlanError::BackupLost { .. } => {
            hint("bring its directory back into the store, or name another backup: `dbbak list` names those that are there")
        }
        PlanError::NoClonePlugin { state: None } => {
            hint("an administrator installs it: INSTALL PLUGIN clone SONAME 'mysql_clone.so'")
        }
        PlanError::NoDonorAccount { .. } => {
            hint("set mysql_option_file: PATH, with user and password in its group [client]")
        }
        PlanError::NoClonePlugin { .. } => hint("the server must be started without --clone=OFF"),
        PlanError::ClonedElsewhere { .. } => vec!["--engine xtrabackup or --engine dump, or move them".into()],
        PlanError::CloneOfAnother { .. } => {
            vec!["run dbbak as root or as the server's user, or take another engine".into()]
        }
        PlanError::NotCloned { .. } => {
            hint("ALTER TABLE ... ENGINE=InnoDB, or take the full with xtrabackup (--engine xtrabackup)")
        }
        PlanError::NotTransactional { .. } => vec![
            "--non-transactional lock locks all tables for the whole dump: nobody can write meanwhile".into(),
            "or ALTER TABLE ... ENGINE=InnoDB; --non-transactional accept gives a dump that no replay can start from"
                .into(),
        ],
        PlanError::NotInDump { floats: true, .. } => vec![
            "take the full with a physical engine, or ALTER TABLE ... MODIFY to DOUBLE, which holds each FLOAT and is dumped exactly".into(),
            "rounded_floats: accept in the configuration gives a dump that no replay can start from".into(),
        ],
        PlanError::NotInDump { .. } => hint("take the full with a physical engine: xtrabackup, mariadb-backup or clone"),
        PlanError::Prepared { .. } => prepared_hints(),
        PlanError::DumpPrivileges { missing } => {
            vec![format!("GRANT {} ON *.* TO the account", missing.join(", "))]
        }
        PlanError::NoKeyring { keyring, .. } => keyring_hints(keyring.as_deref()),
        PlanError::KeyInTheClear { .. } => {
            hint("put the secret into a file, and name that on the server: file_key_management_filekey = FILE:/path")
        }
        PlanError::NoInstallDb => hint("set mariadb_install_db: PATH in the configuration"),
        PlanError::NoIncrementals { .. } => hint("take another full with `dbbak backup-full --exec`"),
        PlanError::Mismatch { what, .. } if what.starts_with("a clone of a ") => {
            hint("the copy is opened once by a server of the very same version: set mysqld: PATH in the configuration")
        }
        PlanError::NotAFull { base, .. } => vec![format!("use --base-ts {base}")],
        PlanError::MissingParent { .. } | PlanError::BrokenChain { .. } | PlanError::AmbiguousParent { .. } => {
            hint("take a new full with `dbbak backup-full --exec`; --backup TS names an older backup to restore")
        }
        PlanError::TargetInFuture { .. } => hint("times without an offset are UTC"),
        PlanError::TargetBeyondBinlogs { timeline, .. } => vec![
            "archive what the server has: `dbbak ship-binlogs --flush --exec`".into(),
            format!("or land at the end of the archive: --latest --timeline {timeline}"),
        ],
        PlanError::BinlogGap { end, finding, .. } => {
            let mut hints = vec![keep_hint(&end.position.file, end.position.position, &end.timeline)];
            if let Some(Finding::OtherHistory { unknown, .. }) = finding.as_deref()
                && matches!(unknown.parse(), Ok(GtidSet::Mariadb(_)))
            {
                // An older dbbak did not record that numbers went back.
                hints.push("if the server's GTID numbers were set back there (`gtid_seq_no`): `dbbak reindex --exec` finds that out".into());
            }
            hints
        }
        PlanError::DamagedBinlog { end, .. } => {
            vec![keep_hint(&end.position.file, end.position.position, &end.timeline)]
        }
        PlanError::PositionNotBoundary { position, before, after } => {
            let file = &position.file;
            let after = after.map(|after| format!(" or --position {file}:{after}")).unwrap_or_default();
            vec![format!("use --position {file}:{before}{after}")]
        }
        PlanError::OtherTimeline { latest: Some(latest), stitch, .. } => vec![
            format!("the latest moment before it: --exact --time \"{}\"", latest.format("%Y-%m-%d %H:%M:%S%.f")),
            format!("a full backup of the server of timeline {} makes the time after it restorable", stitch.to),
        ],
        PlanError::CannotCross { from, to, .. } => vec![
            format!("what timeline {from} holds can be restored: add --timeline {from}"),
            format!("a full backup of the server of timeline {to} makes the time after it restorable"),
        ],
        PlanError::TargetNotArchived { whereabouts, .. } => match &**whereabouts {
            Whereabouts::BeyondArchive { timeline, .. } => vec![
                "archive what the server has: `dbbak ship-binlogs --flush --exec`".into(),
                format!("or land at the end of the archive: --latest --timeline {timeline}"),
            ],
            Whereabouts::InGap { .. } | Whereabouts::BeforeArchive { .. } => {
                hint("if the server or a copy of it still has these binlogs, archive them: `dbbak ship-binlogs --exec`")
            }
            Whereabouts::BehindGoodPart { timeline, file, last_good } => {
                vec![keep_hint(file, *last_good, timeline)]
            }
            _ => Vec::new(),
        },
        PlanError::GtidRepeated { first, again, .. } => {
            vec![format!("name the place instead: --position {first} or --position {again} cuts before it")]
        }
        PlanError::AmbiguousTimeline { candidates, .. } => {
            let options: Vec<String> = candidates.iter().map(|span| format!("--timeline {}", span.id)).collect();
            vec![format!("say which is meant: {}", options.join(" or "))]
        }
        PlanError::NoBackupInTimeline { .. } => hint(
            "take a full of that server with `dbbak backup-full --exec`; `dbbak list` shows what can be restored; --timeline names another timeline",
        ),
        PlanError::NoBackupBefore { oldest: Some(oldest), .. } => {
            vec![format!("the first state there: --backup {}", oldest.0)]
        }
        PlanError::BackupHoldsTarget { .. } => {
            hint("leave --backup out to have the last backup before the target chosen")
        }
        PlanError::CoordinatesNotArchived { .. } => {
            vec![
                "if the server still has it, archive it: `dbbak ship-binlogs --flush --exec`".into(),
                "if it was purged, no replay starts from this backup: restore it as it is (--no-pitr), or another one (--backup TS)".into(),
            ]
        }
        PlanError::BackupWithoutPitr { backup, .. } => vec![format!("restore it as it is: --backup {backup}")],
        PlanError::Tool { role: ToolRole::Backup, path: None, .. } => {
            hint("install it (mariadb-backup, or percona-xtrabackup for your MySQL series), or set xtrabackup: PATH")
        }
        PlanError::Tool { path: None, role, .. } => {
            vec![format!("install it, or set {}: PATH in the configuration", config_key(*role))]
        }
        PlanError::Tool { path: Some(path), role, .. } => {
            let (path, key) = (path.display(), config_key(*role));
            vec![format!("{path} is what was named or found; set {key}: PATH in the configuration to the right one")]
        }
        PlanError::Mismatch { what, .. } if what.contains(" of the server and of the parent ") => {
            hint("an incremental needs its parent's server; take a new full with `dbbak backup-full --exec`")
        }
        PlanError::Mismatch { what, .. } if what.starts_with("the version series of the private server") => {
            hint("install the server of that series beside the other, unpacked, and set mysqld: PATH in the configuration, and mysql, mysqlbinlog likewise")
        }
        PlanError::Mismatch { what, .. } if what.starts_with("the vendor of ") => {
            hint("install that vendor's, and name it in the configuration (mysqld, mysql, mysqlbinlog: PATH)")
        }
        PlanError::Mismatch { what, .. } if what.contains(" server") => {
            hint("install the tool that fits, and set xtrabackup: PATH in the configuration")
        }
        PlanError::Mismatch { what, .. } if what == "the binlog reader" => {
            hint("install the server vendor's own, and set mysqlbinlog: PATH in the configuration")
        }
        PlanError::BackupAfterTarget { .. } => {
            hint("leave --backup out to have the newest backup before the target chosen, or see `dbbak list`")
        }
        PlanError::NamedTool { key, .. } => {
            vec![format!("correct {key} in the configuration, or take it out to have the program looked for on PATH")]
        }
        PlanError::UnusableLink { link, .. } => vec![
            "name an older backup, or none: the newest that can be applied is taken then, and binlogs; take a new full"
                .into(),
            format!("where the tool or a disk was at fault: `dbbak unmark {link} --exec` tries it again"),
        ],
        PlanError::Unmark(UnmarkError::OnMarked { link, .. }) => {
            vec![format!("`dbbak unmark {link} --exec` tries that one again")]
        }
        PlanError::Unmark(UnmarkError::NotMarked { .. }) => hint("`dbbak list` names the marks"),
        PlanError::ServerUnreachable { problem, .. } => vec![server_hint(problem).to_owned()],
        PlanError::NotInPast { .. } => hint(
            "take a new full with `dbbak backup-full --exec`; without --base-ts an incremental becomes one by itself",
        ),
        PlanError::WorkdirNotEmpty { .. } => hint("name another with --workdir, or remove what lies in it"),
        PlanError::JournalOfAnother { .. } => {
            hint("give the options of that restore to go on with it, or name another directory with --workdir")
        }
        PlanError::JournalUnusable { .. } | PlanError::Unproven { .. } => {
            hint("look at what lies there, remove the whole directory, and restore again")
        }
        PlanError::WorkdirInUse { .. } => hint("wait for its end, or end it"),
        PlanError::ClosedToUser { dir, user, .. } => vec![
            format!("name a --workdir or programs elsewhere, or let {user} pass: chmod o+x {}", dir.display()),
            "server.run_as: USER in the configuration names another user; only `root` gives them all rights".into(),
        ],
        PlanError::NoPrivateUser { .. } => hint("server.run_as: USER in the configuration names a user of this system"),
        PlanError::NoScratch { .. } => hint("set scratch_dir to a local directory with room for a copy of the data"),
        PlanError::NotEnoughSpace { .. } => hint("free some space, or name another place with --workdir"),
        PlanError::NoBinlog => hint("set log_bin in the server's configuration and restart it"),
        PlanError::BinlogDirUnknown { .. } => {
            hint("set binlog_source_dir in the configuration, or have the server send them: --from-server")
        }
        PlanError::BinlogInEngine { .. } => {
            hint("a replica with log_slave_updates=ON and a binlog in files can be archived in its place")
        }
        PlanError::StampTaken { .. } => hint("try again in a second"),
        _ => Vec::new(),
    }
}

/// The key that names a program in the configuration.
fn config_key(role: ToolRole) -> &'static str {
    match role {
        ToolRole::BinlogReader => "mysqlbinlog",
        ToolRole::Client => "mysql",
        ToolRole::Server => "mysqld",
        ToolRole::Dump => "mysqldump",
        ToolRole::Backup => "xtrabackup",
    }
}

/// What lets a tool, the server or dbbak read what it needs.
fn not_readable_hints(refusal: &NotReadable) -> Vec<String> {
    if refusal.needed_for == NeededFor::Clone {
        return vec![format!(
            "the server itself writes the clone: `chmod o+x {}`, or set scratch_dir to a directory that it can reach",
            refusal.path.display()
        )];
    }
    let or_user = refusal.server_user.map_or_else(String::new, |user| format!(" or as user {user}"));
    let mut hints = vec![format!("run dbbak as root{or_user}; docs/users.md says which rights else suffice")];
    hints.push(match refusal.needed_for {
        NeededFor::Binlogs => "or have the server send its binlogs: `dbbak ship-binlogs --from-server`".into(),
        _ if refusal.path.file_name().is_some_and(|name| name == "lost+found") => {
            "lost+found is no database: name it in the server's ignore_db_dirs (MariaDB), or move the data one directory deeper".into()
        }
        _ => "or take a dump, which reads no files of the server: `dbbak backup-full --engine dump`".into(),
    });
    hints
}

#[cfg(test)]
mod tests {
    use super::*;
    use dbbak_core::{model::BinlogPosition, plan::ReplayEnd};

    /// Only MariaDB lets the numbers go back.
    #[test]
    fn a_gap_that_may_be_none_is_looked_into() {
        let hints = |unknown: &str| {
            let (after, next) = ("bin.000001".parse().unwrap(), "bin.000002".parse().unwrap());
            let end = BinlogPosition { file: "bin.000001".parse().unwrap(), position: 700 };
            let gap = PlanError::BinlogGap {
                backup: "2025-10-02T02-00Z".parse().unwrap(),
                after: "bin.000001".parse().unwrap(),
                finding: Some(Box::new(Finding::OtherHistory { after, next, unknown: unknown.to_owned() })),
                latest: None,
                end: Box::new(ReplayEnd { position: end, timeline: "t1".into() }),
            };
            plan_hints(&gap).into_iter().filter(|hint| hint.contains("`dbbak reindex --exec`")).count()
        };
        assert_eq!(hints("0-1-4"), 1);
        assert_eq!(hints("3e11fa47-71ca-11e1-9e33-c80aa9429562:7"), 0);
    }
}
