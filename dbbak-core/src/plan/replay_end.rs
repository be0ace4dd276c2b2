//! Where a replay could end instead.

use crate::model::BinlogPosition;

/// The end of what can be replayed: a restore to this position keeps every transaction before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayEnd {
    /// The place.
    pub position: BinlogPosition,
    /// The timeline.
    pub timeline: String,
}
