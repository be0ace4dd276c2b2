//! Plans of fulls by a dump, and of restores from them.

use super::{Case, exact, story, text};
use dbbak_core::{
    config::{EngineChoice, NonTransactional, RoundedFloats},
    facts::{ServerFacts, ToolFact},
    model::TreeName,
    plan::{BackupRequest, Plan, PlanError, Step, check, report_engines},
    setup::{Finding, Severity, judge},
    tools::{DumpFinding, DumpFindingKind, ToolRole, UnclonedTable},
};
use dbbak_testkit::history::{History, Product};
use insta::assert_snapshot;

fn server(case: &mut Case) -> &mut ServerFacts {
    case.facts.server.as_mut().unwrap().as_mut().unwrap()
}

fn asked_for(product: Product) -> Case {
    let mut case = Case::of(story(product));
    case.config.engine = EngineChoice::Dump;
    case.facts.tools.push(product.tool(ToolRole::Dump));
    case.facts.non_transactional = Some(Vec::new());
    case.facts.prepared = Some(Vec::new());
    case.facts.dump = Some(Vec::new());
    let names =
        ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT", "LOCK TABLES", "RELOAD", "REPLICATION CLIENT", "XA_RECOVER_ADMIN"];
    server(&mut case).grants.global.extend(names.map(str::to_owned));
    case
}

fn full(case: &Case) -> Result<Plan, PlanError> {
    case.backup(&BackupRequest::Full)
}

#[test]
fn full_by_dump() {
    assert_snapshot!("full_dump_mysql", text(&full(&asked_for(Product::Mysql84)).unwrap()));
    let mut locked = asked_for(Product::Mariadb);
    locked.facts.non_transactional = Some(vec![old()]);
    locked.config.non_transactional = NonTransactional::Lock;
    locked.config.compress = false;
    assert_snapshot!("full_dump_mariadb_locked", text(&full(&locked).unwrap()));
}

fn old() -> UnclonedTable {
    UnclonedTable { database: "shop".into(), table: "old".into(), engine: "MyISAM".into() }
}

#[test]
fn refused() {
    let refuse = |change: &dyn Fn(&mut Case)| {
        let mut case = asked_for(Product::Mysql84);
        change(&mut case);
        full(&case).unwrap_err().to_string()
    };
    assert_eq!(
        refuse(&|case| case.facts.non_transactional = Some(vec![old()])),
        "tables without transactions are in no snapshot that a dump could be taken of: shop.old (MyISAM)"
    );
    assert_eq!(
        refuse(&|case| case.facts.prepared = Some(vec!["X'61',X'',1".into(), "X'62',X'',1".into()])),
        "XA transactions stand prepared, and no dump holds what they changed: X'61',X'',1; X'62',X'',1"
    );
    assert!(refuse(&|case| case.facts.prepared = None).contains("did not say whether XA transactions"));
    assert!(
        refuse(&|case| server(case).grants.global.retain(|name| name != "XA_RECOVER_ADMIN"))
            .contains("XA_RECOVER_ADMIN")
    );
    assert!(refuse(&|case| case.facts.non_transactional = None).contains("did not say which of its tables"));
    let lacks = "a dump would leave out what the account may not see; it lacks ";
    assert_eq!(
        refuse(&|case| server(case).grants.global.retain(|name| name != "EVENT" && name != "REPLICATION CLIENT")),
        format!("{lacks}EVENT, REPLICATION CLIENT")
    );
    let revoked = "REVOKE SELECT ON `hidden`.* FROM `dbbak`@`localhost`";
    let revoked = refuse(&|case| server(case).grants.lines.push(revoked.into()));
    assert_eq!(revoked, format!("{lacks}what REVOKE took from it in single databases (partial_revokes)"));
    assert!(refuse(&|case| case.facts.tools.retain(|tool| tool.role != ToolRole::Dump)).contains("dump program"));
    for other in [Product::Mariadb, Product::Percona80] {
        let misfit = refuse(&|case| {
            case.facts.tools.retain(|tool| tool.role != ToolRole::Dump);
            case.facts.tools.push(other.tool(ToolRole::Dump));
        });
        assert!(misfit.contains("expected mysqldump 8.4 or later"), "{misfit}");
    }
    let mut accepted = asked_for(Product::Mysql84);
    accepted.facts.non_transactional = Some(vec![old()]);
    accepted.config.non_transactional = NonTransactional::Accept;
    let plan = full(&accepted).unwrap();
    let take = plan.steps.iter().find_map(|step| if let Step::TakeDump(take) = step { Some(take) } else { None });
    assert_eq!(take.unwrap().accepted, ["shop.old (MyISAM)"]);
    assert!(plan.warnings.iter().any(|warning| warning.contains("shop.old (MyISAM); no point-in-time recovery")));
}

