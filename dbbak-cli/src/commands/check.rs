//! `dbbak check`.

use crate::{
    CommandError,
    context::Context,
    exit_code,
    hints::{LINK, NOT_READABLE, server_hint},
    output,
    plan_hints::plan_hints,
};
use dbbak_core::{
    clock::Clock,
    setup::{Finding, Severity, StoreTrouble},
    tools::ToolRole,
};
use serde_json::{Value, json};

pub(super) fn run(context: &Context) -> Result<u8, CommandError> {
    let findings = context.planning().check()?;
    let problems = findings.iter().filter(|finding| finding.severity() == Severity::Problem).count();
    if context.json {
        let findings: Vec<Value> = findings
            .iter()
            .map(|finding| {
                json!({ "severity": finding.severity(), "text": text(finding), "remedy": remedy(finding), "facts": finding })
            })
            .collect();
        output::json(&json!({ "version": 1, "at": context.clock.now(), "problems": problems, "findings": findings }))?;
    } else {
        for finding in &findings {
            let mark = match finding.severity() {
                Severity::Ok => "ok     ",
                Severity::Warning => "WARNING",
                Severity::Problem => "PROBLEM",
            };
            output::text(&format!("{mark}  {}\n", text(finding)))?;
            if let Some(remedy) = remedy(finding) {
                output::text(&format!("         -> {remedy}\n"))?;
            }
        }
    }
    if problems > 0 {
        return Err(CommandError::CheckFailed { problems });
    }
    Ok(exit_code::DONE)
}

