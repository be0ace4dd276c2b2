//! Checks the arguments as the real tools do.

use super::Refusal;
use dbbak_testkit::shim::run::Invocation;
use std::path::Path;

/// What the tool is asked to do.
pub(crate) enum Mode {
    /// `--backup`.
    Backup,
    /// `--prepare`.
    Prepare,
    /// `--copy-back` or `--move-back`.
    CopyBack,
}

/// Options that both tools take, as far as dbbak and its tests use them.
const KNOWN: &[&str] = &[
    "backup",
    "prepare",
    "copy-back",
    "move-back",
    "target-dir",
    "incremental-basedir",
    "incremental-dir",
    "incremental-lsn",
    "datadir",
    "socket",
    "user",
    "host",
    "port",
    "parallel",
    "throttle",
    "slave-info",
    "galera-info",
    "safe-slave-backup",
    "safe-slave-backup-timeout",
    "use-memory",
    "open-files-limit",
    "tmpdir",
    "no-version-check",
    "ftwrl-wait-timeout",
    "kill-long-queries-timeout",
    "innodb-data-file-path",
];

pub(crate) fn check(call: &Invocation) -> Result<Mode, Refusal> {
    let mariadb = call.scenario.series.is_mariadb();
    for (at, arg) in call.args.iter().enumerate() {
        let Some(option) = arg.strip_prefix("--") else {
            return Err(Refusal::of(format!("Error: unknown argument: '{arg}'")));
        };
        let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
        let name = name.replace('_', "-");
        if matches!(name.as_str(), "defaults-file" | "defaults-extra-file") {
            if at > 0 {
                return Err(Refusal::of(format!("--{name} must be specified first on the command line")));
            }
            let path = value.unwrap_or_default();
            if !Path::new(path).is_file() {
                return Err(Refusal {
                    lines: vec![
                        format!("Could not open required defaults file: {path}"),
                        "Fatal error in defaults handling. Program aborted".into(),
                    ],
                    code: 1,
                });
            }
            continue;
        }
        let no_defaults = name == "no-defaults" && at == 0;
        // mariadb-backup dropped the option that XtraBackup cannot do without.
        let apply_log_only = name == "apply-log-only" && !mariadb;
        if no_defaults || apply_log_only || name.starts_with("loose-") || KNOWN.contains(&name.as_str()) {
            continue;
        }
        let program = &call.program;
        return Err(match (mariadb, value) {
            (true, Some(_)) => Refusal { lines: vec![format!("{program}: unknown variable '{option}'")], code: 7 },
            (true, None) => Refusal { lines: vec![format!("{program}: unknown option '--{option}'")], code: 2 },
            (false, _) => {
                Refusal { lines: vec![format!("{program}: [ERROR] unknown option '--{option}'.")], code: 255 }
            }
        });
    }
    let modes = [call.has("backup"), call.has("prepare"), call.has("copy-back") || call.has("move-back")];
    match modes {
        [true, false, false] => Ok(Mode::Backup),
        [false, true, false] => Ok(Mode::Prepare),
        [false, false, true] => Ok(Mode::CopyBack),
        _ => {
            Err(Refusal::of("Usage: [--defaults-file=#] [--backup | --prepare | --copy-back | --move-back] [OPTIONS]"))
        }
    }
}