fn finding(kind: DumpFindingKind, name: &str, detail: &str) -> DumpFinding {
    DumpFinding { kind, database: "shop".into(), name: name.into(), detail: detail.into() }
}

#[test]
fn what_a_dump_does_not_hold_is_refused_or_helped() {
    use DumpFindingKind::{BrokenView, Float, Json, OldTablespace, Tablespace, Versioned, VersionedByTransaction};
    let planned = |product: Product, found: Vec<DumpFinding>, floats: RoundedFloats| {
        let mut case = asked_for(product);
        case.facts.dump = Some(found);
        case.config.rounded_floats = floats;
        full(&case)
    };
    let refuse = RoundedFloats::Refuse;
    for (product, found, expected) in [
        (Product::Mysql84, finding(Float, "g", "a"), "shop.g.a (FLOAT: six digits)"),
        (Product::Mysql84, finding(OldTablespace, "g", ""), "the tablespace shop.g (general)"),
        (Product::Mariadb, finding(VersionedByTransaction, "t", ""), "shop.t (its history by transactions)"),
        (
            Product::Mysql84,
            DumpFinding { database: "a.b".into(), ..finding(BrokenView, "v\n", "") },
            "a.b.v\\n (a view that names what is not there)",
        ),
    ] {
        let error = planned(product, vec![found], refuse).unwrap_err().to_string();
        assert_eq!(error, format!("a dump would not hold these as they are: {expected}"));
    }
    let mut old = asked_for(Product::Mariadb);
    server(&mut old).version = "10.6.23".parse().unwrap();
    old.facts.dump = Some(vec![finding(Versioned, "t", "")]);
    assert!(full(&old).unwrap_err().to_string().contains("shop.t (its history)"));
    let mut silent = asked_for(Product::Mysql84);
    silent.facts.dump = None;
    assert!(full(&silent).unwrap_err().to_string().contains("did not say what a dump of it would not hold"));

    let found = vec![
        finding(BrokenView, "v\n", ""),
        finding(Float, "g", "a"),
        finding(Json, "d", "j"),
        finding(Versioned, "t", ""),
        finding(Tablespace, "s", "0 N"),
    ];
    let plan = planned(Product::Mariadb, found, RoundedFloats::Accept).unwrap();
    let take =
        plan.steps.iter().find_map(|step| if let Step::TakeDump(take) = step { Some(take) } else { None }).unwrap();
    assert_eq!(take.rounded, ["shop.g.a"]);
    assert_eq!(take.prelude, "CREATE TABLESPACE `s` ENGINE = InnoDB;\n");
    let arguments: Vec<String> = take.launch.command.masked_args().map(|arg| arg.to_string()).collect();
    assert!(arguments.iter().any(|arg| arg == "--ignore-table=shop.v\n"), "{arguments:?}");
    assert!(arguments.iter().any(|arg| arg == "--dump-history"), "{arguments:?}");
    let warnings = plan.warnings.join("; ");
    for told in ["rounded: shop.g.a; no point-in-time", "left out of the dump: shop.v\\n", "a string, in shop.d.j"] {
        assert!(warnings.contains(told), "{warnings}");
    }
}

