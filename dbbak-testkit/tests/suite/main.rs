//! Every test that is not a unit test, in one binary.

mod binlog;
mod real_server;
mod store;
