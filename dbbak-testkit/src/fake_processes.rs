//! A machine whose processes live and die as tests say.

use dbbak_core::store::{
    ProcessGroup,
    local::processes::{GroupState, ProcessIdentity, ProcessState, Processes},
};
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The machines' processes, seen by one process on one of them. Clones see the same processes.
#[derive(Debug, Clone)]
pub struct FakeProcesses {
    identity: ProcessIdentity,
    world: Arc<Mutex<World>>,
}

#[derive(Debug, Default)]
struct World {
    /// Start by process id.
    running: BTreeMap<u32, u64>,
    groups: BTreeMap<ProcessGroup, GroupState>,
    killed: Vec<ProcessGroup>,
    /// Whether killing has no effect, as on a process that waits for a dead NFS server.
    unkillable: bool,
}

impl FakeProcesses {
    /// A process on the machine `db1`.
    pub fn new(pid: u32) -> Self {
        let identity = ProcessIdentity {
            host: "db1".to_owned(),
            machine: Some("machine-1".to_owned()),
            boot_id: Some("boot-1".to_owned()),
            pid_namespace: Some("pid:[1]".to_owned()),
            pid,
            pid_start: Some(u64::from(pid) * 10),
        };
        let fake = FakeProcesses { identity, world: Arc::default() };
        fake.start(pid);
        fake
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, pid: u32) {
        self.world().running.insert(pid, u64::from(pid) * 10);
    }

    /// Another process among the same ones, elsewhere if `change` says so.
    #[must_use]
    pub fn other(&self, pid: u32, change: impl FnOnce(&mut ProcessIdentity)) -> Self {
        self.start(pid);
        let mut identity = ProcessIdentity { pid, pid_start: Some(u64::from(pid) * 10), ..self.identity.clone() };
        change(&mut identity);
        FakeProcesses { identity, world: Arc::clone(&self.world) }
    }

    /// Ends this process.
    pub fn die(&self) {
        self.world().running.remove(&self.identity.pid);
    }

    /// Ends this process and gives its id to a new one.
    pub fn be_replaced(&self) {
        self.world().running.insert(self.identity.pid, 999_999);
    }

    /// Starts a process group.
    pub fn start_group(&self, group: ProcessGroup, state: GroupState) {
        self.world().groups.insert(group, state);
    }

    /// From now on killing has no effect.
    pub fn make_unkillable(&self) {
        self.world().unkillable = true;
    }

    /// The groups that were killed.
    pub fn killed(&self) -> Vec<ProcessGroup> {
        self.world().killed.clone()
    }
}

impl Processes for FakeProcesses {
    fn identity(&self) -> ProcessIdentity {
        self.identity.clone()
    }

    fn process(&self, pid: u32) -> ProcessState {
        match self.world().running.get(&pid) {
            Some(start) => ProcessState::Running(Some(*start)),
            None => ProcessState::Gone,
        }
    }

    fn group(&self, group: &ProcessGroup) -> GroupState {
        self.world().groups.get(group).copied().unwrap_or(GroupState::Gone)
    }

    fn kill_group(&self, group: &ProcessGroup) -> io::Result<()> {
        let mut world = self.world();
        world.killed.push(*group);
        if !world.unkillable {
            world.groups.insert(*group, GroupState::Gone);
        }
        Ok(())
    }
}