/// A dump alone in the store.
fn dumped(product: Product) -> Case {
    let mut history = History::new(product);
    history.at("01:50").commit().at("02:00").full();
    history.at("04:10").commit().at("04:20").commit().rotate().at("04:50").commit().rotate().at("05:00").ship();
    let mut case = Case::of(history);
    case.catalog.backups[0].entry.engine = Some("dump".into());
    case.facts = case.history.facts();
    case
}

fn restore(product: Product, change: &dyn Fn(&mut dbbak_core::facts::Facts)) -> Result<Plan, PlanError> {
    dumped(product).restore_where(&exact("04:41"), |facts| {
        facts.tools.retain(|tool| tool.role != ToolRole::Backup);
        facts.install_db = Some("/usr/bin/mariadb-install-db".into());
        for stored in facts.stored.values_mut() {
            stored.trees = [(TreeName::Dump, Some(700))].into();
        }
        change(facts);
    })
}

#[test]
fn restore_loads_and_replays() {
    for (product, name) in [(Product::Mysql84, "restore_dump_mysql"), (Product::Mariadb, "restore_dump_mariadb")] {
        let plan = restore(product, &|_| ()).unwrap();
        assert_snapshot!(name, text(&plan));
        assert_eq!(check(&plan), []);
        assert!(plan.steps.iter().all(|step| !matches!(step, Step::RunTool(_))));
        assert!(plan.steps.iter().any(|step| matches!(step, Step::Replay(_))));
    }
    let error = restore(Product::Mariadb, &|facts| facts.install_db = None).unwrap_err();
    assert_eq!(error, PlanError::NoInstallDb);
    let error = restore(Product::Mysql84, &|facts| facts.stored.values_mut().for_each(|stored| stored.trees.clear()));
    assert!(error.unwrap_err().to_string().contains("has no dump"));
}

#[test]
fn the_rules_notice_broken_plans() {
    let broken = |rule: u8, change: &dyn Fn(&mut dbbak_core::plan::LoadDump)| {
        let mut plan = restore(Product::Mysql84, &|_| ()).unwrap();
        for step in &mut plan.steps {
            if let Step::LoadDump(load) = step {
                change(load);
            }
        }
        assert!(check(&plan).iter().any(|violation| violation.rule == rule), "{:?}", check(&plan));
    };
    let replace = |command: &mut dbbak_core::tools::CommandSpec, from: &str, to: &str| {
        for arg in &mut command.args {
            if let dbbak_core::tools::Arg::Plain(text) = arg {
                *text = text.replace(from, to);
            }
        }
    };
    broken(2, &|load| load.server.datadir = "/var/lib/mysql".into());
    broken(8, &|load| replace(&mut load.server.launch.command, "--datadir=", "--datadir=/var"));
    broken(8, &|load| replace(&mut load.server.launch.command, "--skip-networking", "--skip-nothing"));
    broken(8, &|load| replace(&mut load.server.launch.command, "--event-scheduler=OFF", "--event-scheduler=ON"));
    broken(8, &|load| replace(&mut load.client.command, "--socket=", "--socket=/var/run/mysqld"));
}

#[test]
fn auto_dumps_where_nothing_else_suits() {
    let mut case = asked_for(Product::Mysql84);
    case.config.engine = EngineChoice::Auto;
    let first = |case: &Case| text(&full(case).unwrap()).lines().take(2).map(str::to_owned).collect::<Vec<_>>();
    let [engine, why] = first(&case).try_into().unwrap();
    assert!(engine.ends_with("with xtrabackup"), "{engine}");
    assert!(why.contains("because: engine auto: xtrabackup 8.4.0-1 suits MySQL 8.4"), "{why}");
    case.facts.tools.retain(|tool| tool.role != ToolRole::Backup);
    let [engine, why] = first(&case).try_into().unwrap();
    assert!(engine.ends_with("with dump"), "{engine}");
    assert!(
        why.contains("no backup tool was found, the server cannot be cloned, and it can be dumped, its data directory holds 10000 bytes"),
        "{why}"
    );
    // What a dump lacks, or more data than anybody wants to load, and what is said is what the best engine lacks.
    let mut large = asked_for(Product::Mysql84);
    large.config.engine = EngineChoice::Auto;
    large.facts.tools.retain(|tool| tool.role != ToolRole::Backup);
    large.facts.sizes.values_mut().for_each(|size| size.bytes = 200 << 30);
    assert!(matches!(full(&large), Err(PlanError::Tool { role: ToolRole::Backup, .. })));
    case.facts.non_transactional = Some(vec![old()]);
    assert!(matches!(full(&case), Err(PlanError::Tool { role: ToolRole::Backup, .. })));
}

