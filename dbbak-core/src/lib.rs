//! Physical backup, binlog archiving and exact point-in-time recovery for MySQL, Percona Server and MariaDB.
//!
//! The library knows no terminal, no environment, no home directory and never ends the process. Every command goes
//! one way: configuration, catalog and survey, plan, execution, record (see `docs/architecture.md`).

mod beneath;
pub mod binlog;
pub mod catalog;
pub mod clock;
pub mod config;
pub mod engine;
pub mod execute;
pub mod facts;
pub mod find;
pub mod halfway;
pub mod journal;
pub mod model;
pub mod plan;
pub mod probe;
pub mod record;
pub mod run;
pub mod setup;
pub mod store;
pub mod survey;
pub mod tools;
