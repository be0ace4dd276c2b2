//! What decides whom private servers run as, and what that user can reach.

use super::OwnerFact;
use crate::probe::Access;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// What decides whom private servers run as where dbbak is root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrisonFacts {
    /// The user, or why there is none.
    pub user: Result<PrisonUser, String>,
    /// Whom directories belong to, above paths that a private server needs, and these themselves. What is not there is not in it.
    pub access: BTreeMap<PathBuf, Access>,
    /// Whether dbbak may cover directories for a program alone: `unshare`, `mount` and `setpriv` are there, and the system lets it.
    pub screens: bool,
}

/// A user that private servers can run as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrisonUser {
    /// The name, or the number where the system has no name for it.
    pub name: String,
    /// Numbers of user and group.
    pub owner: OwnerFact,
    /// Why it is this one.
    pub why: String,
}

/// Whether a user without other groups may pass a directory, or run a program.
pub fn lets(access: Access, user: OwnerFact) -> bool {
    let shift = match access {
        _ if access.owner == user.uid => 6,
        _ if access.group == user.gid => 3,
        _ => 0,
    };
    access.mode >> shift & 1 == 1
}

impl PrisonFacts {
    /// The first directory above a path that a user may not pass. What is not there yet, dbbak makes.
    pub fn closed<'a>(&self, path: &'a Path, user: OwnerFact) -> Option<&'a Path> {
        let above: Vec<&Path> = path.ancestors().skip(1).collect();
        above.into_iter().rev().find(|dir| self.access.get(*dir).is_some_and(|access| !lets(*access, user)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_closed_directory_counts() {
        let access = |owner, group, mode| Access { owner, group, mode };
        let facts = PrisonFacts {
            user: Err("not asked".into()),
            access: BTreeMap::from([
                ("/".into(), access(0, 0, 0o755)),
                ("/root".into(), access(0, 0, 0o700)),
                ("/root/in".into(), access(0, 0, 0o700)),
                ("/srv".into(), access(0, 0, 0o1777)),
                ("/srv/mysql".into(), access(27, 27, 0o750)),
            ]),
            screens: false,
        };
        let (mysql, nobody) = (OwnerFact { uid: 27, gid: 27 }, OwnerFact { uid: 65_534, gid: 65_534 });
        assert_eq!(facts.closed(Path::new("/root/in/r"), nobody), Some(Path::new("/root")));
        assert_eq!(facts.closed(Path::new("/srv/mysql/r"), nobody), Some(Path::new("/srv/mysql")));
        assert_eq!(facts.closed(Path::new("/srv/mysql/r"), mysql), None);
        assert_eq!(facts.closed(Path::new("/srv/mysql/r"), OwnerFact { uid: 5, gid: 27 }), None);
        assert_eq!(facts.closed(Path::new("/srv/new/r"), nobody), None);
        // A group's bits count for its members alone, and the owner's for the owner alone.
        assert!(!lets(access(1, 2, 0o701), OwnerFact { uid: 5, gid: 2 }));
        assert!(!lets(access(1, 2, 0o011), OwnerFact { uid: 1, gid: 2 }));
    }
}
