//! The conformance suite, run for every store there is.

use super::{directory, local};
use dbbak_core::store::local::LocalParts;
use dbbak_testkit::{
    faulty::{Fault, FaultyDisk, Op},
    mem_store::MemStore,
    store_suite::CHECKS,
};
use rustix::io::Errno;
use std::sync::Arc;

fn run_on(parts: &LocalParts) {
    for (_, check) in CHECKS {
        check(&local(&directory(), parts));
    }
}

#[test]
fn memory() {
    for (_, check) in CHECKS {
        check(&MemStore::new());
    }
}

#[test]
fn local_directory() {
    run_on(&LocalParts::default());
}

#[test]
fn directory_that_can_only_link() {
    run_on(&LocalParts { disk: Arc::new(FaultyDisk::like_nfs()), ..LocalParts::default() });
}

#[test]
fn directory_that_can_neither_link_nor_rename_to_a_new_name() {
    let disk = FaultyDisk::like_nfs();
    disk.always(Op::Link, "", Fault::Refused(Errno::PERM));
    run_on(&LocalParts { disk: Arc::new(disk), ..LocalParts::default() });
}

#[test]
fn directory_whose_directories_cannot_be_synced() {
    let disk = FaultyDisk::new();
    disk.always(Op::Sync, "", Fault::Refused(Errno::INVAL));
    for (name, check) in CHECKS {
        // Files that a tool wrote must be synced one by one, so there the refusal counts.
        if *name != "makes_directories_where_it_is_one" {
            check(&local(&directory(), &LocalParts { disk: Arc::new(disk.clone()), ..LocalParts::default() }));
        }
    }
}

/// Every naming, linking, directory and removal is answered as if it had failed, although it was done: what an NFS
/// server says to a request that was sent twice.
#[test]
fn directory_that_denies_what_it_did() {
    for only_link in [false, true] {
        let disk = if only_link { FaultyDisk::like_nfs() } else { FaultyDisk::new() };
        for op in [Op::Rename, Op::RemoveFile, Op::RemoveDir] {
            disk.always(op, "", Fault::DoneAndDenied(Errno::NOENT));
        }
        disk.always(Op::RenameNew, "", Fault::DoneAndDenied(Errno::NOENT));
        disk.always(Op::Link, "", Fault::DoneAndDenied(Errno::EXIST));
        disk.always(Op::CreateDir, "", Fault::DoneAndDenied(Errno::EXIST));
        run_on(&LocalParts { disk: Arc::new(disk), ..LocalParts::default() });
    }
}
