//! Fakes, shims, throw-away servers and the store conformance suite.

pub mod binlog_writer;
pub mod browser;
pub mod cli;
pub mod command_line;
pub mod fake_clock;
pub mod fake_executor;
pub mod fake_processes;
pub mod faulty;
pub mod history;
pub mod looking;
pub mod mem_store;
pub mod planted;
pub mod random;
pub mod real;
pub mod redact;
pub mod scenario;
pub mod server;
pub mod shim;
pub mod store_suite;
pub mod vendor_reading;
pub mod witness;
pub mod workload;
