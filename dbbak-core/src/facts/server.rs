//! What a server that answered is known to be able to.

use super::ServerFacts;
use crate::{
    model::Lsn,
    tools::{Family, Flavor, Version},
};

/// From here on MariaDB counts in `Innodb_os_log_written` the bytes since its start and nothing twice (seen on 10.11.19 and 11.8).
const EXACT_START: Version = Version::new(10, 8, 0);

impl ServerFacts {
    /// The LSN that the server was started at, where it is no mere lower bound.
    pub fn exact_start(&self) -> Option<Lsn> {
        self.start_lsn.filter(|_| self.family() == Family::Mariadb && self.version >= EXACT_START)
    }

    /// Whether it tells which tablespaces it has, and discarded ones apart.
    pub fn tells_tablespaces(&self) -> bool {
        self.family() == Family::Mariadb || self.version >= Version::new(8, 0, 14)
    }

    /// The family of dialects that it speaks.
    pub fn family(&self) -> Family {
        match self.flavor {
            Flavor::Mariadb => Family::Mariadb,
            Flavor::Mysql | Flavor::Percona => Family::Mysql,
        }
    }
}
