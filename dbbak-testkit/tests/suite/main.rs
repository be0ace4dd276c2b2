//! Every test that is not a unit test, in one binary.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod binlog;
mod cli;
mod dev;
mod exec;
mod plan;
mod props;
mod real;
mod real_server;
mod real_tools;
mod settings;
mod shims;
mod store;
mod tidy;
mod timeline;
mod tools_props;
mod transactions;
