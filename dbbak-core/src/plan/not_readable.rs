//! Refuses a backup whose tool could not read the server's files, before it begins.

use crate::{
    facts::{Facts, ServerFacts},
    probe::{Access, ClosedPath, PathState, ReadRight},
    tools::{Family, ToolKind},
};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Files of databases that the tools copy, by the ends of their names. By trial, a closed file of another kind hinders neither
/// mariadb-backup 10.11 and 11.8 nor XtraBackup 8.4.
const COPIED: [&str; 17] = [
    "ibd", "frm", "isl", "MYD", "MYI", "MAD", "MAI", "MRG", "TRG", "TRN", "ARM", "ARZ", "CSM", "CSV", "opt", "par",
    "sdi",
];

/// The server's own files that mariadb-backup reads, and XtraBackup, by how their names begin.
const OF_MARIADB: [&str; 4] = ["ibdata", "ib_logfile", "undo", "aria_log"];
const OF_MYSQL: [&str; 5] = ["ibdata", "ib_logfile", "undo", "ib_buffer_pool", "#ib_redo"];

/// What would not get to read a file of the server, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct NotReadable {
    /// The program.
    pub program: String,
    /// The path.
    pub path: PathBuf,
    /// What it may not do with it.
    pub right: ReadRight,
    /// Whom it belongs to, and its mode, where that can be looked at.
    pub access: Option<Access>,
    /// The user that this process is.
    pub user: Option<u32>,
    /// How many paths beside it.
    pub others: usize,
    /// Why a capability of this process does not help, where it has one.
    pub capability: Option<&'static str>,
    /// The user that would get to read it and is not this one: the server's, where the path is its own.
    pub server_user: Option<u32>,
    /// What the path is needed for.
    pub needed_for: NeededFor,
}

/// What a path is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeededFor {
    /// To copy the server's data.
    Data,
    /// To archive its binlogs.
    Binlogs,
    /// To have the server write a clone of itself below it.
    Clone,
}

impl fmt::Display for NotReadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.right {
            ReadRight::Enter => "enter",
            ReadRight::List => "list",
            ReadRight::Read => "read",
        };
        write!(f, "{} may not {verb} {}", self.program, self.path.display())?;
        if let Some(user) = self.user {
            write!(f, " as user {user}")?;
        }
        if let Some(access) = self.access {
            let Access { owner, group, mode } = access;
            write!(f, ": it belongs to user {owner} and group {group}, with mode {mode:04o}")?;
        }
        match self.others {
            0 => {}
            1 => f.write_str("; the same holds for 1 more path")?,
            others => write!(f, "; the same holds for {others} more paths")?,
        }
        match self.capability {
            Some(why) => write!(f, "; {why}"),
            None => Ok(()),
        }
    }
}

/// What a backup tool would not get to read.
pub(super) fn by_tool(facts: &Facts, server: &ServerFacts, tool: ToolKind, datadir: &Path) -> Option<NotReadable> {
    let ignored = server.variables.get("ignore_db_dirs").map_or("", String::as_str);
    let mut closed = facts.closed.iter().filter(|closed| hinders(closed, ignored, tool, datadir));
    let first = closed.next()?;
    let capability = first.by_capability.then_some(match tool {
        // It asks access(2), which leaves capabilities aside (by trial, 10.11 and 11.8).
        ToolKind::MariadbBackup => "it goes by the user's own rights, which a capability does not change",
        _ => "the capability of this process is not an ambient one, so that it does not get it",
    });
    let server_user = match facts.paths.get(&server.datadir) {
        Some(PathState::Directory { owner, .. }) => first.access.map(|access| access.owner).filter(|of| of == owner),
        _ => first.access.map(|access| access.owner),
    };
    Some(NotReadable {
        program: tool.to_string(),
        path: first.path.clone(),
        right: first.right,
        access: first.access,
        user: facts.host.uid,
        others: closed.count(),
        capability,
        server_user: server_user.filter(|user| *user != 0 && Some(*user) != facts.host.uid),
        needed_for: NeededFor::Data,
    })
}

/// The binlogs that dbbak itself would not get to read.
pub fn binlogs(facts: &Facts) -> Option<NotReadable> {
    let closed = facts.closed_binlogs.as_ref()?;
    Some(NotReadable {
        program: "dbbak".into(),
        path: closed.path.clone(),
        right: closed.right,
        access: closed.access,
        user: facts.host.uid,
        others: 0,
        capability: None,
        server_user: closed
            .access
            .map(|access| access.owner)
            .filter(|user| *user != 0 && Some(*user) != facts.host.uid),
        needed_for: NeededFor::Binlogs,
    })
}

