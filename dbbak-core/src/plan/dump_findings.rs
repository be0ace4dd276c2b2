//! Decides what becomes of what a dump cannot hold as it is.

use super::PlanError;
use crate::{
    config::{Config, RoundedFloats},
    facts::ServerFacts,
    tools::{CommandError, CommandSpec, DumpFinding, DumpFindingKind, Version},
};

/// What was found, sorted by what becomes of it.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Columns that are dumped rounded.
    pub floats: Vec<String>,
    /// Statements for the head of the dump.
    pub prelude: String,
    json: Vec<String>,
    /// Views that the dump leaves out: database and name.
    views: Vec<(String, String)>,
    history: bool,
}

impl Findings {
    /// Sorts them.
    ///
    /// # Errors
    ///
    /// [`PlanError::NotInDump`] names what no dump holds.
    pub(super) fn sort(config: &Config, server: &ServerFacts, found: &[DumpFinding]) -> Result<Self, PlanError> {
        let (mut findings, mut refused) = (Self::default(), Vec::new());
        for one in found {
            let shown = one.shown();
            match one.kind {
                DumpFindingKind::Float => findings.floats.push(shown),
                DumpFindingKind::Json => findings.json.push(shown),
                // The dump programs take a database and a view apart at the first full stop, and know no quotes.
                DumpFindingKind::BrokenView if one.database.contains('.') => {
                    refused.push(format!("{shown} (a view that names what is not there)"));
                }
                DumpFindingKind::BrokenView => findings.views.push((one.database.clone(), one.name.clone())),
                DumpFindingKind::Tablespace => findings.prelude.extend(one.create_tablespace()),
                DumpFindingKind::OldTablespace => refused.push(format!("the tablespace {shown} (general)")),
                // Older servers cannot load a history.
                DumpFindingKind::Versioned if server.version >= Version::new(10, 11, 0) => findings.history = true,
                DumpFindingKind::Versioned => refused.push(format!("{shown} (its history)")),
                DumpFindingKind::VersionedByTransaction => {
                    refused.push(format!("{shown} (its history by transactions)"));
                }
            }
        }
        let refused_floats = config.rounded_floats == RoundedFloats::Refuse && !findings.floats.is_empty();
        let floats = refused_floats && refused.is_empty();
        if refused_floats {
            refused.extend(findings.floats.iter().map(|column| format!("{column} (FLOAT: six digits)")));
        }
        if refused.is_empty() { Ok(findings) } else { Err(PlanError::NotInDump { what: refused, floats }) }
    }

    /// What whoever reads the plan must know.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.floats.is_empty() {
            warnings.push(format!(
                "these FLOAT columns are dumped with six digits, rounded: {}; no point-in-time recovery can start from \
                 this backup",
                self.floats.join(", ")
            ));
        }
        if !self.views.is_empty() {
            let names: Vec<String> =
                self.views.iter().map(|(db, name)| format!("{}.{}", db.escape_debug(), name.escape_debug())).collect();
            warnings.push(format!(
                "the server cannot open these views (what they name is gone, or their definer is, or may not read it), and they are \
                 left out of the dump: {}",
                names.join(", ")
            ));
        }
        if !self.json.is_empty() {
            warnings.push(format!(
                "a dump holds JSON as text: a DECIMAL in it becomes a DOUBLE, a date or time a string, in {}",
                self.json.join(", ")
            ));
        }
        warnings
    }

    /// The dump program's options for them.
    ///
    /// # Errors
    ///
    /// [`CommandError`].
    pub(super) fn options(&self, mut command: CommandSpec) -> Result<CommandSpec, CommandError> {
        for (database, view) in &self.views {
            command = command.option("--ignore-table", format!("{database}.{view}"));
        }
        Ok(if self.history { command.arg("--dump-history") } else { command })
    }
}
