//! Refuses a batch of a window whose statements name what the private server lacks: it would make another table of them, or stop.

use super::{error::ExecuteError, examine::Examiner, landmarks::Marks, running::Running};
use crate::{
    model::Need,
    plan::Replay,
    tools::{ASK_PLUGINS, ActivePlugins},
};
use std::collections::BTreeMap;

/// What a private server has.
#[derive(Debug)]
pub(super) struct Lacking<'a> {
    /// Its plugins; `None`: nobody can ask it.
    active: Option<ActivePlugins>,
    /// What the source had from libraries, by its own word.
    source: &'a BTreeMap<String, String>,
}

impl<'a> Lacking<'a> {
    /// Asks the private server of a replay.
    ///
    /// # Errors
    ///
    /// When it does not answer, or its answer cannot be read.
    pub(super) fn of(step: &'a Replay, running: &Running<'_>) -> Result<Self, ExecuteError> {
        let source = &step.source_plugins;
        let Some(examination) = &step.examination else { return Ok(Lacking { active: None, source }) };
        let examiner = Examiner { step: examination, server: &step.server, running, window: None };
        let answer = examiner.ask(&format!("{ASK_PLUGINS};"))?;
        let active = ActivePlugins::parse(&answer).map_err(|error| examiner.unread(&error))?;
        Ok(Lacking { active: Some(active), source })
    }

    /// Checks a batch before anything of it is applied.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::Lacks`] with the first transaction that names what is not there. A server replaces an engine without an error
    /// where the statement was logged without `NO_ENGINE_SUBSTITUTION`.
    pub(super) fn check(&self, batch: &Marks) -> Result<(), ExecuteError> {
        let Some(active) = &self.active else { return Ok(()) };
        let source = self.source;
        for (need, name, transaction) in &batch.demands {
            let lacked = match need {
                Need::Engine => (!active.has_engine(name)).then_some(name.as_str()),
                Need::Login => (!active.has_login(name)).then_some(name.as_str()),
                Need::AnyEngine => {
                    let engine =
                        source.iter().find(|(name, library)| library.starts_with("ha_") && !active.has_engine(name));
                    engine.map(|(name, _)| name.as_str())
                }
            };
            if let Some(name) = lacked {
                let library = source.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                return Err(ExecuteError::Lacks {
                    what: need.words(),
                    name: name.to_owned(),
                    transaction: transaction.clone(),
                    library: library.map(|(_, library)| library.clone()),
                });
            }
        }
        Ok(())
    }
}
