//! Words messages as each series does.

use dbbak_testkit::shim::{
    Series,
    run::{Invocation, say},
};

/// How a series words its messages. The stamps are always the same: no test may depend on them.
pub(crate) struct Voice<'a> {
    call: &'a Invocation,
}

impl<'a> Voice<'a> {
    pub(crate) fn of(call: &'a Invocation) -> Self {
        Voice { call }
    }

    /// The line that `--version` prints, and each run near its start: on standard error, as the tools do.
    pub(crate) fn version(&self) {
        let (program, version) = (&self.call.program, &self.call.scenario.tool_version);
        let base = &self.call.scenario.server_version;
        let base = base.split('-').next().unwrap_or(base);
        say(&if self.call.scenario.series.is_mariadb() {
            format!("{program} based on MariaDB server {version} debian-linux-gnu (x86_64)")
        } else {
            format!("{program} version {version} based on MySQL server {base} Linux (x86_64) (revision id: 5ba706ee)")
        });
    }

    /// Prints a note.
    pub(crate) fn note(&self, text: &str) {
        say(&self.line(text));
    }

    /// A message as a whole line.
    pub(crate) fn line(&self, text: &str) -> String {
        match self.call.scenario.series {
            Series::Xtrabackup24 => format!("261121 03:00:00 {text}"),
            Series::Xtrabackup80 | Series::Xtrabackup84 => {
                format!("2026-11-21T03:00:00.000000-00:00 0 [Note] [MY-011825] [Xtrabackup] {text}")
            }
            Series::Mariadb1011 | Series::Mariadb118 => format!("[00] 2026-11-21 03:00:00 {text}"),
        }
    }

    /// An error message as a whole line.
    pub(crate) fn error_line(&self, text: &str) -> String {
        match self.call.scenario.series {
            Series::Xtrabackup24 => format!("xtrabackup: error: {text}"),
            Series::Xtrabackup80 | Series::Xtrabackup84 => {
                format!("2026-11-21T03:00:00.000000-00:00 0 [ERROR] [MY-011825] [Xtrabackup] {text}")
            }
            Series::Mariadb1011 | Series::Mariadb118 => format!("[00] 2026-11-21 03:00:00 error: {text}"),
        }
    }
}
