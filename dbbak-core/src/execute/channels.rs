//! Has a private server forget the channels of replication that the data of a replica hold.

use super::{Event, error::ExecuteError, examine::Examiner, files};
use crate::tools::{Arg, Family, HELD_CHANNELS, HeldChannel, forget_channels, parse_held_channels};
use std::path::{Path, PathBuf};

impl Examiner<'_> {
    /// Forgets the channels, and tells of them. A server that was started on the data would connect to the source by itself,
    /// and run away from where they were restored to. MariaDB has its channels in files, which are gone by now.
    ///
    /// What is found is written down beside the server's logs, since the server that goes on after a death has forgotten it.
    ///
    /// # Errors
    ///
    /// When the server cannot be asked, or has channels all the same.
    pub(super) fn forget_channels(&self) -> Result<Vec<HeldChannel>, ExecuteError> {
        let recorded = &self.step.standing.channels;
        if self.step.family == Family::Mariadb {
            self.tell_channels(recorded);
            return Ok(recorded.clone());
        }
        let held = self.channels()?;
        if held.is_empty() {
            // A dump has none.
            self.tell_channels(recorded);
            return Ok(recorded.clone());
        }
        let new_word = "--skip-replica-start";
        let new_words =
            self.server.launch.command.args.iter().any(|arg| matches!(arg, Arg::Plain(text) if text == new_word));
        self.ask(forget_channels(new_words))?;
        let left = self.channels()?;
        if let Some(left) = left.first() {
            let problem = format!("it does not forget that it replicates from {left}");
            return Err(ExecuteError::Examination { problem, stderr: Vec::new(), log: self.server.launch.log.clone() });
        }
        let json = serde_json::to_vec(&held).unwrap_or_default();
        if files::exists(&self.server.log_dir) {
            files::write_replacing(&self.notes(), &json)?;
        }
        self.tell_channels(&held);
        Ok(held)
    }

    /// What a run that died has found, and a warning of it. The channel of its applier is none of these.
    ///
    /// # Errors
    ///
    /// When what it wrote down cannot be read.
    pub(super) fn channels_of_the_dead(&self) -> Result<Vec<HeldChannel>, ExecuteError> {
        let held = match files::read_file(&self.notes())? {
            Some(json) => serde_json::from_slice(&json).unwrap_or_default(),
            None => self.step.standing.channels.clone(),
        };
        self.tell_channels(&held);
        Ok(held)
    }

    fn notes(&self) -> PathBuf {
        channel_notes(&self.server.log_dir)
    }

    fn tell_channels(&self, held: &[HeldChannel]) {
        // Those of a group have no source of their own.
        for channel in held.iter().filter(|channel| !channel.channel.starts_with("group_replication_")) {
            let text = format!(
                "the source replicated from {channel}: the restored server does not know of that, and replicates from nobody by \
                 itself; coordinates.json says where it stood"
            );
            self.running.reporter.report(&Event::Warning { text: &text });
        }
    }

    fn channels(&self) -> Result<Vec<HeldChannel>, ExecuteError> {
        let answer = self.ask(HELD_CHANNELS)?;
        parse_held_channels(&answer).map_err(|error| {
            let problem = format!("its channels of replication cannot be read: {error}");
            ExecuteError::Examination { problem, stderr: Vec::new(), log: self.server.launch.log.clone() }
        })
    }
}

/// The file in which the channels that were found are noted.
fn channel_notes(log_dir: &Path) -> PathBuf {
    log_dir.join("channels.json")
}
