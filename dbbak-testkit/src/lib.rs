//! Fakes, shims, throw-away servers and the store conformance suite.

pub mod binlog_writer;
pub mod real;
pub mod server;
pub mod shim;
pub mod workload;
