//! Decides whom private servers run as where dbbak is root, and what they see of directories that are closed to that user.

use super::{
    PlanError,
    step::{Custody, PrivateServer},
};
use crate::{
    config::Config,
    facts::{Facts, OwnerFact, PrisonFacts, lets},
    tools::{RunAs, Screen},
};
use std::path::{Path, PathBuf};

/// Directories in which the programs of a package lie, beside its libraries and plugins.
const PROGRAM_DIRS: [&str; 4] = ["bin", "sbin", "libexec", "scripts"];

/// What private servers are to reach.
#[derive(Debug)]
pub(super) struct Reach<'a> {
    /// The directory that they work in; their temporary files go below it.
    pub workdir: &'a Path,
    /// Their run directory.
    pub run_dir: PathBuf,
    /// The programs that run as their user.
    pub programs: Vec<&'a Path>,
}

/// Whom private servers run as; `None`: as dbbak itself, which is no root, or was told so by name.
///
/// # Errors
///
/// [`PlanError::NoPrivateUser`] where there is no such user, [`PlanError::ClosedToUser`] where it cannot reach what it needs.
pub(super) fn prisoner(config: &Config, facts: &Facts, reach: &Reach<'_>) -> Result<Option<RunAs>, PlanError> {
    if !facts.host.root {
        return Ok(None);
    }
    let none = |problem: &str| PlanError::NoPrivateUser {
        user: config.server.run_as.as_ref().map(ToString::to_string),
        problem: problem.to_owned(),
    };
    let prison = facts.prison.as_ref().ok_or_else(|| none("it was not looked up"))?;
    let user = prison.user.as_ref().map_err(|problem| none(problem))?;
    if user.owner.uid == 0 {
        return Ok(None);
    }
    let mut run_as = RunAs {
        name: user.name.clone(),
        uid: user.owner.uid,
        gid: user.owner.gid,
        tmpdir: reach.workdir.join("tmp"),
        screens: Vec::new(),
    };
    for place in [reach.workdir, &reach.run_dir] {
        see(prison, &mut run_as, place, place)?;
    }
    for program in &reach.programs {
        see(prison, &mut run_as, program, &package_of(program))?;
    }
    for option in &config.server.options {
        let named = option.split_once('=').map(|(_, value)| Path::new(value)).filter(|path| path.is_absolute());
        // A directory of plugins, or a file with keys: whoever it belongs to has seen to it that the server's user may read it.
        if let Some(path) = named
            && prison.access.contains_key(path)
            && let Some(dir) = path.parent()
        {
            see(prison, &mut run_as, path, dir)?;
        }
    }
    run_as.screens.iter_mut().for_each(|screen| {
        screen.shown.sort();
        screen.shown.dedup();
        // What lies in a directory that is shown is seen with it.
        let all = screen.shown.clone();
        screen.shown.retain(|path| !all.iter().any(|other| other != path && path.starts_with(other)));
    });
    Ok(Some(run_as))
}

/// Has the user see a path, where a directory above it is closed to it: `shown`, which holds the path, is shown then.
fn see(prison: &PrisonFacts, run_as: &mut RunAs, path: &Path, shown: &Path) -> Result<(), PlanError> {
    let owner = OwnerFact { uid: run_as.uid, gid: run_as.gid };
    let closed = |dir: &Path| PlanError::ClosedToUser {
        user: run_as.name.clone(),
        dir: dir.to_owned(),
        needed: path.to_owned(),
    };
    let Some(over) = prison.closed(path, owner) else { return Ok(()) };
    // What is shown must itself let the user in, but for what dbbak makes or gives to it.
    let inner = path.ancestors().skip(1).take_while(|dir| dir.starts_with(shown));
    let inner = inner.filter(|dir| prison.access.get(*dir).is_some_and(|access| !lets(*access, owner))).last();
    if !prison.screens || shown == over || !shown.starts_with(over) || inner.is_some() {
        return Err(closed(inner.unwrap_or(over)));
    }
    match run_as.screens.iter_mut().find(|screen| screen.over == over) {
        Some(screen) => screen.shown.push(shown.to_owned()),
        None => run_as.screens.push(Screen { over: over.to_owned(), shown: vec![shown.to_owned()] }),
    }
    Ok(())
}

/// The directory that a program needs beside itself: that of its package, where it lies in one of programs.
fn package_of(program: &Path) -> PathBuf {
    let dir = program.parent().unwrap_or(program);
    let of_programs = dir.file_name().is_some_and(|name| PROGRAM_DIRS.iter().any(|known| name == *known));
    match dir.parent() {
        Some(package) if of_programs && package.parent().is_some() => package.to_owned(),
        _ => dir.to_owned(),
    }
}

/// Says whom private servers run as, where that is not dbbak's own user.
pub(super) fn told(facts: &Facts, run_as: Option<&RunAs>) -> Option<String> {
    let (user, run_as) = (facts.prison.as_ref()?.user.as_ref().ok()?, run_as?);
    Some(format!("private servers run as user {} ({}): {}", run_as.name, run_as.uid, user.why))
}

/// What belongs to the user while its server runs: those of the names in a directory that are there.
pub(super) fn custody(run_as: Option<&RunAs>, dir: &Path, names: &[&str]) -> Option<Custody> {
    let run_as = run_as?;
    let trees = names.iter().map(|name| dir.join(name)).collect();
    Some(Custody { uid: run_as.uid, gid: run_as.gid, dir: dir.to_owned(), trees })
}

