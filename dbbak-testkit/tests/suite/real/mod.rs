//! The built `dbbak` on real servers: every test compares what the restored tables hold.

mod archive;
mod backups;
mod catch_up;
mod clone;
mod clone_ddl;
mod damage;
mod disk_full;
mod dump;
mod encryption;
mod exact;
mod failover;
mod faults;
mod find;
mod flow;
mod from_server;
mod going_on;
mod histories;
mod kill;
mod pitr;
mod proof;
mod reading;
mod ready;
mod relay;
mod remote_clone;
mod resume;
mod secrets;
mod targets;
mod temporary;

mod together;