fn text(finding: &Finding) -> String {
    match finding {
        Finding::Store { backups, binlogs, orphans } => {
            format!(
                "store: {}, {}, {}",
                output::count(*backups, "backup"),
                output::count(*binlogs, "archived binlog"),
                output::count(*orphans, "orphan")
            )
        }
        Finding::StoreUnusable { problem, .. } => format!("store: {problem}"),
        Finding::StoreLacks { loss } => format!("store: {loss}"),
        Finding::BackupUnusable { backup, reason, newest } => {
            let newer = if *newest { ", and no newer backup is whole" } else { "" };
            format!("backup: {backup} cannot be applied ({reason}); restores pass it over{newer}")
        }
        Finding::Unlisted { count } => {
            format!("store: {count} finished backups or archived binlogs are in no list")
        }
        Finding::Gap { timeline, gap } => format!("gap: {gap} (timeline {timeline}), and no backup was taken since"),
        Finding::StoreWithoutFile => "store: made by another program; it can be read, not written".into(),
        Finding::StoreNotWritable { path } => format!("store: {} is not writable", path.display()),
        Finding::Tool { role, path, version } => format!("{}: {} is {version}", name(*role), path.display()),
        Finding::ToolUnusable { role, path, problem } => match path {
            Some(path) => format!("{}: {} cannot be used: {problem}", name(*role), path.display()),
            None => format!("{}: {problem}", name(*role)),
        },
        Finding::ToolMisfit { role, expected, found } => {
            format!("{}: expected {expected}; found {found}", name(*role))
        }
        Finding::Engine { name, reason: Some(reason) } => format!("engine: {name} ({reason})"),
        Finding::Engine { name, reason: None } => format!("engine: {name}"),
        Finding::EngineMissing { name, missing, chosen: true } => {
            format!("engine: {name} cannot be used: {}", missing.join("; "))
        }
        Finding::EngineMissing { name, missing, chosen: false } => {
            format!("engine: {name} would do without a backup tool, and cannot be used: {}", missing.join("; "))
        }
        Finding::Server { version, datadir } => format!("server: {version}, data in {}", datadir.display()),
        Finding::ServerUntested { series } => format!("server: {series}"),
        Finding::ServerUnreachable { problem, .. } => format!("server: {problem}"),
        Finding::Grants => "account: it has the privileges that dbbak needs".into(),
        Finding::GrantsMissing { missing } => format!("account: it lacks {}", missing.join(", ")),
        Finding::SelectMissing { tables } => format!("account: it lacks SELECT on {}", tables.join(", ")),
        Finding::Binlog { format } => format!("binlog: on, format {format}"),
        Finding::BinlogOff => "binlog: off, so that no point-in-time recovery is possible".into(),
        Finding::BinlogChecksumOff => "binlog: events carry no checksums, so that damage goes unnoticed".into(),
        Finding::BinlogNotSynced { value } => {
            format!("binlog: sync_binlog is {value}: a crash of the machine may lose its end")
        }
        Finding::SettingsUnknown { names } => {
            format!("settings: this dbbak does not know {}", names.join(", "))
        }
        Finding::SettingTold { name, value, what } => format!("settings: {name} is {value}: {what}"),
        Finding::SystemZone { zone } => {
            format!("settings: time_zone is SYSTEM, and the server's machine is not in UTC ({zone})")
        }
        Finding::BinlogDir { path, waiting } => {
            let wait = if *waiting == 1 { "waits" } else { "wait" };
            format!("binlogs: {} in {} {wait} to be archived", output::count(*waiting, "closed file"), path.display())
        }
        Finding::BinlogDirUnreadable { path, problem } => match path {
            Some(path) => format!("binlogs: {}: {problem}", path.display()),
            None => format!("binlogs: {problem}"),
        },
        Finding::MayFetch => {
            "from server: the account may have it send its binlogs (ship-binlogs --from-server)".into()
        }
        Finding::MayNotFetch { missing } => format!(
            "from server: not all binlogs can be read here, and without {} the server does not send them",
            missing.join(", ")
        ),
        Finding::Expiry { seconds: Some(seconds) } => {
            format!("expiry: the server keeps binlogs for {}", span(*seconds))
        }
        Finding::Expiry { seconds: None } => "expiry: the server keeps binlogs until they are purged".into(),
        Finding::ExpiryTooShort { seconds, waiting_seconds: Some(waiting) } => format!(
            "expiry: the server keeps binlogs for {}, and one waits to be archived since {}",
            span(*seconds),
            span(u64::try_from(*waiting).unwrap_or(0))
        ),
        Finding::ExpiryTooShort { seconds, waiting_seconds: None } => {
            format!("expiry: the server keeps binlogs for only {}", span(*seconds))
        }
        Finding::Clock => "clock: this machine and the server agree".into(),
        Finding::ClockSkew { seconds } => format!("clock: the server is {seconds} s ahead of this machine"),
        Finding::OptionFile { path } => format!("option file: {}", path.display()),
        Finding::OptionFileMode { path, mode } => {
            format!("option file: {} has mode {mode:04o}: others may read the password", path.display())
        }
        Finding::OptionFileMissing { path } => format!("option file: {} is not there", path.display()),
        Finding::Encrypted { what, keyring } => {
            format!("encryption: {what}; private servers are told where the keys are{}", kept_by(keyring.as_deref()))
        }
        Finding::NoKeyring { what, keyring } => {
            format!(
                "encryption: {what}; a private server would not find the keys, and nothing could be restored{}",
                kept_by(keyring.as_deref())
            )
        }
        Finding::DatadirUnreadable { path } => format!("data directory: {} cannot be read", path.display()),
        Finding::FullRefused { problem } => format!("full: {problem}"),
        Finding::FilesOutside { files } => format!(
            "tables: files outside of the data directory, and a full that holds such tables is not restored: {}",
            names(files)
        ),
        Finding::TablesBroken { tables } => format!(
            "tables: without their tablespace on the server (discarded, or the file is gone), and so in backups: {}",
            names(tables)
        ),
        Finding::MemoryTables { tables } => {
            format!("tables: of the engine MEMORY, whose rows are in no backup: {}", names(tables))
        }
        Finding::Space { path, free, needed: None } => {
            format!(
                "space: {} free in {}; how much a full needs is not known, since the size of the data is not",
                output::bytes(*free),
                path.display()
            )
        }
        Finding::Space { path, free, needed: Some(needed) } => {
            format!(
                "space: {} free in {}, a full needs about {}",
                output::bytes(*free),
                path.display(),
                output::bytes(*needed)
            )
        }
        Finding::SpaceLow { path, free, needed } => format!(
            "space: only {} free in {}, a full needs about {}",
            output::bytes(*free),
            path.display(),
            output::bytes(*needed)
        ),
        Finding::FormChanges { before, chosen } => {
            format!(
                "engine: auto takes the next full by {chosen}, and the newest was taken by {before}: nothing goes on its chain"
            )
        }
        Finding::NamedToolUnusable { path, problem } => {
            format!("backup tool: xtrabackup names {}, which cannot be used: {problem}", path.display())
        }
        Finding::NoScratch { problem } => format!("scratch: {problem}"),
        _ => format!("{finding:?}"),
    }
}

