//! The built `dbbak` on real servers: every test compares what the restored tables hold.

mod archive;
mod backups;
mod pitr;
mod together;
