//! Finds the configuration and the home directory.

use crate::CommandError;
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// The variable that names the configuration where no option does.
pub(crate) const VARIABLE: &str = "DBBAK_CONFIG";
/// Below the home directory.
const PERSONAL: &str = ".dbbak.yml";
/// The configuration of the machine.
const SYSTEM: &str = "/etc/dbbak.yml";

/// A configuration that was read.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

/// Reads the configuration: the one that the command line names, else that of `DBBAK_CONFIG`, else `~/.dbbak.yml`, else
/// `/etc/dbbak.yml`.
pub(crate) fn read(named: Option<&Path>, home: Option<&Path>) -> Result<Found, CommandError> {
    let variable = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    let fail = |path: PathBuf| move |source| CommandError::ConfigFile { path, source };
    if let Some(path) = named.map(Path::to_owned).or(variable) {
        let path = match (path.strip_prefix("~"), home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path,
        };
        return fs::read(&path).map(|bytes| Found { path: path.clone(), bytes }).map_err(fail(path));
    }
    let usual = home.map(|home| home.join(PERSONAL)).into_iter().chain([PathBuf::from(SYSTEM)]);
    let mut first = None;
    for path in usual {
        match fs::read(&path) {
            Ok(bytes) => return Ok(Found { path, bytes }),
            Err(error) if error.kind() == ErrorKind::NotFound => _ = first.get_or_insert(path),
            // What is there and cannot be read must not be passed over for another one.
            Err(error) => return Err(fail(path)(error)),
        }
    }
    let path = first.unwrap_or_else(|| SYSTEM.into());
    Err(fail(path)(rustix::io::Errno::NOENT.into()))
}

/// The home directory: `$HOME`, else what `/etc/passwd` says of this process's user; systemd sets no `$HOME` for a service
/// of the system.
pub(crate) fn home() -> Option<PathBuf> {
    let variable = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    variable.or_else(|| {
        let accounts = fs::read_to_string("/etc/passwd").ok()?;
        home_of(&accounts, rustix::process::geteuid().as_raw())
    })
}

fn home_of(accounts: &str, user: u32) -> Option<PathBuf> {
    accounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_user = fields.get(2)?.parse() == Ok(user);
        is_user.then(|| fields.get(5).map(PathBuf::from)).flatten().filter(|home| home.is_absolute())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_home_of_a_user() {
        let accounts = "root:x:0:0:root:/root:/bin/bash\n# x\nbad\nmysql:x:105:112:MySQL,,,:/nonexistent:/bin/false\n";
        assert_eq!(home_of(accounts, 0), Some("/root".into()));
        assert_eq!(home_of(accounts, 105), Some("/nonexistent".into()));
        assert_eq!(home_of(accounts, 7), None);
    }
}
