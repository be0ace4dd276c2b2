//! Plans how a restore that died goes on: what is kept, how that is checked, and what is done again.

use super::{
    CaughtUp, ExaminationReport, GoingOn, Phase, Plan, PlanError, ReplayProof, RestoreReport, RestoreRequest,
    Selection, Step,
    going_on::going_on,
    touch::{Touch, touch, works_on},
    words::utc,
};
use crate::{
    facts::{Facts, JournalFact, UntoldOfWindow},
    journal::{JOURNAL, Journal, JournalError, JournalHeader, Pin, PinnedCut},
    model::{Goal, MariadbGtidState, Target},
    store::Digest,
    tools::ToolRole,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The journal that a restore keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedJournal {
    /// Its path.
    pub path: PathBuf,
    /// Its first line.
    pub header: JournalHeader,
    /// What is taken over from the restore that died; none: this one begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
}

/// What is taken over from a restore that died.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    /// Whether nothing is, so that the journal begins anew.
    pub restart: bool,
    /// The first steps of the plan that only bring the work directory in order: the journal does not hold them.
    pub preparing: usize,
    /// How long the finished steps took.
    pub phases: Vec<Phase>,
    /// What they found out.
    pub carried: Carried,
}

/// What the steps of a restore find out for later ones and for the report.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Carried {
    /// What the replay was proven to have done.
    pub replay: Option<ReplayProof>,
    /// What no log tells of the window that was replayed.
    #[serde(default)]
    pub untold: UntoldOfWindow,
    /// MariaDB: the GTIDs of the history up to the window's end, as a binlog's own list has them.
    pub binlog_state: Option<MariadbGtidState>,
    /// What a private server said of the restored data at the end.
    pub examination: Option<ExaminationReport>,
    /// Where the restored server stood after it had followed living sources.
    pub caught_up: Vec<CaughtUp>,
}

/// The journal that a survey found, if it is that of the restore that is asked for.
///
/// # Errors
///
/// [`PlanError`] when it cannot be read, belongs to another restore, somebody is at work in the directory, or what was
/// restored there is not what was planned.
pub fn journal_of<'a>(request: &RestoreRequest, facts: &'a Facts) -> Result<Option<&'a Journal>, PlanError> {
    let Some(fact) = &facts.journal else { return Ok(None) };
    let path = fact.path.parent().unwrap_or(&fact.path).to_owned();
    let journal = match &fact.journal {
        Ok(journal) => journal,
        Err(JournalError::Empty) if never_begun(fact) => return Ok(None),
        Err(problem) => {
            return Err(PlanError::JournalUnusable { path: fact.path.clone(), problem: problem.to_string() });
        }
    };
    let (own, other) = (request_of(request), &journal.header.request);
    let empty = serde_json::Map::new();
    let fields = |value: &serde_json::Value| value.as_object().cloned().unwrap_or_else(|| empty.clone());
    let (own, other) = (fields(&own), fields(other));
    let names: std::collections::BTreeSet<&String> = own.keys().chain(other.keys()).collect();
    let differs: Vec<String> = names.into_iter().filter(|name| own.get(*name) != other.get(*name)).cloned().collect();
    if !differs.is_empty() {
        return Err(PlanError::JournalOfAnother { path, aim: journal.header.aim.clone(), differs });
    }
    if let Some(living) = fact.living.first() {
        return Err(PlanError::WorkdirInUse { path, pid: living.pid, program: living.program.clone() });
    }
    if let Some((problem, true)) = &journal.failed {
        return Err(PlanError::Unproven { path, problem: problem.clone() });
    }
    Ok(Some(journal))
}

/// Whether dbbak died while it wrote the first line of the journal, before it did anything else.
fn never_begun(fact: &JournalFact) -> bool {
    fact.names.iter().all(|name| name == JOURNAL)
}