/// What to do about a finding.
fn remedy(finding: &Finding) -> Option<String> {
    Some(match finding {
        Finding::StoreUnusable { trouble: StoreTrouble::Missing, .. } => "is nfs_root right, and is it mounted? `dbbak init` makes a new store".into(),
        Finding::StoreUnusable { trouble: StoreTrouble::Closed, .. } => NOT_READABLE.into(),
        Finding::StoreUnusable { trouble: StoreTrouble::Linked, .. } => LINK.into(),
        Finding::StoreUnusable { .. } | Finding::Unlisted { .. } => {
            "`dbbak reindex` shows what can be rebuilt of the store's lists, `dbbak reindex --exec` does it".into()
        }
        Finding::StoreLacks { .. } => {
            "bring it back, or take a new full; `dbbak ship-binlogs --exec` archives binlogs again that the server still has".into()
        }
        Finding::Gap { .. } => "take a full: restores lead on from it".into(),
        Finding::BackupUnusable { newest: true, backup, .. } => {
            format!("take a full (`dbbak backup-incr` takes one by itself); `dbbak unmark {backup}` tries it again")
        }
        Finding::StoreWithoutFile => "`dbbak init` makes it writable".into(),
        Finding::StoreNotWritable { .. } => "run dbbak as the store's owner, or change its mode".into(),
        Finding::ToolUnusable { role, .. } | Finding::ToolMisfit { role, .. } => {
            format!("install the right one, or set {}: PATH in the configuration", key(*role))
        }
        Finding::EngineMissing { name, missing, .. } if missing.iter().any(|lacked| lacked.starts_with("a server of ")) => {
            format!("the server cannot be cloned by its vendor and series, whatever is installed: leave `engine: {name}` out")
        }
        Finding::EngineMissing { name, .. } if name == "clone" => {
            "INSTALL PLUGIN clone SONAME 'mysql_clone.so' and GRANT BACKUP_ADMIN ON *.* TO the account, where these are missing; \
             tables of other engines want `engine: dump`; `dbbak engines` tells of all engines"
                .into()
        }
        Finding::EngineMissing { .. } => "`dbbak engines` tells of all engines".into(),
        Finding::ServerUnreachable { problem, .. } => server_hint(problem).into(),
        Finding::GrantsMissing { missing } => format!("GRANT {} ON *.* TO the account", missing.join(", ")),
        Finding::SelectMissing { tables } => {
            let grants: Vec<String> = tables.iter().map(|table| format!("GRANT SELECT ON {table} TO the account")).collect();
            grants.join("; ")
        }
        Finding::BinlogOff => "set log_bin in the server's configuration and restart it".into(),
        Finding::BinlogChecksumOff => "SET GLOBAL binlog_checksum = CRC32".into(),
        Finding::BinlogNotSynced { .. } => "SET GLOBAL sync_binlog = 1, unless its cost is too high for you".into(),
        Finding::SettingsUnknown { .. } => {
            "a replay does not take them over; where statements depend on one, give it under server.options".into()
        }
        Finding::SettingTold { .. } => "a replay does not take it over: `docs/settings.md`".into(),
        Finding::SystemZone { .. } => {
            "set server.time_zone to the zone's name (America/New_York), so that logged DDL is replayed in it".into()
        }
        Finding::BinlogDirUnreadable { .. } => {
            "run dbbak on the server's host as a user that may read it, or `dbbak ship-binlogs --from-server`".into()
        }
        Finding::MayNotFetch { missing } => {
            format!("GRANT {} ON *.* TO the account, then `dbbak ship-binlogs --from-server`", missing.join(", "))
        }
        Finding::ExpiryTooShort { waiting_seconds: Some(_), .. } => {
            "`dbbak ship-binlogs --exec` now, and run it every few minutes".into()
        }
        Finding::ExpiryTooShort { .. } => {
            "raise binlog_expire_logs_seconds: a shipping that broke at night must be repaired before it".into()
        }
        Finding::ClockSkew { .. } => "synchronise both clocks: targets are times".into(),
        Finding::OptionFileMode { path, .. } => format!("chmod 600 {}", path.display()),
        Finding::OptionFileMissing { .. } => {
            "write it: [client], user, password, socket or host; then chmod 600".into()
        }
        Finding::DatadirUnreadable { .. } => "run dbbak on the server's host as a user that may read it".into(),
        Finding::FullRefused { problem } => plan_hints(problem).join("; "),
        Finding::FilesOutside { .. } => {
            "copy the tables into new ones without DATA DIRECTORY or TABLESPACE and rename these, or take fulls with `engine: dump`".into()
        }
        Finding::TablesBroken { .. } => "import their tablespaces, or drop the tables".into(),
        Finding::MemoryTables { .. } => {
            "a replay stops at a change of a row that they had at the backup; --skip-gtid leaves it out".into()
        }
        Finding::NoKeyring { .. } => {
            "MySQL: list mysqld.my and the component's configuration under server.keyring_files; MariaDB: give the plugin's \
             options under server.options"
                .into()
        }
        Finding::SpaceLow { .. } => "free some space, or keep fewer trees (prepared: redo, final or none)".into(),
        Finding::FormChanges { .. } => {
            "install the backup tool again, or name the engine that is meant (`engine`)".into()
        }
        Finding::NamedToolUnusable { .. } => "correct xtrabackup in the configuration".into(),
        Finding::NoScratch { .. } => "set scratch_dir to a local directory with room for a copy of the data".into(),
        _ => return None,
    })
}

fn kept_by(keyring: Option<&str>) -> String {
    keyring.map_or(String::new(), |keyring| format!(" ({keyring})"))
}

/// The first of them, as they are safe to be shown.
fn names(names: &[String]) -> String {
    const NAMED: usize = 10;
    let first: Vec<_> = names.iter().take(NAMED).map(|name| name.escape_debug().to_string()).collect();
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", first.join(", "))
}

fn name(role: ToolRole) -> &'static str {
    match role {
        ToolRole::Backup => "backup tool",
        ToolRole::BinlogReader => "binlog reader",
        ToolRole::Client => "client",
        ToolRole::Server => "server program",
        ToolRole::Dump => "dump program",
    }
}

fn key(role: ToolRole) -> &'static str {
    match role {
        ToolRole::Backup => "xtrabackup",
        ToolRole::BinlogReader => "mysqlbinlog",
        ToolRole::Client => "mysql",
        ToolRole::Server => "mysqld",
        ToolRole::Dump => "mysqldump",
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} seconds"),
        120..=7199 => format!("{} minutes", seconds / 60),
        7200..=172_799 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86400),
    }
}
