//! What a survey finds in a window of binlogs that its plan must tell, beside what puts files elsewhere.

use crate::{
    binlog::{Transaction, Untold},
    model::{BinlogName, BinlogPosition, Need},
};
use serde::{Deserialize, Serialize};

/// A transaction whose statement names something that the private server may lack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemandFact {
    /// Where it begins.
    pub at: BinlogPosition,
    /// Its GTID, where the log has one.
    pub gtid: Option<String>,
    /// What it names.
    pub need: Need,
    /// The name, as the statement has it; empty where any engine may stand behind what is kept of the statement.
    pub name: String,
}

/// What no log tells of a window.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UntoldOfWindow {
    /// The first transaction whose rows were written by a logged statement: of such ones a proof compares GTIDs alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statements_from: Option<BinlogPosition>,
    /// Transactions of which the log does not tell what came of them; at most ten are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transactions: Vec<UntoldFact>,
    /// How many there are.
    #[serde(default)]
    pub count: u64,
    /// The first binlog that was not looked through, because that would have taken too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen_from: Option<BinlogName>,
}

/// How many transactions of which the log does not tell all are kept.
const UNTOLD_KEPT: usize = 10;

impl UntoldOfWindow {
    /// Whether nothing is to be told.
    pub fn is_empty(&self) -> bool {
        *self == UntoldOfWindow::default()
    }

    /// Whether a transaction of a kind is kept with its place. Routines are made by the dozen, and are no more than a hint each.
    pub fn keeps(&self, what: Untold) -> bool {
        const ROUTINES: usize = 2;
        let routines = self.transactions.iter().filter(|fact| fact.what == Untold::RoutineGrants).count();
        self.transactions.len() < UNTOLD_KEPT && (what != Untold::RoutineGrants || routines < ROUTINES)
    }

    /// Adds a transaction.
    pub fn add(&mut self, fact: UntoldFact) {
        self.count += 1;
        if self.keeps(fact.what) {
            self.transactions.push(fact);
        }
    }
}

/// A transaction of which the log does not tell what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UntoldFact {
    /// Where it begins.
    pub at: BinlogPosition,
    /// Its GTID, where the log has one.
    pub gtid: Option<String>,
    /// The tables that it names, as `database.table`.
    pub tables: Vec<String>,
    /// What the log does not tell.
    pub what: Untold,
}

impl UntoldFact {
    /// Of a transaction that begins at a place.
    pub fn of(at: BinlogPosition, transaction: &Transaction, what: Untold) -> Self {
        let tables = transaction.tables.iter().map(|change| format!("{}.{}", change.database, change.table)).collect();
        UntoldFact { at, gtid: transaction.gtid.as_ref().map(ToString::to_string), tables, what }
    }
}