/// The store's chain is XtraBackup's: a dump ends it, which is said loudly, and found by `check`. What the configuration names is not
/// replaced by another form.
#[test]
fn auto_tells_where_it_changes_the_form() {
    let mut case = asked_for(Product::Mysql84);
    case.config.engine = EngineChoice::Auto;
    let found = |case: &Case| {
        let findings = judge(&case.config, Ok(&case.catalog), &case.facts, case.now);
        let form = |finding: &Finding| {
            matches!(finding, Finding::FormChanges { .. } | Finding::NamedToolUnusable { .. })
                .then(|| (finding.severity(), format!("{finding:?}")))
        };
        findings.iter().find_map(form)
    };
    let warned = |case: &Case| full(case).map(|plan| plan.warnings.iter().any(|text| text.contains("of another form")));
    assert_eq!((warned(&case), found(&case)), (Ok(false), None));
    // What `check` shows of the engine beside that.
    let engine = |case: &Case| {
        let findings = judge(&case.config, Ok(&case.catalog), &case.facts, case.now);
        findings.iter().any(|finding| matches!(finding, Finding::Engine { .. } | Finding::EngineMissing { .. }))
    };
    case.facts.tools.retain(|tool| tool.role != ToolRole::Backup);
    case.facts.tools.push(ToolFact { role: ToolRole::Backup, path: None, version: None, problem: None });
    assert_eq!((warned(&case), engine(&case)), (Ok(true), true));
    let (severity, finding) = found(&case).expect("a finding");
    assert_eq!(severity, Severity::Problem);
    assert!(finding.contains("before: \"xtrabackup\"") && finding.contains("chosen: \"dump\""), "{finding}");
    // Asked for by name it is no surprise.
    case.config.engine = EngineChoice::Dump;
    assert_eq!((warned(&case), found(&case)), (Ok(false), None));

    case.config.engine = EngineChoice::Auto;
    case.config.xtrabackup = Some("/no/such/tool".into());
    let tool = case.facts.tools.last_mut().unwrap();
    (tool.path, tool.problem) = (Some("/no/such/tool".into()), Some("cannot start /no/such/tool".into()));
    assert!(matches!(full(&case), Err(PlanError::Tool { role: ToolRole::Backup, path: Some(_), .. })));
    assert!(found(&case).expect("a finding").1.contains("NamedToolUnusable"));
    assert!(!engine(&case), "no engine is ok where none takes a full");
    // `engines` says what a full comes to: that no engine takes it, and why.
    let Some(Ok(server)) = &case.facts.server else { panic!("no server") };
    let reports = report_engines(&case.config, &case.catalog, &case.facts, server);
    assert!(reports.iter().all(|engine| !engine.chosen), "{reports:?}");
    let missing = &reports.iter().find(|engine| engine.name == "xtrabackup").unwrap().missing;
    assert_eq!(missing, &["xtrabackup names /no/such/tool, which cannot be used: cannot start /no/such/tool"]);
    // In an empty store too.
    case.catalog.backups.clear();
    case.catalog = History::new(Product::Mysql84).catalog();
    assert!(matches!(full(&case), Err(PlanError::Tool { role: ToolRole::Backup, path: Some(_), .. })));
    assert!(found(&case).expect("a finding").1.contains("NamedToolUnusable"));
}
