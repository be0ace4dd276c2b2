//! Plans of fulls by the clone plugin, and of restores from them.

use super::{Case, exact, story, text};
use dbbak_core::{
    config::EngineChoice,
    facts::{CloneFacts, OwnerFact, PrisonUser},
    model::TreeName,
    plan::{BackupRequest, NeededFor, Plan, PlanError, Step, check},
    probe::{Access, PathState},
    tools::{ToolRole, UnclonedTable, Version},
};
use dbbak_testkit::history::{History, Product};
use insta::assert_snapshot;

fn case() -> Case {
    let mut case = Case::of(story(Product::Mysql84));
    case.facts.clone =
        Some(CloneFacts { plugin: Some("ACTIVE".into()), uncloned: Vec::new(), ..CloneFacts::default() });
    case
}

fn asked_for() -> Case {
    let mut case = case();
    case.config.engine = EngineChoice::Clone;
    case
}

fn full(case: &Case) -> Result<Plan, PlanError> {
    case.backup(&BackupRequest::Full)
}

#[test]
fn full_by_clone() {
    assert_snapshot!("full_clone", text(&full(&asked_for()).unwrap()));
    let mut local = asked_for();
    local.config.scratch_dir = None;
    local.facts.filesystems.get_mut(dbbak_testkit::history::ROOT.as_ref() as &std::path::Path).unwrap().network = false;
    assert_snapshot!("full_clone_local_store", text(&full(&local).unwrap()));
}

/// The server writes the copy as its own user: root gives it a directory, another user cannot.
#[test]
fn a_clone_of_a_server_of_another_user() {
    let of = |owner: u32, root: bool, own: u32| {
        let mut case = asked_for();
        case.facts.host.root = root;
        case.facts.host.uid = Some(own);
        let state = PathState::Directory { empty: false, mode: 0o700, owner, writable: root };
        case.facts.paths.insert(dbbak_testkit::history::DATADIR.into(), state);
        full(&case)
    };
    let given = |plan: &Plan| {
        plan.steps.iter().find_map(|step| match step {
            Step::GiveDir { path, uid } => Some((path.clone(), *uid)),
            _ => None,
        })
    };
    let plan = of(105, true, 0).unwrap();
    assert_eq!(check(&plan), []);
    assert_eq!(given(&plan).unwrap().1, 105);
    let mut broken = plan;
    for step in &mut broken.steps {
        if let Step::GiveDir { path, .. } = step {
            *path = "/var/lib/mysql".into();
        }
    }
    assert!(check(&broken).iter().any(|violation| violation.rule == 2));
    assert_eq!(given(&of(0, true, 0).unwrap()), None);
    assert_eq!(given(&of(105, false, 105).unwrap()), None);
    assert!(matches!(of(105, false, 1000), Err(PlanError::CloneOfAnother { owner: 105, own: 1000, .. })));
}

/// The server itself is no prisoner that sees what is covered for it: a directory above the clone that is closed to it is named.
#[test]
fn a_clone_into_a_directory_that_the_server_cannot_reach() {
    let of = |mode: u32| {
        let mut case = asked_for();
        case.facts.host.root = true;
        let state = PathState::Directory { empty: false, mode: 0o700, owner: 105, writable: true };
        case.facts.paths.insert(dbbak_testkit::history::DATADIR.into(), state);
        let scratch = case.config.scratch_dir.clone().unwrap();
        let closed = scratch.parent().unwrap().to_owned();
        let mut prison = case.facts.prison.clone().unwrap();
        let owner = OwnerFact { uid: 105, gid: 112 };
        prison.user = Ok(PrisonUser { name: "mysql".into(), owner, why: "the data belong to it".into() });
        prison.access.insert(closed.clone(), Access { owner: 0, group: 0, mode });
        prison.screens = true;
        case.facts.prison = Some(prison);
        (full(&case), closed)
    };
    assert!(of(0o711).0.is_ok());
    let (refused, closed) = of(0o700);
    match refused {
        Err(PlanError::Closed(refusal)) => {
            assert_eq!((&refusal.path, refusal.needed_for), (&closed, NeededFor::Clone));
            let expected = format!("the server may not enter {} as user 105: it belongs to user 0", closed.display());
            assert!(refusal.to_string().starts_with(&expected), "{refusal}");
        }
        other => panic!("{other:?}"),
    }
}

/// From another machine a private server fetches the data; the account stands in no command.
#[test]
fn full_by_a_clone_from_another_machine() {
    let mut remote = asked_for();
    remote.config.clone_donor = Some("db7.example.net:3307".parse().unwrap());
    let plan = full(&remote).unwrap();
    assert_snapshot!("full_clone_remote", text(&plan));
    assert_eq!(check(&plan), []);
    assert!(plan.steps.iter().all(|step| !matches!(step, Step::EndClones(_))));
    let mut broken = plan;
    for step in &mut broken.steps {
        if let Step::TakeClone(take) = step {
            let server = &mut take.remote.as_mut().unwrap().server;
            server.launch.command.args.retain(|arg| arg.masked() != "--skip-networking");
        }
    }
    assert!(check(&broken).iter().any(|violation| violation.rule == 8));
    remote.config.mysql_option_file = None;
    assert!(matches!(full(&remote), Err(PlanError::NoDonorAccount { .. })));
    for bad in ["", ":3306", "db1:0", "db1:x", "a,b:1", "::1"] {
        assert!(bad.parse::<dbbak_core::model::Donor>().is_err(), "{bad}");
    }
}