/// What is asked for, with what the journal of the same restore has fixed: the archive may have grown since.
///
/// # Errors
///
/// As [`journal_of`].
pub fn pinned(request: &RestoreRequest, facts: &Facts) -> Result<RestoreRequest, PlanError> {
    let Some(journal) = journal_of(request, facts)? else { return Ok(request.clone()) };
    let pin = &journal.header.pin;
    Ok(RestoreRequest {
        id: journal.header.restore,
        target: match &pin.cut {
            Some(cut) => Target::Cut(Goal::Position(cut.at.clone())),
            None => Target::NoPitr { at: None },
        },
        backup: Some(pin.backup),
        timeline: pin.cut.as_ref().map(|cut| cut.timeline.clone()),
        ..request.clone()
    })
}

/// The journal that a restore keeps: its own, or that of the restore that it goes on with.
pub(super) fn planned_journal(
    (plan, report, begun): (&Plan, &RestoreReport, Option<&JournalHeader>),
    selection: &Selection<'_>,
    request: &RestoreRequest,
    facts: &Facts,
) -> Result<PlannedJournal, PlanError> {
    let last = selection.chain.last().ok_or(PlanError::NoFull)?;
    let cut = selection.window.as_ref();
    let cut = cut.map(|window| PinnedCut { timeline: window.timeline.clone(), at: window.cut.clone() });
    let header = JournalHeader {
        journal: JournalHeader::FORMAT,
        restore: request.id,
        began: begun.map_or(plan.planned_at, |header| header.began),
        aim: report.aim.clone(),
        target: report.target,
        request: request_of(request),
        pin: Pin { backup: last.ts(), cut },
        identity: identity_of(plan, facts),
    };
    let dir = report.datadir.parent().unwrap_or(&report.datadir);
    Ok(PlannedJournal { path: dir.join(JOURNAL), header, resume: None })
}

/// What is asked for, without what may differ from one run to the next.
fn request_of(request: &RestoreRequest) -> serde_json::Value {
    let mut value = serde_json::json!(request);
    if let Some(fields) = value.as_object_mut() {
        fields.remove("id");
        fields.remove("workdir");
    }
    value
}

/// What the finished steps of a restore rest on: where one of it is another, they are worth nothing.
fn identity_of(plan: &Plan, facts: &Facts) -> BTreeMap<String, String> {
    let mut identity = BTreeMap::new();
    let mut note = |name: &str, value: String| {
        let text: &mut String = identity.entry(name.to_owned()).or_default();
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&value);
    };
    for step in &plan.steps {
        match step {
            Step::PassTree(pass) => {
                if let Some(stored) = &pass.verify {
                    let digest = stored.list_digest.map(|digest| digest.short()).unwrap_or_default();
                    note("backups", format!("{}/{}:{digest}", stored.backup, stored.tree.as_str()));
                }
            }
            Step::UnpackBinlogs(unpack) => {
                let files = unpack.files.iter().map(|file| {
                    let digest = file.digest.map(|digest| digest.short()).unwrap_or_default();
                    format!("{}:{}:{digest}", file.stored_as, file.size)
                });
                let all = files.collect::<Vec<_>>().join(" ");
                note("binlogs", Digest::of(all.as_bytes()).short());
            }
            Step::Replay(replay) => {
                note("window", format!("{} to {}", replay.from, replay.cut));
                note("replay", if replay.relay.is_some() { "relay" } else { "pipe" }.into());
            }
            _ => {}
        }
    }
    note("dbbak", env!("CARGO_PKG_VERSION").into());
    for role in [ToolRole::Backup, ToolRole::Server] {
        let version = facts.tool(role).and_then(|tool| tool.version.as_ref());
        note(&format!("{role:?}").to_lowercase(), version.map(|version| version.full.clone()).unwrap_or_default());
    }
    identity
}

/// How a restore goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// With a step of the plan: what stands before it is kept.
    From(usize),
    /// From the beginning, and why.
    Anew(String),
}

