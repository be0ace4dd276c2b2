//! The newest series of each vendor that dbbak is tested with. A newer one is used as if it were that.

use super::tool::{Family, Version};
use serde::Serialize;
use std::fmt;

/// A server of a series that dbbak was not tested with, because it is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct UntestedSeries {
    /// The vendor.
    pub family: Family,
    /// The server's series.
    pub found: (u32, u32),
    /// The series that it is treated as.
    pub treated_as: (u32, u32),
}

/// Whether a server is newer than all that dbbak is tested with.
pub fn untested_series(family: Family, version: Version) -> Option<UntestedSeries> {
    let treated_as = match family {
        Family::Mariadb => (11, 8),
        Family::Mysql => (9, 7),
    };
    let found = version.series();
    (found > treated_as).then_some(UntestedSeries { family, found, treated_as })
}

impl fmt::Display for UntestedSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((major, minor), (known, known_minor)) = (self.found, self.treated_as);
        let vendor = match self.family {
            Family::Mysql => "MySQL",
            Family::Mariadb => "MariaDB",
        };
        write!(
            f,
            "{vendor} {major}.{minor} is newer than the series that dbbak is tested with; it is treated as {known}.{known_minor}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_newer_series_are_told() {
        for (family, version, untested) in [
            (Family::Mariadb, "10.6.5", false),
            (Family::Mariadb, "11.8.9", false),
            (Family::Mariadb, "12.0.1", true),
            (Family::Mysql, "5.7.44", false),
            (Family::Mysql, "9.7.4", false),
            (Family::Mysql, "26.7.0", true),
        ] {
            assert_eq!(untested_series(family, version.parse().unwrap()).is_some(), untested, "{version}");
        }
        let told = untested_series(Family::Mysql, Version::new(26, 7, 0)).unwrap().to_string();
        assert!(told.starts_with("MySQL 26.7 is newer") && told.ends_with("treated as 9.7"), "{told}");
    }
}
