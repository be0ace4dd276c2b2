//! Restores that died go on: wherever one dies, and however often, it comes to the same end as one that lives.

use super::{Case, exact, restore_to, story};
use dbbak_core::{
    facts::{JournalFact, LivingProcess},
    journal::{FinishedStep, Journal, JournalError, JournalLine, JournalSession, LeftApart, LeftTree},
    model::{Target, TreeName},
    plan::{
        Plan, PlanError, ReplayProof, RestoreRequest, Step, Touch, check, check_resumed, check_runnable, pinned,
        plan_restore, plan_resume, resolve_aim, select, touch,
    },
    store::Digest,
};
use dbbak_testkit::history::Product;
use insta::assert_snapshot;
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

const WORKDIR: &str = "/scratch/w";

/// The work directory as a model: what each tree in it went through, and the journal.
#[derive(Debug, Default, Clone)]
pub(super) struct World {
    trees: BTreeMap<PathBuf, Tree>,
    journal: String,
    boot: u32,
    reported: Option<bool>,
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Tree {
    went_through: Vec<Digest>,
    half: bool,
    /// It has the identity of a server, which must not be given away.
    identity: bool,
    /// Written, and not on disk yet.
    unsynced: bool,
    /// How far it was made ready, which may be done again.
    ready: Ready,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Ready {
    #[default]
    No,
    InPart,
    Written,
    OnDisk,
}

/// How far a step gets before the run dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    BeforeItIsNoted,
    BeforeItsWork,
    InItsWork,
    BeforeItsEndIsNoted,
    AfterItsEnd,
}

const DEATHS: [Death; 5] =
    [Death::BeforeItIsNoted, Death::BeforeItsWork, Death::InItsWork, Death::BeforeItsEndIsNoted, Death::AfterItsEnd];

/// What a run found out and would lose by dying.
#[derive(Default)]
struct Memory {
    expected: bool,
    replayed: bool,
}

impl World {
    /// Carries out a plan; it dies in a step, if it is told so. Whether it came to its end.
    fn run(&mut self, plan: &Plan, death: Option<(usize, Death)>) -> bool {
        let planned = plan.journal.as_deref().unwrap();
        let resume = planned.resume.as_ref();
        let mut memory = Memory::default();
        let mut noted = resume.is_some();
        if let Some(resume) = resume {
            memory.replayed = resume.carried.replay.is_some();
            if resume.restart {
                self.journal = JournalLine::Restore(Box::new(planned.header.clone())).to_text();
            }
            self.note(&self.session());
        }
        let keys = plan.step_keys();
        for (number, step) in plan.steps.iter().enumerate() {
            let dies = |at: Death| death == Some((number, at));
            let notes = noted && resume.is_none_or(|resume| number >= resume.preparing);
            if dies(Death::BeforeItIsNoted) {
                return false;
            }
            if notes {
                self.note(&JournalLine::Begun { step: keys[number], title: step.title() });
            }
            if dies(Death::BeforeItsWork) {
                return false;
            }
            self.work(plan, step, &mut memory, dies(Death::InItsWork));
            if dies(Death::InItsWork) || dies(Death::BeforeItsEndIsNoted) {
                return false;
            }
            if matches!(step, Step::CreateDir { path } if path == Path::new(WORKDIR)) {
                self.journal = JournalLine::Restore(Box::new(planned.header.clone())).to_text();
                self.note(&self.session());
                noted = true;
            } else if notes {
                let finished = self.finished(plan, (step, keys[number]), &memory);
                self.note(&JournalLine::Done(finished));
            }
            if dies(Death::AfterItsEnd) {
                return false;
            }
        }
        self.journal.clear();
        true
    }

    fn session(&self) -> JournalLine {
        JournalLine::Session(JournalSession { at: chrono::DateTime::UNIX_EPOCH, pid: 1, boot: self.boot() })
    }

    fn boot(&self) -> Option<String> {
        Some(format!("boot {}", self.boot))
    }

    fn note(&mut self, line: &JournalLine) {
        self.journal.push_str(&line.to_text());
    }