/// Turns the plan of a restore into one that goes on where the same restore died. Without a journal it stays as it is.
///
/// A copy is compared with the recorded digests, file by file, and copied where it differs. What a finished step changed is
/// kept where its files are as it left them, in the same run of the machine or synced; a step that changes the copy and was
/// not finished throws it away. Binlogs are unpacked again: what the replay must log is read from them.
pub fn plan_resume(fresh: Plan, facts: &Facts) -> Plan {
    let (Some(fact), Some(planned)) = (&facts.journal, &fresh.journal) else { return fresh };
    let Ok(journal) = &fact.journal else {
        let path = planned.path.clone();
        let steps = std::iter::once(Step::RemoveTree { path }).chain(fresh.steps).collect();
        return Plan { steps, ..fresh };
    };
    let keys = fresh.step_keys();
    let half = going_on(&fresh, &keys, (fact, journal));
    let (path, header) = (planned.path.clone(), planned.header.clone());
    let half_done = match &half {
        Some(Ok(going_on)) => fresh.clone().going_on(going_on),
        _ => fresh.clone(),
    };
    let workdir = path.parent().unwrap_or(Path::new(""));
    let view = View { plan: &half_done, keys: &keys, fact, journal, workdir, half: half.as_ref() };
    let way = view.way(&header);
    let mut reasons =
        vec![format!("goes on with the restore of {}: {}", utc(&journal.header.began), journal.header.aim)];
    if let Some(cut) = &journal.header.pin.cut {
        reasons.push(format!("it ends at {}, as it was to end then: what was archived since is left out", cut.at));
    }
    let mut resume = Resume { restart: false, preparing: 0, phases: Vec::new(), carried: Carried::default() };
    let mut header = header;
    let steps = match way {
        Way::From(next) => {
            header = journal.header.clone();
            let (preparing, rest) = view.steps_from(next, &mut reasons);
            resume.preparing = preparing.len();
            for done in keys[..next].iter().filter_map(|key| journal.finished(key)) {
                resume.phases.extend(serde_json::from_value::<Phase>(done.phase.clone()));
                resume.carried = serde_json::from_value(done.carried.clone()).unwrap_or(resume.carried);
            }
            [preparing, rest].concat()
        }
        Way::Anew(why) => {
            reasons.push(format!("begins anew in it: {why}"));
            resume.restart = true;
            let preparing = view.removals(&|_| true);
            resume.preparing = preparing.len();
            [preparing, fresh.steps[view.first()..].to_vec()].concat()
        }
    };
    reasons.extend(fresh.reasons.iter().cloned());
    Plan { steps, reasons, journal: Some(Box::new(PlannedJournal { path, header, resume: Some(resume) })), ..fresh }
}

struct View<'a> {
    plan: &'a Plan,
    keys: &'a [Digest],
    fact: &'a JournalFact,
    journal: &'a Journal,
    workdir: &'a Path,
    /// A replay that died.
    half: Option<&'a Result<GoingOn, String>>,
}

