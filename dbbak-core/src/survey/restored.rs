//! Looks for what tells one data directory of a server from another: the mark that a restore has left, and when the first file was made.

use crate::{
    config::Config,
    facts::{Facts, ServerFacts},
    model::{RestoredFact, RestoredMark},
    probe::{PathState, Probe},
};
use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// Looks for the mark, where the server answered. A mark that cannot be read is a fact, and not the lack of one.
pub fn restored(facts: &mut Facts, config: &Config, probe: &dyn Probe) {
    let Some(Ok(server)) = &facts.server else { return };
    let path = config.server.datadir.as_deref().unwrap_or(&server.datadir).join(RestoredMark::FILE);
    let unread = |problem: String| RestoredFact::Unread { problem };
    let read = || {
        let mut bytes = Vec::new();
        let input = probe.open_file(&path).map_err(|error| error.to_string())?;
        input.take(RestoredMark::LONGEST).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        serde_json::from_slice(&bytes).map_err(|error| error.to_string())
    };
    facts.restored = Some(match probe.path_state(&path) {
        Ok(PathState::Missing) => RestoredFact::Never,
        Ok(_) => read().map_or_else(unread, RestoredFact::By),
        Err(error) => unread(error.to_string()),
    });
}

/// Asks when the first file of the system tablespace was made, where the server answered. What cannot be looked at is not known.
pub fn data_born(facts: &mut Facts, config: &Config, probe: &dyn Probe) {
    let Some(Ok(server)) = &facts.server else { return };
    facts.data_born = probe.born(&data_file(config, server)).ok().flatten();
}

/// The first file of the system tablespace: no server makes it anew in a data directory that it has.
pub(super) fn data_file(config: &Config, server: &ServerFacts) -> PathBuf {
    let datadir = config.server.datadir.as_deref().unwrap_or(&server.datadir);
    let value = |name: &str| server.variables.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let home = datadir.join(value("innodb_data_home_dir").unwrap_or_default());
    let first = value("innodb_data_file_path").and_then(|files| files.split(':').next()).unwrap_or("ibdata1");
    home.join(Path::new(first))
}