/// The directory above a clone that the server itself, which writes it, may not enter.
pub(super) fn clone_parent(facts: &Facts, server_uid: u32, clone: &Path) -> Option<NotReadable> {
    let prison = facts.prison.as_ref()?;
    let user = prison.user.as_ref().ok().filter(|user| user.owner.uid == server_uid)?;
    let dir = prison.closed(clone, user.owner)?;
    Some(NotReadable {
        program: "the server".into(),
        path: dir.to_owned(),
        right: ReadRight::Enter,
        access: prison.access.get(dir).copied(),
        user: Some(server_uid),
        others: 0,
        capability: None,
        server_user: None,
        needed_for: NeededFor::Clone,
    })
}

/// Whether a tool fails at a closed path, by trial; `ignored`: directories that MariaDB takes for no databases. XtraBackup says `completed OK!` all the same, with an `[ERROR]` before it.
fn hinders(closed: &ClosedPath, ignored: &str, tool: ToolKind, datadir: &Path) -> bool {
    let mariadb = tool.family() == Family::Mariadb;
    if !mariadb && closed.inherited {
        return false;
    }
    let below = closed.path.strip_prefix(datadir).ok();
    if closed.right != ReadRight::Read {
        let name = below.and_then(|below| below.to_str()).filter(|name| !name.is_empty());
        return !name.is_some_and(|name| mariadb && ignored.split(',').any(|dir| dir == name));
    }
    let Some(name) = closed.path.file_name().and_then(|name| name.to_str()) else { return true };
    let dirs: Vec<_> =
        closed.path.parent().into_iter().flat_map(Path::components).map(|part| part.as_os_str()).collect();
    // In the directory of a database only its tables' files are copied.
    let of_database = below.is_some_and(|below| below.components().count() > 1)
        && dirs.last().is_none_or(|dir| *dir != "#innodb_redo");
    let copied = closed.path.extension().is_some_and(|end| COPIED.iter().any(|known| end == *known));
    let own: &[&str] = if mariadb { &OF_MARIADB } else { &OF_MYSQL };
    copied
        || dirs.iter().any(|dir| *dir == "#rocksdb")
        || !of_database && own.iter().any(|known| name.starts_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(path: &str, right: ReadRight, by_capability: bool, inherited: bool) -> ClosedPath {
        let access = Some(Access { owner: 27, group: 27, mode: 0o600 });
        ClosedPath { path: path.into(), right, access, by_capability, inherited }
    }

    fn refused(tool: ToolKind, closed: &[ClosedPath]) -> Vec<String> {
        let hinder = closed.iter().filter(|closed| hinders(closed, "lost+found,other", tool, Path::new("/d/")));
        hinder.map(|closed| closed.path.display().to_string()).collect()
    }

    #[test]
    fn what_a_tool_passes_over_hinders_nobody() {
        let list = |path| closed(path, ReadRight::List, false, false);
        let read = |path| closed(path, ReadRight::Read, false, false);
        let paths = [
            closed("/", ReadRight::Enter, false, false),
            list("/d"),
            list("/d/shop"),
            list("/d/lost+found"),
            read("/d/shop/t.frm"),
            read("/d/shop/t.ibd"),
            read("/d/shop/notes.txt"),
            read("/d/shop/undo.txt"),
            read("/d/ca-key.pem"),
            read("/d/ib_buffer_pool"),
            read("/d/aria_log_control"),
            read("/d/mysql-bin.000001"),
            read("/d/#innodb_redo/#ib_redo7"),
            read("/elsewhere/undo001"),
        ];
        let mariadb =
            ["/", "/d", "/d/shop", "/d/shop/t.frm", "/d/shop/t.ibd", "/d/aria_log_control", "/elsewhere/undo001"];
        assert_eq!(refused(ToolKind::MariadbBackup, &paths), mariadb);
        let mysql = [
            "/",
            "/d",
            "/d/shop",
            "/d/lost+found",
            "/d/shop/t.frm",
            "/d/shop/t.ibd",
            "/d/ib_buffer_pool",
            "/d/#innodb_redo/#ib_redo7",
            "/elsewhere/undo001",
        ];
        assert_eq!(refused(ToolKind::Xtrabackup, &paths), mysql);
    }

    #[test]
    fn a_capability_helps_where_the_tool_gets_it_and_goes_by_it() {
        let paths = [closed("/d/a.ibd", ReadRight::Read, true, true), closed("/d/b.ibd", ReadRight::Read, true, false)];
        assert_eq!(refused(ToolKind::Xtrabackup, &paths), ["/d/b.ibd"]);
        assert_eq!(refused(ToolKind::MariadbBackup, &paths), ["/d/a.ibd", "/d/b.ibd"]);
    }
}