    fn finished(&mut self, plan: &Plan, (step, key): (&Step, Digest), memory: &Memory) -> FinishedStep {
        let mut left = BTreeMap::new();
        if let Touch::Changes { tree } = touch(step, plan.datadir()) {
            let synced = !matches!(step, Step::RunTool(_) | Step::RemoveTree { .. });
            let found = self.trees.get_mut(tree).unwrap();
            found.unsynced &= !synced;
            if synced && found.ready == Ready::Written {
                found.ready = Ready::OnDisk;
            }
            let apart = LeftApart { others: Vec::new(), state: state_apart(found) };
            left.insert(tree.to_owned(), LeftTree { state: state(found), synced, apart: Some(apart) });
        }
        let replay = memory.replayed.then_some(ReplayProof { transactions: 5, went_on: None });
        FinishedStep {
            step: key,
            title: step.title(),
            phase: serde_json::json!({ "title": step.title(), "seconds": 1.0 }),
            boot: self.boot(),
            left,
            carried: serde_json::json!({ "replay": replay }),
        }
    }

    /// The work of a step, or half of it.
    fn work(&mut self, plan: &Plan, step: &Step, memory: &mut Memory, half: bool) {
        let key = step.key();
        let whole = |tree: Option<&Tree>| tree.is_some_and(|tree| !tree.half);
        match step {
            Step::MendTree(_) => {
                let Touch::Copies { tree, recorded } = touch(step, plan.datadir()) else { panic!("{step:?}") };
                assert!(recorded, "{step:?}");
                self.trees
                    .insert(tree.to_owned(), Tree { went_through: vec![key], half, unsynced: true, ..Tree::default() });
            }
            Step::PassTree(pass) => {
                let tree = Tree { went_through: vec![key], half, unsynced: true, ..Tree::default() };
                let before = self.trees.insert(pass.to.clone().unwrap(), tree);
                assert_eq!(before, None, "a copy goes into a tree that is there");
            }
            Step::RunTool(run) => {
                let args = run.launch.command.to_string();
                for (path, tree) in &self.trees {
                    if args.contains(&format!("--incremental-dir={}", path.display())) {
                        assert!(!tree.half && tree.went_through.len() == 1, "{path:?} is applied: {tree:?}");
                    }
                }
                self.change(&run.dir, key, half);
            }
            Step::UnpackBinlogs(unpack) => {
                let tree = Tree { went_through: vec![key], half, unsynced: true, ..Tree::default() };
                assert_eq!(self.trees.insert(unpack.dir.clone(), tree), None, "binlogs are there already");
                memory.expected = !half;
            }
            Step::CreateDir { path } if path == Path::new(WORKDIR) => {
                assert!(self.trees.is_empty() && self.journal.is_empty(), "the work directory holds something");
            }
            Step::CreateDir { path } => {
                let tree = self.trees.entry(path.clone()).or_default();
                assert!(tree.went_through.is_empty(), "{path:?} is not empty");
                // Something is put into it.
                tree.went_through.push(key);
            }
            Step::Replay(_) => {
                assert!(memory.expected, "nothing is known of what the replay must log");
                let unpacked = plan.steps.iter().find_map(|step| match step {
                    Step::UnpackBinlogs(unpack) => Some(&unpack.dir),
                    _ => None,
                });
                assert!(whole(self.trees.get(unpacked.unwrap())));
                let before = self.trees.insert(Path::new(WORKDIR).join("replay-log"), Tree::default());
                assert_eq!(before, None, "the logs of another replay are there");
                self.change(plan.datadir(), key, half);
                self.trees.get_mut(plan.datadir()).unwrap().identity = true;
                if !half {
                    self.trees.remove(&Path::new(WORKDIR).join("replay-log"));
                    memory.replayed = true;
                }
            }
            Step::RemoveTree { path } if path != plan.datadir() && path.starts_with(plan.datadir()) => {
                let tree = self.trees.get_mut(plan.datadir()).expect("the data are there");
                assert!(!tree.half, "something is removed from half-done data");
                tree.identity &= half;
            }
            Step::RemoveTree { path } => match (half, self.trees.get_mut(path)) {
                (true, Some(tree)) => tree.half = true,
                (true, None) => {}
                (false, _) => drop(self.trees.remove(path)),
            },
            Step::MakeReady(_) => {
                let tree = self.trees.get_mut(plan.datadir()).unwrap();
                assert!(!tree.half, "half-done data are made ready");
                (tree.identity, tree.ready) = (false, if half { Ready::InPart } else { Ready::Written });
            }
            Step::WriteReport { .. } if !half => self.reported = Some(memory.replayed),
            Step::WriteReport { .. } => {}
            _ => self.change(plan.datadir(), key, half),
        }
    }