#[test]
fn auto_clones_only_where_no_backup_tool_suits() {
    let engine =
        |case: &Case| text(&full(case).unwrap()).lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(engine(&case()), "xtrabackup");
    let mut without_tool = case();
    without_tool.facts.tools.retain(|tool| tool.role != ToolRole::Backup);
    assert_eq!(engine(&without_tool), "clone");
    let said = text(&full(&without_tool).unwrap());
    assert!(said.contains("because: no backup tool was found, and the server has the clone plugin"), "{said}");
    let mut misfit = case();
    misfit.facts.tools[0] = Product::Percona80.tool(ToolRole::Backup);
    assert_eq!(engine(&misfit), "clone");
    misfit.facts.clone = Some(CloneFacts::default());
    assert!(matches!(full(&misfit), Err(PlanError::Mismatch { .. })));
    without_tool.config.engine = EngineChoice::Xtrabackup;
    assert!(matches!(full(&without_tool), Err(PlanError::Tool { .. })));
    let mut other = case();
    other.config.engine = EngineChoice::MariadbBackup;
    assert!(matches!(full(&other), Err(PlanError::Mismatch { .. })));
}

#[test]
fn refused() {
    let refuse = |change: &dyn Fn(&mut Case)| {
        let mut case = asked_for();
        change(&mut case);
        full(&case).unwrap_err().to_string()
    };
    let plugin = |state: Option<&str>| {
        let state = state.map(str::to_owned);
        refuse(&move |case| {
            case.facts.clone = Some(CloneFacts { plugin: state.clone(), uncloned: Vec::new(), ..CloneFacts::default() })
        })
    };
    assert_eq!(plugin(None), "the server's clone plugin is not installed");
    assert_eq!(plugin(Some("DISABLED")), "the server's clone plugin is DISABLED");
    assert_eq!(refuse(&|case| case.facts.clone = None), "the server's clone plugin is not installed");
    let tables = refuse(&|case| {
        let table = UnclonedTable { database: "shop".into(), table: "old".into(), engine: "MyISAM".into() };
        case.facts.clone.as_mut().unwrap().uncloned = vec![table];
    });
    assert_eq!(tables, "a clone holds InnoDB's tables alone, and would leave these empty: shop.old (MyISAM)");
    // The same series is not enough: the first start of another release upgrades the copy.
    let version = refuse(&|case| {
        for tool in case.facts.tools.iter_mut().filter(|tool| tool.role == ToolRole::Server) {
            let version = tool.version.as_mut().unwrap();
            let Version { major, minor, patch } = version.version.unwrap();
            version.version = Some(Version::new(major, minor, patch + 1));
        }
    });
    assert!(version.starts_with("a clone of a MySQL 8.4.") && version.contains("expected mysqld 8.4."), "{version}");
    let mut mariadb = Case::of(story(Product::Mariadb));
    mariadb.config.engine = EngineChoice::Clone;
    assert!(matches!(full(&mariadb), Err(PlanError::Mismatch { .. })));
}

/// A clone alone in the store.
fn cloned() -> Case {
    let mut history = History::new(Product::Mysql84);
    history.at("01:50").commit().at("02:00").full();
    history.at("04:10").commit().at("04:20").commit().rotate().at("04:50").commit().rotate().at("05:00").ship();
    let mut case = Case::of(history);
    case.catalog.backups[0].entry.engine = Some("clone".into());
    case.facts = case.history.facts();
    case
}

#[test]
fn no_incrementals_on_a_clone() {
    let error = cloned().backup(&BackupRequest::Incremental { base: None, differential: false }).unwrap_err();
    assert_eq!(error.to_string(), "backup 2025-10-02T02-00Z was taken by clone, which takes no incrementals");
}

#[test]
fn restore_copies_and_replays_without_a_prepare() {
    let restore = |keep: &[TreeName]| {
        cloned().restore_where(&exact("04:41"), |facts| {
            facts.tools.retain(|tool| tool.role != ToolRole::Backup);
            for stored in facts.stored.values_mut() {
                stored.trees.retain(|tree, _| keep.contains(tree));
            }
        })
    };
    let plan = restore(&[TreeName::PreparedFinal]).unwrap();
    assert!(plan.steps.iter().all(|step| !matches!(step, Step::RunTool(_))));
    assert!(plan.steps.iter().any(|step| matches!(step, Step::Replay(_))));
    assert_eq!(check(&plan), []);
    let error = restore(&[]).unwrap_err();
    assert!(error.to_string().contains("backup 2025-10-02T02-00Z has no prepared-final"), "{error}");
}

#[test]
fn the_rules_notice_broken_plans() {
    let broken = |rule: u8, change: &dyn Fn(&mut Plan)| {
        let mut plan = full(&asked_for()).unwrap();
        change(&mut plan);
        assert!(check(&plan).iter().any(|violation| violation.rule == rule), "{:?}", check(&plan));
    };
    let open = |plan: &mut Plan, change: &dyn Fn(&mut dbbak_core::plan::OpenClone)| {
        for step in &mut plan.steps {
            if let Step::OpenClone(open) = step {
                change(open);
            }
        }
    };
    let replace = |plan: &mut Plan, from: &str, to: &str| {
        open(plan, &|open| {
            for arg in &mut open.server.launch.command.args {
                if let dbbak_core::tools::Arg::Plain(text) = arg {
                    *text = text.replace(from, to);
                }
            }
        });
    };
    broken(2, &|plan| plan.steps.retain(|step| !matches!(step, Step::TakeClone(_))));
    broken(2, &|plan| replace(plan, "--datadir=", "--datadir=/backup"));
    broken(8, &|plan| replace(plan, "--skip-networking", "--skip-nothing"));
    broken(8, &|plan| replace(plan, "--event-scheduler=OFF", "--event-scheduler=ON"));
    broken(8, &|plan| replace(plan, "--socket=", "--socket=/var/run/mysqld"));
}