impl View<'_> {
    fn touch<'b>(&'b self, step: &'b Step) -> Touch<'b> {
        touch(step, self.plan.datadir())
    }

    /// The first step behind the making of the work directory, which is there.
    fn first(&self) -> usize {
        let made = |step: &Step| matches!(step, Step::CreateDir { path } if path == self.workdir);
        usize::from(self.plan.steps.first().is_some_and(made))
    }

    fn way(&self, fresh: &JournalHeader) -> Way {
        let steps = &self.plan.steps;
        let then = &self.journal.header.identity;
        let differ = |name: &&String| then.get(*name) != fresh.identity.get(*name);
        let names: Vec<String> = then
            .keys()
            .chain(fresh.identity.keys().filter(|name| !then.contains_key(*name)))
            .filter(differ)
            .cloned()
            .collect();
        if !names.is_empty() {
            return Way::Anew(format!("not the same as then: {}", names.join(", ")));
        }
        // What is removed first is in no journal.
        let is_left = |path: &PathBuf| {
            let name = path.strip_prefix(self.workdir).ok();
            name.is_some_and(|name| self.fact.names.iter().any(|found| Path::new(found) == name))
        };
        if self.journal.done.is_empty() && self.journal.begun.is_none() && self.plan.discard_dirs.iter().any(is_left) {
            return Way::Anew("it died while it removed what the run before had left".into());
        }
        match self.half {
            Some(Err(why)) => return Way::Anew(format!("it died in the replay, which cannot go on: {why}")),
            Some(Ok(_)) => {
                // What the binlogs must bring about is kept in memory alone.
                let unpack = steps.iter().position(|step| matches!(step, Step::UnpackBinlogs(_)));
                return unpack.map_or(Way::Anew("there is nothing to replay".into()), Way::From);
            }
            None => {}
        }
        let behind = self.keys.iter().skip(self.first()).position(|key| self.journal.finished(key).is_none());
        // The report is written again in any case.
        let behind = behind.map_or(steps.len(), |at| at + self.first()).min(steps.len().saturating_sub(1));
        let mut next = behind;
        if let Some(begun) = &self.journal.begun {
            let Some(at) = self.keys.iter().position(|key| key == begun) else {
                return Way::Anew("it died in a step that this plan does not have".into());
            };
            let again = matches!(steps[at], Step::RemoveTree { .. } | Step::CutTies { .. } | Step::MakeReady(_));
            if matches!(self.touch(&steps[at]), Touch::Changes { .. }) && !again {
                return Way::Anew(format!("it died while it was to {}, which changes the copy", steps[at].title()));
            }
            next = next.min(at).max(self.first());
        }
        // What the binlogs must bring about is kept in memory alone.
        if steps[next..].iter().any(|step| matches!(step, Step::Replay(_)))
            && let Some(unpack) = steps[..next].iter().position(|step| matches!(step, Step::UnpackBinlogs(_)))
        {
            next = unpack;
        }
        let changes = |step: &&Step| matches!(self.touch(step), Touch::Changes { .. });
        if let Some(step) = steps[next..behind].iter().find(changes) {
            return Way::Anew(format!("what had to be done before it was to {} is not finished", step.title()));
        }
        let unreadable =
            |done: &&crate::journal::FinishedStep| serde_json::from_value::<Carried>(done.carried.clone()).is_err();
        let mut kept = self.keys[..next].iter().filter_map(|key| self.journal.finished(key));
        if let Some(done) = kept.find(unreadable) {
            return Way::Anew(format!("what the step to {} found out cannot be read", done.title));
        }
        match self.spoilt(next) {
            Some(why) => Way::Anew(why),
            None => Way::From(next),
        }
    }

    /// Why a tree that finished steps changed cannot be kept.
    fn spoilt(&self, next: usize) -> Option<String> {
        let steps = &self.plan.steps[..next];
        let mut last: BTreeMap<&Path, &Digest> = BTreeMap::new();
        for (step, key) in steps.iter().zip(self.keys) {
            match self.touch(step) {
                Touch::Changes { tree } => drop(last.insert(tree, key)),
                Touch::Removes { tree } | Touch::Copies { tree, .. } => drop(last.remove(tree)),
                Touch::Makes { .. } | Touch::Nothing => {}
            }
        }
        last.into_iter().find_map(|(tree, key)| {
            let done = self.journal.finished(key)?;
            let Some(left) = done.left.get(tree) else {
                return Some(format!("how {} was left is not known", tree.display()));
            };
            // What is made ready may be done again after it was done in part.
            let ready = self.plan.steps[next..].first().is_some_and(|step| matches!(step, Step::MakeReady(_)));
            let apart = left.apart.as_ref().filter(|_| ready).map(|apart| &apart.state);
            let as_left = self.fact.trees.get(tree) == Some(&left.state);
            if !as_left && (apart.is_none() || self.fact.apart.get(tree) != apart) {
                return Some(format!("{} was changed since the step to {}", tree.display(), done.title));
            }
            if !left.synced && (done.boot.is_none() || done.boot != self.fact.boot) {
                let why = "the machine was started anew since, and what it had not written to disk by then is lost";
                return Some(format!("{why} (the step to {})", done.title));
            }
            None
        })
    }

    /// The steps that bring the work directory in order, and those that are still to do.
    fn steps_from(&self, next: usize, reasons: &mut Vec<String>) -> (Vec<Step>, Vec<Step>) {
        let (before, rest) = self.plan.steps.split_at(next);
        let mut rest = rest.to_vec();
        let mut kept = Vec::new();
        let mut preparing = Vec::new();
        let mut checked = Vec::new();
        for (at, step) in before.iter().enumerate().skip(self.first()) {
            let Touch::Copies { tree, recorded } = self.touch(step) else {
                if matches!(self.touch(step), Touch::Changes { .. }) {
                    kept.push(step.title());
                }
                continue;
            };
            let datadir = self.plan.datadir();
            let later = |step: &&Step| works_on(step, datadir, tree);
            let changed = before[at + 1..].iter().any(|step| later(&step));
            match rest.iter().find(later).map(|step| self.touch(step)) {
                // It was used, also by the replay that is gone on with, or is removed at once.
                _ if changed || matches!(self.half, Some(Ok(_))) => kept.push(step.title()),
                None | Some(Touch::Removes { .. }) => {}
                Some(_) if recorded => checked.push(mended(step)),
                Some(_) => {
                    preparing.push(Step::RemoveTree { path: tree.to_owned() });
                    checked.push(step.clone());
                }
            }
        }
        if let Some(step) = rest.first_mut()
            && let Touch::Copies { recorded: true, .. } = touch(step, self.plan.datadir())
        {
            *step = mended(step);
        }
        for step in checked.iter().chain(rest.first()).filter(|step| matches!(step, Step::MendTree(_))) {
            reasons.push(format!("compared with the recorded digests, copied where it differs: {}", step.title()));
        }
        if let Some(Ok(going_on)) = self.half {
            reasons.push(format!("finished, and not done again: {}", kept.join(", ")));
            let transactions = rest.iter().find_map(|step| match step {
                Step::UnpackBinlogs(unpack) => Some(unpack.transactions),
                _ => None,
            });
            reasons.push(going_on.reason(transactions.flatten()));
        } else if !kept.is_empty() {
            reasons.push(format!("finished, its files are as it left them, and not done again: {}", kept.join(", ")));
        }
        let made_again = |path: &Path| {
            rest.iter().any(|step| match self.touch(step) {
                Touch::Makes { tree } => tree == path,
                Touch::Copies { tree, .. } => tree == path && !matches!(step, Step::MendTree(_)),
                _ => false,
            })
        };
        let removals = self.removals(&|path| made_again(path));
        (removals.into_iter().chain(preparing).chain(checked).collect(), rest)
    }

    /// Removes what the dead run left: its private directory for sockets, and those of its other directories that are meant.
    fn removals(&self, meant: &dyn Fn(&Path) -> bool) -> Vec<Step> {
        let left = |path: &&PathBuf| match path.strip_prefix(self.workdir) {
            Err(_) => true,
            Ok(name) => self.fact.names.iter().any(|found| Path::new(found) == name) && meant(path),
        };
        self.plan.discard_dirs.iter().filter(left).map(|path| Step::RemoveTree { path: path.clone() }).collect()
    }
}

/// The copying of a tree as the mending of what is there of it.
fn mended(step: &Step) -> Step {
    match step {
        Step::PassTree(pass) => Step::MendTree(pass.clone()),
        other => other.clone(),
    }
}