    fn change(&mut self, tree: &Path, key: Digest, half: bool) {
        let tree = self.trees.get_mut(tree).expect("the tree that is changed is there");
        assert!(!tree.half && !tree.went_through.contains(&key), "{tree:?} is changed twice, or was left half-done");
        tree.went_through.push(key);
        tree.half = half;
        tree.unsynced = true;
    }

    /// The power fails: what was not written to disk is lost, and nothing tells.
    fn lose_power(&mut self) {
        self.boot += 1;
        for tree in self.trees.values_mut() {
            if tree.unsynced {
                tree.half = true;
            }
            if tree.ready == Ready::Written {
                tree.ready = Ready::InPart;
            }
        }
    }

    /// What a survey would find.
    pub(super) fn fact(&self) -> Option<Box<JournalFact>> {
        if self.journal.is_empty() {
            return None;
        }
        let journal = Journal::parse(&self.journal);
        let named: BTreeSet<&PathBuf> =
            journal.iter().flat_map(|it| &it.done).flat_map(|done| done.left.keys()).collect();
        // Names, sizes and times do not tell what was not written.
        let trees = named.iter().filter_map(|path| Some(((*path).clone(), state(self.trees.get(*path)?)))).collect();
        let apart =
            named.iter().filter_map(|path| Some(((*path).clone(), state_apart(self.trees.get(*path)?)))).collect();
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        let names = self.trees.keys().map(name).chain(["dbbak-journal.jsonl".to_owned()]).collect();
        let path = Path::new(WORKDIR).join("dbbak-journal.jsonl");
        Some(Box::new(JournalFact {
            path,
            journal,
            boot: self.boot(),
            living: Vec::new(),
            trees,
            apart,
            names,
            replay: None,
        }))
    }
}

fn state(tree: &Tree) -> Digest {
    let ready = tree.ready != Ready::No;
    Digest::of(format!("{:?} {} {ready}", tree.went_through, tree.identity).as_bytes())
}

/// Without what the last step brings about.
fn state_apart(tree: &Tree) -> Digest {
    Digest::of(format!("{:?}", tree.went_through).as_bytes())
}

fn request(target: RestoreRequest) -> RestoreRequest {
    RestoreRequest { workdir: Some(WORKDIR.into()), ..target }
}

/// A case with digests of the stored files, or without.
pub(super) struct Stage {
    case: Case,
    request: RestoreRequest,
    recorded: bool,
}

impl Stage {
    pub(super) fn of(product: Product, target: RestoreRequest, recorded: bool) -> Self {
        Stage { case: Case::of(story(product)), request: request(target), recorded }
    }

    pub(super) fn plan(&self, fact: Option<Box<JournalFact>>) -> Result<Plan, PlanError> {
        self.plans(fact).map(|(_, plan)| plan)
    }

