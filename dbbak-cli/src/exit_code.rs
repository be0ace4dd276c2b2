//! Exit codes. They are API: scripts and monitoring rely on them.

/// Done.
pub const DONE: u8 = 0;
/// A bug in dbbak.
pub const BUG: u8 = 1;
/// The command line cannot be understood.
pub const USAGE: u8 = 2;
/// The configuration cannot be used.
pub const CONFIG: u8 = 3;
/// The store is missing, damaged, too new, or cannot be read or written.
pub const STORE: u8 = 4;
/// No plan is possible.
pub const NO_PLAN: u8 = 5;
/// An external tool or server failed.
pub const TOOL: u8 = 6;
/// Verification found damage.
pub const DAMAGE: u8 = 7;
/// Somebody else holds a lock; try again later.
pub const LOCKED: u8 = 8;
/// Done, but incomplete: a gap, a damaged binlog.
pub const INCOMPLETE: u8 = 9;

/// The code for a run that a signal ended: 130 for SIGINT, 143 for SIGTERM.
pub fn for_signal(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(BUG)
}