/// Has a private server and the clients that talk to it run as the user.
pub(super) fn imprisoned(server: PrivateServer, run_as: Option<&RunAs>, custody: Option<Custody>) -> PrivateServer {
    let mut server = PrivateServer { custody, ..server };
    for command in [&mut server.launch.command, &mut server.ping, &mut server.statements] {
        *command = command.clone().run_as(run_as.cloned());
    }
    server
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        facts::PrisonUser,
        probe::{Access, HostFacts},
    };

    fn facts(screens: bool, closed: &[&str]) -> Facts {
        let mut facts = Facts::of_host(HostFacts {
            name: "db".into(),
            utc_offset_seconds: 0,
            time_zone: None,
            root: true,
            uid: Some(0),
            temp_dir: "/tmp".into(),
        });
        let open = ["/", "/root", "/root/x", "/root/x/bin", "/root/x/bin/mysqld", "/usr", "/usr/sbin", "/root/keys"];
        let access = open.iter().map(|path| {
            let mode = if closed.contains(path) { 0o700 } else { 0o755 };
            (PathBuf::from(path), Access { owner: 0, group: 0, mode })
        });
        facts.prison = Some(PrisonFacts {
            user: Ok(PrisonUser {
                name: "nobody".into(),
                owner: OwnerFact { uid: 65_534, gid: 65_533 },
                why: "no other".into(),
            }),
            access: access.collect(),
            screens,
        });
        facts
    }

    fn config(text: &str) -> Config {
        Config::parse(format!("nfs_root: /b\n{text}").as_bytes(), None).unwrap()
    }

    fn decide(config: &Config, facts: &Facts, place: &str, program: &str) -> Result<Option<RunAs>, PlanError> {
        prisoner(
            config,
            facts,
            &Reach { workdir: Path::new(place), run_dir: "/tmp/r".into(), programs: vec![Path::new(program)] },
        )
    }

    #[test]
    fn root_gives_its_rights_away() {
        let found = decide(&config(""), &facts(false, &[]), "/root/r", "/usr/sbin/mysqld").unwrap().unwrap();
        assert_eq!((found.uid, found.gid, found.screens.len()), (65_534, 65_533, 0));
        let mut other = facts(false, &[]);
        other.host.root = false;
        assert_eq!(decide(&config(""), &other, "/root/r", "/usr/sbin/mysqld"), Ok(None));
        let mut named = facts(false, &["/root"]);
        if let Some(PrisonFacts { user: Ok(user), .. }) = &mut named.prison {
            user.owner = OwnerFact { uid: 0, gid: 0 };
        }
        assert_eq!(decide(&config("server: {run_as: root}"), &named, "/root/r", "/usr/sbin/mysqld"), Ok(None));
    }

    #[test]
    fn what_is_closed_is_covered_or_refused_by_name() {
        let closed = facts(true, &["/root"]);
        let found = decide(&config(""), &closed, "/root/in/r", "/root/x/bin/mysqld").unwrap().unwrap();
        let screen = Screen { over: "/root".into(), shown: vec!["/root/in/r".into(), "/root/x".into()] };
        assert_eq!(found.screens, [screen]);
        let refused = |facts: &Facts, place, program| match decide(&config(""), facts, place, program) {
            Err(PlanError::ClosedToUser { user, dir, needed }) => {
                (user, dir.display().to_string(), needed.display().to_string())
            }
            other => panic!("{other:?}"),
        };
        let told = |dir: &str, needed: &str| ("nobody".to_owned(), dir.to_owned(), needed.to_owned());
        let bare = facts_without_mounts();
        assert_eq!(refused(&bare, "/root/in/r", "/usr/sbin/mysqld"), told("/root", "/root/in/r"));
        assert_eq!(refused(&bare, "/srv/r", "/root/x/bin/mysqld"), told("/root", "/root/x/bin/mysqld"));
        // A package that is closed itself cannot be shown.
        let inner = facts(true, &["/root", "/root/x/bin"]);
        assert_eq!(refused(&inner, "/srv/r", "/root/x/bin/mysqld"), told("/root/x/bin", "/root/x/bin/mysqld"));
    }

    fn facts_without_mounts() -> Facts {
        facts(false, &["/root"])
    }

    #[test]
    fn what_options_name_is_seen_too() {
        let options = config("server: {options: [\"--plugin-dir=/root/keys\", \"--x=/root/gone\"]}");
        let closed = facts(true, &["/root"]);
        // The directory above it is closed itself, and nothing else may be shown of that.
        assert!(matches!(decide(&options, &closed, "/srv/r", "/usr/sbin/mysqld"), Err(PlanError::ClosedToUser { .. })));
        assert_eq!(package_of(Path::new("/usr/sbin/mysqld")), Path::new("/usr"));
        assert_eq!(package_of(Path::new("/opt/tool")), Path::new("/opt"));
        assert_eq!(package_of(Path::new("/bin/mysqld")), Path::new("/bin"));
    }

    #[test]
    fn an_unknown_user_is_refused() {
        let mut unknown = facts(true, &[]);
        unknown.prison.as_mut().unwrap().user = Err("there is no user dba".into());
        let refused = decide(&config("server: {run_as: dba}"), &unknown, "/srv/r", "/usr/sbin/mysqld");
        assert!(matches!(refused, Err(PlanError::NoPrivateUser { user: Some(user), .. }) if user == "dba"));
        unknown.prison = None;
        let refused = decide(&config(""), &unknown, "/srv/r", "/usr/sbin/mysqld");
        assert!(matches!(refused, Err(PlanError::NoPrivateUser { user: None, .. })));
    }
}
