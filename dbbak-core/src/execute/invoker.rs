//! Has a statement that makes or changes an event, or grants something, run as who ran it at the source.

use super::{error::ExecuteError, files, landmarks::Apart, relay::RelayRun};
use crate::{
    binlog::{Invoked, invoked},
    tools::{Applier, ask_owned_events, give_events, give_grants, parse_owned_events, take_server_id},
};

impl RelayRun<'_> {
    /// Replays one transaction through the pipe. A client's statement makes its own account the owner of an event, and the
    /// private server the one that it comes from: both are set to what they are at the source.
    ///
    /// # Errors
    ///
    /// As those of the pipe; when the private server refuses.
    pub(super) fn pipe_as_invoker(&self, apart: &Apart) -> Result<(), ExecuteError> {
        let path = self.relay.binlogs.join(apart.file.as_str());
        let found = invoked(&mut files::open(&path)?, apart.start, apart.end).map_err(|error| {
            ExecuteError::ArchivedBinlog { stored_as: path.display().to_string(), problem: error.to_string() }
        })?;
        let Some(Invoked { server_id, invoker }) = found else { return self.pipe(apart) };
        let account = &self.step.server.account;
        let invoker = invoker.as_ref().map(|(user, host)| (user.as_str(), host.as_str()));
        match self.relay.applier {
            Applier::Fed => {
                self.pipe(apart)?;
                self.tell(&give_events(account, self.relay.server_id, (invoker, server_id)))
            }
            Applier::RelayLogs { .. } => {
                // Its applier stands still meanwhile, and fetches nothing.
                self.tell(&take_server_id(server_id))?;
                let piped = self.pipe(apart);
                let given = piped.and_then(|()| match invoker {
                    None => Ok(()),
                    Some(invoker) => {
                        let events = parse_owned_events(&self.ask(&ask_owned_events(account))?);
                        let events = events.map_err(|error| self.unread(&error.to_string()))?;
                        events.iter().try_for_each(|event| self.tell(&event.give_to(invoker)))?;
                        // A last binlog of single statements comes here whatever they are.
                        self.tell(&give_grants(account, invoker))
                    }
                });
                given.and_then(|()| self.tell(&take_server_id(self.relay.server_id)))
            }
        }
    }

    fn unread(&self, problem: &str) -> ExecuteError {
        let log = self.step.server.launch.log.clone();
        let problem = format!("the private server does not say which events there are: {problem}");
        ExecuteError::Replay { problem, stderr: Vec::new(), log }
    }
}
