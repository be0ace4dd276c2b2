//! How the vendors' programs get their credentials: through option files, never through dbbak.

use super::command::{CommandError, CommandSpec};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Where a client program finds user, password, host, socket and TLS settings.
///
/// It becomes the first argument: the programs take these options nowhere else (`--defaults-file must be specified first
/// on the command line`). The client and the backup tools of both vendors read its `[client]` group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Login {
    /// The option files that the program reads by itself.
    #[default]
    Defaults,
    /// This option file and no other.
    OptionFile(PathBuf),
    /// This option file after those that the program reads by itself: for servers whose own `[mysqld]` group the backup
    /// tool must see (keyrings, plugins).
    ExtraOptionFile(PathBuf),
}

impl Login {
    /// A command that begins with this login.
    ///
    /// # Errors
    ///
    /// [`CommandError::PathNotUtf8`].
    pub(super) fn command(&self, program: &Path) -> Result<CommandSpec, CommandError> {
        let spec = CommandSpec::new(program);
        match self {
            Login::Defaults => Ok(spec),
            Login::OptionFile(path) => spec.path_option("--defaults-file", path),
            Login::ExtraOptionFile(path) => spec.path_option("--defaults-extra-file", path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_first_or_not_at_all() {
        let first = |login: Login| {
            let spec = login.command(Path::new("/usr/bin/mysql")).unwrap().arg("--batch");
            spec.masked_args().next().map(str::to_owned)
        };
        assert_eq!(first(Login::Defaults).as_deref(), Some("--batch"));
        assert_eq!(first(Login::OptionFile("/a/b".into())).as_deref(), Some("--defaults-file=/a/b"));
        assert_eq!(first(Login::ExtraOptionFile("/a/b".into())).as_deref(), Some("--defaults-extra-file=/a/b"));
    }
}
