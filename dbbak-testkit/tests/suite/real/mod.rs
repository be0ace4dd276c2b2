//! The built `dbbak` on real servers: every test compares what the restored tables hold.

mod archive;
mod backups;
mod damage;
mod disk_full;
mod exact;
mod from_server;
mod kill;
mod pitr;
mod reading;
mod secrets;
mod together;
