//! The programs that the holder of a lock has running: whoever takes it over must find them all.

use super::{directory, local};
use dbbak_core::store::{LockRequest, LockScope, ProcessGroup, Store, local::LocalParts};
use std::{
    os::unix::process::CommandExt,
    process::{Child, Command},
};

/// A private server runs on while clients come and go.
#[test]
fn a_client_that_is_started_makes_no_server_forgotten() {
    let directory = directory();
    let store = local(&directory, &LocalParts::default());
    let session = store.lock(LockScope::Backups, &LockRequest::new("test")).unwrap();
    let sleeper = || Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
    let mut living: Vec<Child> = [sleeper(), sleeper()].into();
    let groups: Vec<ProcessGroup> = living.iter().map(|child| ProcessGroup::led_by(child.id()).unwrap()).collect();
    let noted = || {
        let mut children = store.lock_holder(LockScope::Backups).unwrap().unwrap().children;
        children.sort_by_key(|group| group.pgid);
        children
    };
    session.note_children(&groups[..1]).unwrap();
    session.note_children(&groups[1..]).unwrap();
    let mut both = groups.clone();
    both.sort_by_key(|group| group.pgid);
    assert_eq!(noted(), both);
    // The client has ended, and the next one is started.
    let mut client = living.pop().unwrap();
    client.kill().and_then(|()| client.wait()).unwrap();
    session.note_children(&[]).unwrap();
    assert_eq!(noted(), groups[..1]);
    let mut server = living.pop().unwrap();
    server.kill().and_then(|()| server.wait()).unwrap();
}
