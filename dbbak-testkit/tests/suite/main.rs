//! Every test that is not a unit test, in one binary.

mod binlog;
mod real;
mod real_server;
mod real_tools;
mod shims;
mod store;
mod tools_props;
