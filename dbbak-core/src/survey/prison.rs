//! Looks up whom private servers run as, and what that user can reach.

use super::{SurveyError, owner::look_up_in};
use crate::{
    config::Config,
    facts::{Facts, OwnerFact, PrisonFacts, PrisonUser},
    model::OwnerName,
    probe::{PathState, Probe},
    tools::{ToolRole, namespace_query},
};
use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
};

/// The capability to mount, by its number in the system's masks.
const CAP_SYS_ADMIN: u32 = 21;

/// Looks up whom private servers run as, where dbbak is root: whom the configuration names, else the owner of the server's
/// data, else `mysql`, else `nobody`. What a store says of it does not count. `places`: where the servers will work.
///
/// # Errors
///
/// When the system's files of users cannot be read.
pub fn prison(facts: &mut Facts, config: &Config, probe: &dyn Probe, places: &[&Path]) -> Result<(), SurveyError> {
    if !facts.host.root {
        return Ok(());
    }
    let user = user(facts, config, probe)?;
    let roles = [ToolRole::Server, ToolRole::Client, ToolRole::BinlogReader];
    let programs = roles.into_iter().filter_map(|role| facts.tool(role)?.path.clone()).chain(facts.install_db.clone());
    let named = config.server.options.iter().filter_map(|option| Some(PathBuf::from(option.split_once('=')?.1)));
    let mut wanted: Vec<PathBuf> = programs.chain(named.filter(|path| path.is_absolute())).collect();
    wanted.extend(places.iter().map(|path| path.to_path_buf()));
    wanted.push(facts.host.temp_dir.join("x"));
    let mut access = BTreeMap::new();
    for path in wanted.iter().flat_map(|path| path.ancestors()) {
        if !access.contains_key(path)
            && let Ok(Some(found)) = probe.access(path)
        {
            access.insert(path.to_owned(), found);
        }
    }
    let screens = may_mount(probe);
    facts.prison = Some(PrisonFacts { user, access, screens });
    Ok(())
}

fn user(facts: &Facts, config: &Config, probe: &dyn Probe) -> Result<Result<PrisonUser, String>, SurveyError> {
    if let Some(named) = &config.server.run_as {
        let found = look_up_in(named, probe)?;
        let why = || "server.run_as names it".to_owned();
        return Ok(found.map(|owner| PrisonUser { name: named.user.clone(), owner, why: why() }));
    }
    let live = facts.server.as_ref().and_then(|server| server.as_ref().ok()).map(|server| server.datadir.clone());
    for datadir in config.server.datadir.iter().cloned().chain(live) {
        let owner = match probe.path_state(&datadir) {
            Ok(PathState::Directory { owner, .. }) if owner != 0 => owner,
            _ => continue,
        };
        let named = OwnerName { user: owner.to_string(), group: None };
        let group = || probe.access(&datadir).ok().flatten().map(|access| access.group);
        let gid = match look_up_in(&named, probe)? {
            Ok(found) => Some(found.gid),
            Err(_) => group().filter(|gid| *gid != 0),
        };
        if let Some(gid) = gid {
            let why = format!("{} belongs to it", datadir.display());
            return Ok(Ok(PrisonUser { name: owner.to_string(), owner: OwnerFact { uid: owner, gid }, why }));
        }
    }
    for name in ["mysql", "nobody"] {
        let named = OwnerName { user: name.to_owned(), group: None };
        if let Ok(owner) = look_up_in(&named, probe)?
            && owner.uid != 0
        {
            let why = "no other user is known of the data".to_owned();
            return Ok(Ok(PrisonUser { name: name.to_owned(), owner, why }));
        }
    }
    Ok(Err("the system has neither a user mysql nor a user nobody".into()))
}

/// Whether this process may mount in a namespace of its own: root in a container often may not.
fn may_mount(probe: &dyn Probe) -> bool {
    let mut status = String::new();
    let read = probe.open_file(Path::new("/proc/self/status")).map(|mut file| file.read_to_string(&mut status));
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok());
    let capable = matches!(read, Ok(Ok(_))) && mask.is_some_and(|mask| mask >> CAP_SYS_ADMIN & 1 == 1);
    let here = |name: &str| probe.find_program(&[name]);
    let (Some(unshare), Some(_), Some(_), true) = (here("unshare"), here("mount"), here("setpriv"), capable) else {
        return false;
    };
    probe.query(&namespace_query(&unshare)).is_ok_and(|answer| answer.code == Some(0))
}
