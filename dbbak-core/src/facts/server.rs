//! What a server that answered is known to be able to.

use super::ServerFacts;
use crate::tools::{Family, Flavor, Version};

impl ServerFacts {
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
