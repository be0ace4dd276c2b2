//! The built `dbbak` on real servers: every test compares what the restored tables hold.

mod backups;
mod pitr;