    /// The plan of the whole restore, and the one that goes on.
    fn plans(&self, fact: Option<Box<JournalFact>>) -> Result<(Plan, Plan), PlanError> {
        let Case { history, config, catalog, now, .. } = &self.case;
        let with = |goal: Option<&dbbak_core::model::Goal>| {
            let mut facts = history.restore_facts(catalog, goal);
            facts.journal.clone_from(&fact);
            for stored in facts.stored.values_mut() {
                stored.list_digest = self.recorded.then(|| Digest::of(b"list"));
                // Every step that there can be.
                stored.trees.retain(|tree, _| *tree == TreeName::Raw);
            }
            facts
        };
        // Another run has another id.
        let request = RestoreRequest { id: uuid::Uuid::from_u128(0x99), ..self.request.clone() };
        let asked = pinned(&request, &with(None))?;
        let aim = resolve_aim(config, catalog, &with(None), *now, &asked)?;
        let goal = aim.goal();
        let mut facts = with(goal.as_ref());
        if let Some((timeline, at)) = select(catalog, &asked, &aim, &facts)?.ends_at(catalog) {
            facts.edges.push(history.edges(catalog, &timeline, &at, goal.as_ref()));
        }
        let plan = plan_restore(config, catalog, &facts, *now, &request)?;
        assert_eq!(check(&plan), Vec::new());
        let resumed = plan_resume(plan.clone(), &facts);
        assert_eq!(check_resumed(&plan, &resumed), Vec::new());
        assert_eq!(check_runnable(&resumed), Vec::new());
        Ok((plan, resumed))
    }

    fn ends_as(&self, world: &World) {
        let mut wanted = World::default();
        assert!(wanted.run(&self.plan(None).unwrap(), None));
        let passed = |world: &World| -> Vec<(PathBuf, Vec<Digest>, bool)> {
            let trees = world.trees.iter();
            trees.map(|(path, tree)| (path.clone(), tree.went_through.clone(), tree.half)).collect()
        };
        assert_eq!(passed(world), passed(&wanted));
        let ready = |world: &World| world.trees[&Path::new(WORKDIR).join("data")].ready;
        assert_eq!(ready(world), ready(&wanted));
        assert_eq!(world.reported, wanted.reported);
        let mariadb = self.case.history.product == Product::Mariadb;
        assert!(mariadb || !world.trees[&Path::new(WORKDIR).join("data")].identity, "the identity is given away");
        assert_eq!(world.trees.len(), 1, "{:?}", world.trees);
    }

