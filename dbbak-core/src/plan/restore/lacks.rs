//! Refuses or tells what a window names that the private server will not have, before anything is unpacked.

use super::{super::Lack, PlanError, Restore};
use crate::{
    facts::DemandFact,
    model::{Need, Printable},
    tools::{COMPONENTS, Held, Holdings, LOADABLE_FUNCTIONS},
};
use std::collections::BTreeMap;

impl Restore<'_> {
    /// Warnings about what the window's statements name and the private server may lack, and about libraries that the data want.
    ///
    /// # Errors
    ///
    /// [`PlanError::Lacks`] where it certainly lacks something, and the transaction is not to be left out.
    pub(super) fn lacks(&self) -> Result<Vec<String>, PlanError> {
        let none = BTreeMap::new();
        let variables = self.last_variables().unwrap_or(&none);
        let holdings = Holdings::of(self.family, variables, &self.config.server.options);
        let mut warnings = Vec::new();
        for DemandFact { at, gtid, need, name } in &self.facts.demands {
            if self.request.skip.iter().any(|skipped| Some(skipped.to_string()) == *gtid) {
                continue;
            }
            let transaction = format!("{}{at}", gtid.as_deref().map(|gtid| format!("{gtid} at ")).unwrap_or_default());
            let library = holdings.library(name).map(str::to_owned);
            match (holdings.holds(*need, name), need) {
                (Held::Yes, _) => {}
                (Held::No, _) => {
                    return Err(PlanError::Lacks(Lack { what: need.words(), name: name.clone(), transaction, library }));
                }
                (Held::Unknown, Need::AnyEngine) => warnings.push(format!(
                    "transaction {transaction} makes a table, and its statement is too long for the index: whether the private server has \
                     the table's engine is found out when the window is unpacked, which refuses it otherwise"
                )),
                (Held::Unknown, _) => {
                    let why = if holdings.is_known() { "it is none of those that private servers load" } else { NOT_KEPT };
                    warnings.push(format!(
                        "transaction {transaction} names the {} {}, and {why}: whether the private server has it is found out when the \
                         window is unpacked, which refuses it otherwise",
                        need.words(),
                        Printable(name)
                    ));
                }
            }
        }
        for (key, what) in [(COMPONENTS, "components"), (LOADABLE_FUNCTIONS, "loadable functions")] {
            let statements = self.facts.untold.statements_from.is_some();
            let kept = variables.get(key).filter(|kept| statements && !kept.is_empty());
            warnings.extend(kept.map(|kept| {
                format!(
                    "the server had {what} ({}): the private server loads them from its own plugin directory where it has them, and a \
                     logged statement that calls one of them fails or does something else where it has not",
                    Printable(kept)
                )
            }));
        }
        Ok(warnings)
    }
}

/// Why nobody knows.
const NOT_KEPT: &str = "the backup does not say which plugins its server had";
