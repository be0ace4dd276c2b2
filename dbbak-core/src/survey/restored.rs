//! Looks for the mark that a restore has left in the server's data directory.

use crate::{
    config::Config,
    facts::Facts,
    model::{RestoredFact, RestoredMark},
    probe::{PathState, Probe},
};
use std::io::Read;

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
