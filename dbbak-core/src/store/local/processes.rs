//! What a lock asks about processes: who we are, who still lives, and the end of a dead holder's children.
#![expect(clippy::disallowed_methods, reason = "reads /proc and the machine's ids")]

use crate::store::ProcessGroup;
use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process_group, test_kill_process, test_kill_process_group},
};
use std::{fmt::Debug, fs, io};

/// What tells a process from every other one on any machine, as far as the system tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// The machine's host name.
    pub host: String,
    /// The machine's own id.
    pub machine: Option<String>,
    /// The id of its boot.
    pub boot_id: Option<String>,
    /// The process id namespace.
    pub pid_namespace: Option<String>,
    /// The process id.
    pub pid: u32,
    /// When the process started, in the kernel's ticks since the boot.
    pub pid_start: Option<u64>,
}

/// Whether a process id is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessState {
    /// No process has it, or only one that has ended already.
    Gone,
    /// A process has it, which started at this tick where that was to be learned.
    Running(Option<u64>),
}

/// What became of a process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupState {
    /// It has no process that runs.
    Gone,
    /// It is the group that was recorded.
    Running,
    /// It has processes, but its leader has gone: it cannot be told from a later group with the same number.
    Leaderless,
}

/// Asks about processes on this machine.
pub trait Processes: Debug + Send + Sync {
    /// This process.
    fn identity(&self) -> ProcessIdentity;

    /// Whether a process id is taken.
    fn process(&self, pid: u32) -> ProcessState;

    /// What became of a process group.
    fn group(&self, group: &ProcessGroup) -> GroupState;

    /// Kills every process in a group.
    ///
    /// # Errors
    ///
    /// As the system says; a group that has gone already is no error.
    fn kill_group(&self, group: &ProcessGroup) -> io::Result<()>;
}

/// The operating system's processes.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemProcesses;

/// The fields of `/proc/PID/stat` that matter here.
struct Stat {
    has_ended: bool,
    group: u32,
    start: u64,
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The program's name stands in parentheses and may hold anything, parentheses and spaces too.
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
    let has_ended = matches!(fields.next()?, "Z" | "X" | "x");
    let group = fields.nth(1)?.parse().ok()?;
    let start = fields.nth(16)?.parse().ok()?;
    Some(Stat { has_ended, group, start })
}

fn stat_of(pid: u32) -> Option<Stat> {
    // The name may be no UTF-8.
    let bytes = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&String::from_utf8_lossy(&bytes))
}

fn pid_of(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().and_then(Pid::from_raw)
}

/// The group that this process belongs to. The system answers 0 where its leader is outside of the process id namespace, as
/// in a container that was entered: no number of a group in it.
fn own_group() -> Option<u32> {
    stat_of(std::process::id()).map(|stat| stat.group)
}

/// A group that may be asked about and killed. The numbers 0 and 1 would address our own group and every process there
/// is.
fn group_of(group: &ProcessGroup) -> Option<Pid> {
    let own = own_group()?;
    pid_of(group.pgid).filter(|pid| *pid != Pid::INIT && group.pgid != own)
}

fn first_line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

impl ProcessGroup {
    /// The group that the process with this id leads; `None` when it has gone or the system does not tell.
    pub fn led_by(pid: u32) -> Option<Self> {
        stat_of(pid).map(|stat| ProcessGroup { pgid: pid, start_time: stat.start })
    }
}

impl Processes for SystemProcesses {
    fn identity(&self) -> ProcessIdentity {
        let pid = std::process::id();
        ProcessIdentity {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            machine: first_line("/etc/machine-id"),
            boot_id: first_line("/proc/sys/kernel/random/boot_id"),
            pid_namespace: fs::read_link("/proc/self/ns/pid").ok().map(|link| link.to_string_lossy().into_owned()),
            pid,
            pid_start: stat_of(pid).map(|stat| stat.start),
        }
    }

    fn process(&self, pid: u32) -> ProcessState {
        let Some(number) = pid_of(pid) else {
            return ProcessState::Gone;
        };
        // Asked first, because `/proc` may be mounted so that it hides the processes of others.
        if test_kill_process(number) == Err(Errno::SRCH) {
            return ProcessState::Gone;
        }
        match stat_of(pid) {
            Some(stat) if stat.has_ended => ProcessState::Gone,
            stat => ProcessState::Running(stat.map(|stat| stat.start)),
        }
    }

    fn group(&self, group: &ProcessGroup) -> GroupState {
        let Some(number) = group_of(group) else {
            return GroupState::Gone;
        };
        if test_kill_process_group(number) == Err(Errno::SRCH) {
            return GroupState::Gone;
        }
        let leader = stat_of(group.pgid);
        // The kernel gives no process the number of a group that still exists.
        if leader.as_ref().is_some_and(|leader| leader.start != group.start_time) {
            return GroupState::Gone;
        }
        let members = members_of(group.pgid);
        match leader {
            _ if !members.is_empty() && members.iter().all(|member| member.has_ended) => GroupState::Gone,
            Some(_) => GroupState::Running,
            None => GroupState::Leaderless,
        }
    }

    fn kill_group(&self, group: &ProcessGroup) -> io::Result<()> {
        match group_of(group).map(|number| kill_process_group(number, Signal::KILL)) {
            None | Some(Ok(()) | Err(Errno::SRCH)) => Ok(()),
            Some(Err(error)) => Err(error.into()),
        }
    }
}

fn members_of(pgid: u32) -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(stat_of)
        .filter(|stat| stat.group == pgid)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_stat_whose_name_is_hostile() {
        let line =
            "4242 (a) R 1 (b) S 1 77 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1000 10 18446744073709551615";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.has_ended, stat.group, stat.start), (false, 77, 98765));
        assert!(parse_stat("").is_none());
        assert!(parse_stat("1 (x)").is_none());
    }

    #[test]
    fn finds_itself_and_never_a_group_of_everyone() {
        let me = SystemProcesses.identity();
        assert_eq!(SystemProcesses.process(me.pid), ProcessState::Running(me.pid_start));
        assert_eq!(SystemProcesses.process(0), ProcessState::Gone);
        for pgid in [0, 1, own_group().unwrap()] {
            assert_eq!(group_of(&ProcessGroup { pgid, start_time: 0 }), None);
        }
    }
}
