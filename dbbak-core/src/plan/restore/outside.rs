//! Refuses a window with a statement that would make files outside of the work directory.

use super::{PlanError, Restore};

impl Restore<'_> {
    /// Warnings about tables whose directory the private server leaves aside.
    ///
    /// # Errors
    ///
    /// [`PlanError::PutsOutside`] where it would make files elsewhere, and the transaction is not to be left out.
    pub(super) fn stays_inside(&self, leaves_directories_aside: bool) -> Result<Vec<String>, PlanError> {
        let mut warnings = Vec::new();
        for fact in &self.facts.outside {
            if self.request.skip.iter().any(|gtid| Some(gtid.to_string()) == fact.gtid) {
                continue;
            }
            let gtid = fact.gtid.as_deref().map(|gtid| format!("{gtid} at ")).unwrap_or_default();
            let transaction = format!("{gtid}{}", fact.at);
            if !fact.table || !leaves_directories_aside {
                return Err(PlanError::PutsOutside { transaction, path: (&fact.path).into(), table: fact.table });
            }
            warnings.push(format!(
                "transaction {transaction} has a table in {:?}: it is made in the restored data directory, and its definition does not \
                 name that directory",
                fact.path
            ));
        }
        Ok(warnings)
    }
}