    /// Goes on until it is done.
    fn goes_on(&self, mut world: World) {
        let plan = self.plan(world.fact()).unwrap();
        assert!(world.run(&plan, None));
        self.ends_as(&world);
    }
}

fn stages() -> Vec<Stage> {
    let named = RestoreRequest { backup: Some("2025-10-02T04-00Z".parse().unwrap()), ..restore_to(Target::Latest) };
    let mut stages = Vec::new();
    for recorded in [true, false] {
        stages.push(Stage::of(Product::Mysql84, exact("04:41"), recorded));
        stages.push(Stage::of(Product::Mariadb, restore_to(Target::End), recorded));
        stages.push(Stage::of(Product::Mysql57, named.clone(), recorded));
    }
    stages
}

/// Row 52: each step, and each moment of it.
#[test]
fn a_restore_that_dies_once_ends_as_one_that_lives() {
    for stage in stages() {
        let plan = stage.plan(None).unwrap();
        let preparing = plan.steps.len();
        assert!(preparing > 6);
        for number in 1..plan.steps.len() {
            for death in DEATHS {
                let mut world = World::default();
                assert!(!world.run(&plan, Some((number, death))));
                stage.goes_on(world.clone());
                world.lose_power();
                stage.goes_on(world);
            }
        }
    }
}

/// Row 53: what is removed first is in no journal.
#[test]
fn a_restore_that_dies_while_it_removes_what_was_left_ends_as_one_that_lives() {
    for stage in stages() {
        let whole = stage.plan(None).unwrap();
        let replays = whole.steps.iter().position(|step| matches!(step, Step::Replay(_)));
        let Some(replays) = replays else { continue };
        let mut dead = World::default();
        assert!(!dead.run(&whole, Some((replays, Death::InItsWork))));
        let again = stage.plan(dead.fact()).unwrap();
        let preparing = again.journal.as_ref().unwrap().resume.as_ref().unwrap().preparing;
        assert!(preparing > 4);
        for number in 0..=preparing {
            for death in DEATHS {
                let mut world = dead.clone();
                assert!(!world.run(&again, Some((number, death))));
                stage.goes_on(world);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_restore_that_dies_again_and_again_ends_as_one_that_lives(
        which in 0_usize..6,
        deaths in proptest::collection::vec((0_usize..40, 0_usize..5, any::<bool>()), 1..6),
    ) {
        let stage = stages().into_iter().nth(which).unwrap();
        let mut world = World::default();
        for (number, moment, power) in deaths {
            // Before its work directory is there, a restore has begun nothing.
            let fact = world.fact();
            let number = number.max(usize::from(fact.is_none()));
            let plan = stage.plan(fact).unwrap();
            if world.run(&plan, Some((number, DEATHS[moment]))) {
                stage.ends_as(&world);
                return Ok(());
            }
            if power {
                world.lose_power();
            }
        }
        stage.goes_on(world);
    }
}

/// Dies in the step whose title begins so.
pub(super) fn dead_in(stage: &Stage, title: &str, death: Death) -> World {
    let plan = stage.plan(None).unwrap();
    let number = plan.steps.iter().position(|step| step.title().starts_with(title));
    let mut world = World::default();
    assert!(!world.run(&plan, Some((number.unwrap_or_else(|| panic!("{title}")), death))));
    world
}

/// Rows 52 and 53.
#[test]
fn plans_of_restores_that_go_on() {
    let stage = Stage::of(Product::Mysql84, exact("04:41"), true);
    let shown = |world: &World| stage.plan(world.fact()).unwrap().text(None).to_string();
    assert_snapshot!("resume_half_copied", shown(&dead_in(&stage, "copy the full", Death::InItsWork)));
    assert_snapshot!("resume_half_prepared", shown(&dead_in(&stage, "prepare the copy", Death::InItsWork)));
    assert_snapshot!("resume_half_unpacked", shown(&dead_in(&stage, "unpack", Death::InItsWork)));
    assert_snapshot!("resume_half_replayed", shown(&dead_in(&stage, "replay", Death::InItsWork)));
    assert_snapshot!("resume_replayed", shown(&dead_in(&stage, "replay", Death::AfterItsEnd)));
    let mut world = dead_in(&stage, "unpack", Death::InItsWork);
    world.lose_power();
    assert_snapshot!("resume_after_a_power_failure", shown(&world));
}

/// Row 53: what was there is not trusted.
#[test]
fn what_was_changed_since_is_done_again() {
    let stage = Stage::of(Product::Mysql84, exact("04:41"), true);
    let world = dead_in(&stage, "unpack", Death::BeforeItsWork);
    let again = |world: &World, stage: &Stage| {
        let plan = stage.plan(world.fact()).unwrap();
        plan.journal.unwrap().resume.unwrap().restart
    };
    assert!(!again(&world, &stage));
    let mut changed = world.clone();
    changed.trees.get_mut(&Path::new(WORKDIR).join("data")).unwrap().went_through.push(Digest::of(b"a server"));
    assert!(again(&changed, &stage));
    let mut gone = world.clone();
    gone.trees.remove(&Path::new(WORKDIR).join("data"));
    assert!(again(&gone, &stage));
    // Another version of a program, or other files in the store.
    let other = Stage { recorded: false, ..Stage::of(Product::Mysql84, exact("04:41"), true) };
    assert!(again(&world, &other));
}

/// Row 54: the cut that the journal fixes counts.
#[test]
fn what_was_archived_since_is_left_out() {
    for target in [Target::Latest, Target::End] {
        let stage = Stage::of(Product::Mysql84, restore_to(target), true);
        let first = stage.plan(None).unwrap();
        let world = dead_in(&stage, "unpack", Death::InItsWork);
        let mut later = story(Product::Mysql84);
        later.at("05:10").commit().rotate().at("05:20").commit().at("05:25").full();
        later.at("05:30").commit().rotate().ship();
        let later = Stage { case: Case::of(later), ..Stage::of(Product::Mysql84, stage.request.clone(), true) };
        let plan = later.plan(world.fact()).unwrap();
        let ends = |plan: &Plan| match &plan.summary {
            dbbak_core::plan::Summary::Restore { report } => {
                let backups: Vec<String> = report.chain.iter().map(|backup| backup.backup.clone()).collect();
                (report.aim.clone(), report.window.clone().unwrap().cut, backups)
            }
            _ => panic!("no restore"),
        };
        assert_eq!(ends(&plan), ends(&first));
        assert_ne!(ends(&later.plan(None).unwrap()).1, ends(&first).1);
        assert!(!plan.journal.unwrap().resume.unwrap().restart);
    }
}

/// Rows 55 to 58.
#[test]
fn what_cannot_go_on_is_refused() {
    let stage = Stage::of(Product::Mysql84, exact("04:41"), true);
    let world = dead_in(&stage, "unpack", Death::InItsWork);
    let refused = |stage: &Stage, change: &dyn Fn(&mut JournalFact)| {
        let mut fact = world.fact().unwrap();
        change(&mut fact);
        stage.plan(Some(fact)).unwrap_err()
    };
    // Row 55.
    let other = Stage::of(Product::Mysql84, exact("04:30"), true);
    let error = refused(&other, &|_| {});
    assert!(matches!(&error, PlanError::JournalOfAnother { differs, .. } if differs == &["target"]), "{error:?}");
    let other = Stage {
        request: RestoreRequest { backup: Some("2025-10-02T02-00Z".parse().unwrap()), ..stage.request.clone() },
        ..Stage::of(Product::Mysql84, exact("04:41"), true)
    };
    let error = refused(&other, &|_| {});
    assert!(matches!(&error, PlanError::JournalOfAnother { differs, .. } if differs == &["backup"]), "{error:?}");
    // Row 56.
    let error = refused(&stage, &|fact| fact.journal = Err(JournalError::Line { line: 3 }));
    assert!(matches!(error, PlanError::JournalUnusable { .. }), "{error:?}");
    let error = refused(&stage, &|fact| fact.journal = Err(JournalError::Empty));
    assert!(matches!(error, PlanError::JournalUnusable { .. }), "{error:?}");
    // Row 57.
    let error = refused(&stage, &|fact| fact.living.push(LivingProcess { pid: 77, program: "mysqld".into() }));
    assert!(matches!(error, PlanError::WorkdirInUse { pid: 77, .. }), "{error:?}");
    // Row 58.
    let failed = |unproven| {
        move |fact: &mut JournalFact| {
            fact.journal.as_mut().unwrap().failed = Some(("transaction 3 differs".into(), unproven));
        }
    };
    let error = refused(&stage, &failed(true));
    assert!(matches!(error, PlanError::Unproven { .. }), "{error:?}");
}

/// Row 52: dbbak died while it wrote the first line.
#[test]
fn a_journal_that_was_never_begun_is_no_journal() {
    let stage = Stage::of(Product::Mysql84, exact("04:41"), true);
    let mut fact = dead_in(&stage, "copy the full", Death::BeforeItIsNoted).fact().unwrap();
    fact.journal = Err(JournalError::Empty);
    let plan = stage.plan(Some(fact)).unwrap();
    assert!(matches!(&plan.steps[0], Step::RemoveTree { path } if path.ends_with("dbbak-journal.jsonl")));
    assert!(matches!(&plan.steps[1], Step::CreateDir { .. }));
    assert_eq!(plan.journal.unwrap().resume, None);
}

/// What goes on does nothing that the whole restore would not do, and removes nothing but its own.
#[test]
fn a_plan_that_goes_on_keeps_to_its_restore() {
    let stage = Stage::of(Product::Mysql84, exact("04:41"), true);
    let rules = |change: &dyn Fn(&mut Plan)| {
        let (whole, mut plan) = stage.plans(dead_in(&stage, "replay", Death::InItsWork).fact()).unwrap();
        change(&mut plan);
        check_resumed(&whole, &plan).into_iter().map(|violation| violation.rule).collect::<Vec<_>>()
    };
    assert_eq!(rules(&|_| {}), Vec::<u8>::new());
    assert_eq!(rules(&|plan| plan.steps[0] = Step::RemoveTree { path: "/var/lib/mysql".into() }), [8]);
    assert_eq!(rules(&|plan| plan.steps.insert(9, Step::CreateDir { path: "/scratch/w/more".into() })), [2]);
    assert_eq!(rules(&|plan| drop(plan.steps.remove(plan.steps.len() - 3))), [2]);
}
