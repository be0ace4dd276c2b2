//! Plans how a restored server follows living sources before it is given away.

use super::{
    Plan, PlanError,
    backup::program,
    replay::free_server_ids,
    restore::{PRIVATE_SERVER_ID, Restore, short},
    step::{CatchUp, Channel, Step},
};
use crate::{
    model::Target,
    tools::{Client, Family, Login, Query, RelayReplay, ToolRole, Version},
};

/// The lag at which catching up ends, in seconds, unless another is asked for.
const MAX_LAG: u32 = 1;

impl Restore<'_> {
    /// The step that follows living sources; none where none were named.
    ///
    /// # Errors
    ///
    /// [`PlanError::NoCatchUp`].
    pub(super) fn catch_up(&self, plan: &mut Plan) -> Result<(), PlanError> {
        let request = &self.request.finish;
        if request.catch_up.is_empty() {
            return Ok(());
        }
        let no = |reason: &str| PlanError::NoCatchUp { reason: reason.to_owned() };
        let as_it_is = matches!(
            (&self.request.target, self.request.backup),
            (Target::NoPitr { at: None }, _) | (Target::Latest, Some(_))
        );
        if !as_it_is && self.request.target != Target::End {
            return Err(no("the target lies in the past, and what came after it would be followed"));
        }
        let sources: std::collections::BTreeSet<String> = request.catch_up.iter().map(ToString::to_string).collect();
        if sources.len() != request.catch_up.len() {
            return Err(no("a source is named twice"));
        }
        let family = self.family;
        let (_, version) = self.family_tool(ToolRole::Server)?;
        let version = version.version.unwrap_or(Version::new(0, 0, 0));
        if family == Family::Mysql {
            if version < Version::new(8, 0, 26) {
                return Err(no("the replica of this MySQL is steered by other statements"));
            }
            let gtids = self.last_variables().and_then(|variables| variables.get("gtid_mode"));
            if gtids.is_none_or(|mode| mode != "ON") {
                return Err(no(
                    "the source had no GTIDs (gtid_mode), so that a living one cannot tell what is missing",
                ));
            }
        } else if self.base_gtid().is_none() {
            return Err(no("the backup recorded no GTIDs, so that a living source cannot tell what is missing"));
        }
        let login = request.catch_up_login.clone().or_else(|| self.config.mysql_option_file.clone());
        let login = login.ok_or_else(|| no("no option file holds an account for the sources"))?;
        let (dir, tmp_dir) = (self.workdir.join("catch-up"), self.workdir.join("tmp"));
        let server_id = self.window.map_or(PRIVATE_SERVER_ID, |window| free_server_ids(window).0);
        let mut server = self.private_server(server_id, None, None)?;
        let relay = RelayReplay {
            dir: dir.clone(),
            base: "catch-up".into(),
            workers: if family == Family::Mysql { 4 } else { 0 },
            space: 1 << 30,
        };
        // Events that carry the id of the lost server, or by chance the private one's, are applied like all others.
        server.launch.command = relay.options(server.launch.command, family, version)?.args([
            "--replicate-same-server-id",
            if family == Family::Mysql { "--log-replica-updates=OFF" } else { "--log-slave-updates=OFF" },
        ]);
        // Several sources may bring the same transactions: MySQL knows them by their GTIDs, MariaDB has to be told.
        server.launch.command = server.launch.command.arg(match family {
            Family::Mysql => "--relay-log-purge=ON",
            Family::Mariadb => "--gtid-ignore-duplicates=ON",
        });
        let (client, _) = self.family_tool(ToolRole::Client)?;
        let asker = Client {
            program: program(client)?.to_owned(),
            login: Login::OptionFile(login.clone()),
            socket: None,
            run_as: None,
        };
        let query = if family == Family::Mysql { Query::ExecutedGtids } else { Query::BinlogGtids };
        let channels = request.catch_up.iter().enumerate().map(|(number, source)| {
            let ask = asker.query(query)?.spec().clone();
            let ask = ask.option("--host", &source.host).option("--port", source.port).arg("--protocol=TCP");
            Ok(Channel {
                name: format!("dbbak_{}_{}", short(&self.request.id), number + 1),
                source: source.clone(),
                ask,
            })
        });
        let channels: Vec<Channel> = channels.collect::<Result<_, PlanError>>()?;
        let client = self.client()?;
        plan.steps.push(Step::CreateDir { path: tmp_dir.clone() });
        plan.steps.push(Step::CreateDir { path: dir.clone() });
        plan.steps.push(Step::CatchUp(Box::new(CatchUp {
            server,
            channels,
            login,
            max_lag_seconds: request.max_lag_seconds.unwrap_or(MAX_LAG).max(1),
            dir: dir.clone(),
            examination: self.examination(client, request.check),
        })));
        plan.steps.push(Step::RemoveTree { path: dir });
        plan.steps.push(Step::RemoveTree { path: tmp_dir });
        Ok(())
    }
}

impl CatchUp {
    /// The sources, in words.
    pub(super) fn sources(&self) -> String {
        self.channels.iter().map(|channel| channel.source.to_string()).collect::<Vec<_>>().join(", ")
    }
}
