//! Builds the command lines that make an empty data directory with a server's own tables.

use super::{
    command::{CommandError, CommandSpec},
    tool::Family,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// The making of a data directory: MySQL's server does it itself, MariaDB has a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitialiseCommand {
    /// `mysqld` or `mariadb-install-db`.
    pub program: PathBuf,
    /// The family.
    pub family: Family,
    /// The directory, which does not exist or is empty.
    pub datadir: PathBuf,
    /// Settings that cannot be changed later: page size, the case of table names, system tablespaces.
    pub settings: BTreeMap<String, String>,
    /// The account to run as; the servers refuse to run as root without one.
    pub run_as: Option<String>,
}

impl InitialiseCommand {
    /// The command. No account of the new server has a password; it listens nowhere yet.
    ///
    /// # Errors
    ///
    /// [`CommandError::PathNotUtf8`].
    pub fn build(&self) -> Result<CommandSpec, CommandError> {
        let mut spec = CommandSpec::new(&self.program).arg("--no-defaults");
        spec = match self.family {
            Family::Mysql => spec.args(["--initialize-insecure", "--secure-file-priv=NULL"]),
            Family::Mariadb => spec.args([
                "--force",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
            ]),
        };
        spec = spec.path_option("--datadir", &self.datadir)?;
        if let Some(account) = &self.run_as {
            spec = spec.option("--user", account);
        }
        for (name, value) in &self.settings {
            spec = spec.option(&format!("--{}", name.replace('_', "-")), value);
        }
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    #[test]
    fn of_both_vendors() {
        let command = |family, program: &str| InitialiseCommand {
            program: program.into(),
            family,
            datadir: "/restore/data".into(),
            settings: [("innodb_page_size".to_owned(), "16384".to_owned())].into(),
            run_as: Some("root".into()),
        };
        assert_snapshot!(command(Family::Mysql, "/usr/sbin/mysqld").build().unwrap(), @"/usr/sbin/mysqld --no-defaults --initialize-insecure --secure-file-priv=NULL --datadir=/restore/data --user=root --innodb-page-size=16384");
        assert_snapshot!(command(Family::Mariadb, "/usr/bin/mariadb-install-db").build().unwrap(), @"/usr/bin/mariadb-install-db --no-defaults --force --auth-root-authentication-method=normal --skip-test-db --skip-name-resolve --datadir=/restore/data --user=root --innodb-page-size=16384");
    }
}
