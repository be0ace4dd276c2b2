//! Plans what is done with restored data before they are given away.

use super::{
    Plan, PlanError,
    restore::{PRIVATE_SERVER_ID, Restore},
    step::{Examination, Examine, Step},
};
use crate::tools::{CHANNELS, CheckWay, Client, Family, Standing, ToolRole};

impl Restore<'_> {
    /// What the private server is asked before it is shut down.
    pub(super) fn examination(&self, client: Client, check: CheckWay) -> Examination {
        let base_gtid = self.base_gtid();
        Examination { client, family: self.family, check, base_gtid, broken: self.broken(), standing: self.standing() }
    }

    /// Tables that had lost their tablespace on the source already when the chain's last backup was taken.
    pub(super) fn broken(&self) -> Vec<String> {
        let last = self.chain.last().and_then(|backup| self.facts.stored.get(&backup.id.to_string()));
        last.map(|stored| stored.broken.clone()).unwrap_or_default()
    }

    /// What stood on the source when the chain's last backup was taken.
    pub(super) fn standing(&self) -> Standing {
        let last = self.chain.last().and_then(|backup| self.facts.stored.get(&backup.id.to_string()));
        last.map(|stored| stored.standing.clone()).unwrap_or_default()
    }

    /// How many channels the source had, where its backup says so.
    fn held_channels(&self) -> Option<usize> {
        if self.family != Family::Mysql {
            return None;
        }
        let known = self.last_variables().and_then(|variables| variables.get(CHANNELS)?.parse().ok());
        known.or_else(|| Some(self.standing().channels.len()).filter(|count| *count > 0))
    }

    /// How the tables are checked before anything is caught up: at the end alone where something is.
    pub(super) fn early_check(&self) -> CheckWay {
        let finish = &self.request.finish;
        if finish.catch_up.is_empty() { finish.check } else { CheckWay::None }
    }

    /// The examination of a backup on which nothing is replayed: that starts a server of its own.
    pub(super) fn examine(&self, plan: &mut Plan) -> Result<(), PlanError> {
        if plan.steps.iter().any(|step| matches!(step, Step::Replay(_))) {
            return Ok(());
        }
        let unasked = self.request.finish.check == CheckWay::None && self.request.finish.catch_up.is_empty();
        let held = self.held_channels();
        let forgets = unasked && held.is_some_and(|count| count > 0) && self.family_tool(ToolRole::Server).is_ok();
        if forgets {
            plan.reasons.push(
                "the source replicated, and MySQL's channels lie in tables: a server is started on the restored data to forget them".into(),
            );
        }
        if unasked && !forgets {
            plan.warnings.push(
                "no server is started on the restored data: nothing is known of their tables, and MariaDB's GTID position \
                 is not set (--check none)"
                    .into(),
            );
            if self.family == Family::Mysql && held != Some(0) {
                plan.warnings.push(
                    "where the source was a replica, the restored data hold its channels: start a server on them with \
                     skip_replica_start=ON, and RESET REPLICA ALL (--check none)"
                        .into(),
                );
            }
            return Ok(());
        }
        let server = self.private_server(PRIVATE_SERVER_ID, None, None)?;
        let client = self.client()?;
        let tmp_dir = self.workdir.join("tmp");
        plan.steps.push(Step::CreateDir { path: tmp_dir.clone() });
        plan.steps.push(Step::Examine(Box::new(Examine {
            server,
            examination: self.examination(client, self.early_check()),
        })));
        plan.steps.push(Step::RemoveTree { path: tmp_dir });
        Ok(())
    }
}

impl Examination {
    /// What is looked at, in words.
    pub(super) fn line(&self) -> String {
        let channels = if self.family == Family::Mysql { "forget channels of replication, " } else { "" };
        let look = format!("{channels}compare the GTIDs, look for prepared XA transactions");
        match self.check {
            CheckWay::None => format!("{look}; no table is checked"),
            way => format!("{look}, check all tables ({way})"),
        }
    }
}
