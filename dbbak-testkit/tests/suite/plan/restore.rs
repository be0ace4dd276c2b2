//! Golden plans of restores.

use super::{Case, exact, restore_to, story, text};
use dbbak_core::{
    facts::{DemandFact, Facts, Need, OutsideFact, OwnerFact, Untold, UntoldFact, UntoldOfWindow},
    model::{BinlogPosition, Target, TreeName},
    plan::{BackupRequest, FinishRequest, Lack, Plan, PlanError, ReplayWay, RestoreRequest, Step, Summary, check},
};
use dbbak_testkit::history::{History, Product, at};
use insta::assert_snapshot;

fn plan(product: Product, request: &RestoreRequest) -> Plan {
    Case::of(story(product)).restore(request).unwrap()
}

fn as_it_is(product: Product, ts: &str) -> String {
    let request = RestoreRequest { backup: Some(ts.parse().unwrap()), ..restore_to(Target::Latest) };
    text(&plan(product, &request))
}

/// Rows 6 and 12.
#[test]
fn full_only() {
    assert_snapshot!("full_only_mariadb", as_it_is(Product::Mariadb, "2025-10-02T02-00Z"));
    assert_snapshot!("full_only_xtrabackup", as_it_is(Product::Mysql84, "2025-10-02T02-00Z"));
}

/// What XtraBackup prepared with `--apply-log-only` takes incrementals and no second prepare.
#[test]
fn a_full_alone_is_prepared_once() {
    use TreeName::{PreparedFinal, PreparedRedo, Raw};
    let ts = "2025-10-02T02-00Z";
    let request = RestoreRequest { backup: Some(ts.parse().unwrap()), ..restore_to(Target::Latest) };
    for (product, trees, from_raw, expected) in [
        (Product::Mysql84, &[Raw, PreparedRedo, PreparedFinal][..], true, Some((PreparedFinal, 0))),
        (Product::Mysql84, &[Raw, PreparedRedo, PreparedFinal], false, Some((Raw, 1))),
        (Product::Mysql57, &[Raw, PreparedRedo, PreparedFinal], false, Some((PreparedFinal, 0))),
        (Product::Mysql84, &[Raw, PreparedRedo], true, Some((Raw, 1))),
        (Product::Mysql84, &[PreparedRedo], true, None),
        (Product::Mysql84, &[PreparedRedo, PreparedFinal], false, Some((PreparedFinal, 0))),
        (Product::Mariadb, &[Raw, PreparedRedo, PreparedFinal], false, Some((PreparedFinal, 0))),
        (Product::Mariadb, &[Raw, PreparedRedo], false, Some((PreparedRedo, 0))),
    ] {
        let what = format!("{product:?} {trees:?} {from_raw}");
        let kept = |facts: &mut Facts| {
            for stored in facts.stored.values_mut() {
                stored.final_from_raw = from_raw;
                stored.trees.retain(|tree, _| trees.contains(tree));
            }
        };
        let plan = Case::of(story(product)).restore_where(&request, kept);
        let Some((tree, prepares)) = expected else {
            let error = plan.unwrap_err().to_string();
            assert!(error.contains("has no raw"), "{what}: {error}");
            continue;
        };
        let plan = plan.unwrap();
        assert_eq!(check(&plan), [], "{what}");
        let copied = plan.steps.iter().find_map(|step| match step {
            Step::PassTree(pass) => pass.verify.as_ref().map(|stored| stored.tree),
            _ => None,
        });
        let run = plan.steps.iter().filter(|step| matches!(step, Step::RunTool(_))).count();
        assert_eq!((copied, run), (Some(tree), prepares), "{what}");
        let said = |texts: &[String]| texts.iter().any(|text| text.contains("may have been prepared in two steps"));
        let doubtful = product == Product::Mysql84 && !from_raw;
        let expected = (doubtful && tree == Raw, doubtful && tree == PreparedFinal);
        assert_eq!((said(&plan.reasons), said(&plan.warnings)), expected, "{what}: {plan:?}");
    }
}

/// A window that is larger than its room is divided; what one reader reads is not.
#[test]
fn a_window_in_batches() {
    let mut case = Case::of(story(Product::Mysql84));
    case.config.replay_space = 1;
    let plan = case.restore(&exact("04:54")).unwrap();
    let batches = plan.steps.iter().find_map(|step| match step {
        Step::UnpackBinlogs(unpack) => Some((unpack.batches.clone(), unpack.files.len())),
        _ => None,
    });
    let (batches, files) = batches.unwrap();
    assert_eq!(batches.iter().map(|batch| batch.files).sum::<usize>(), files);
    assert_snapshot!("in_batches", text(&plan));
    let request = RestoreRequest { replay: ReplayWay::Pipe, ..exact("04:54") };
    let piped = text(&case.restore(&request).unwrap());
    assert!(!piped.contains("batches"), "{piped}");
}

/// Rows 6 and 12.
#[test]
fn full_and_two_incrementals() {
    for (product, name) in [
        (Product::Mariadb, "two_incrementals_mariadb"),
        (Product::Mysql57, "two_incrementals_xtrabackup_2_4"),
        (Product::Mysql84, "two_incrementals_xtrabackup_8_4"),
    ] {
        let text = as_it_is(product, "2025-10-02T04-00Z");
        let prepares: Vec<&str> = text.lines().filter(|line| line.contains("--prepare")).collect();
        let redo_only = prepares.iter().filter(|line| line.contains("--apply-log-only")).count();
        assert_eq!((prepares.len(), redo_only), (2, usize::from(product != Product::Mariadb)));
        assert_snapshot!(name, text);
    }
}

#[test]
fn a_chain_without_prepared_trees() {
    let case = Case::of(story(Product::Mysql84));
    let request = RestoreRequest { backup: Some("2025-10-02T04-00Z".parse().unwrap()), ..restore_to(Target::Latest) };
    let raw_only = |facts: &mut dbbak_core::facts::Facts| {
        for stored in facts.stored.values_mut() {
            stored.trees.retain(|tree, _| *tree == dbbak_core::model::TreeName::Raw);
        }
    };
    assert_snapshot!("two_incrementals_raw_only", text(&case.restore_where(&request, raw_only).unwrap()));
}

/// Rows 4 and 26.
#[test]
fn pitr_cut_in_the_middle_of_a_file() {
    assert_snapshot!("pitr_middle_mariadb", text(&plan(Product::Mariadb, &exact("04:20"))));
    assert_snapshot!("pitr_middle_mysql_5_7", text(&plan(Product::Mysql57, &exact("04:20"))));
}

#[test]
fn pitr_across_files() {
    assert_snapshot!("pitr_across_files", text(&plan(Product::Mysql84, &exact("04:41"))));
}

#[test]
fn pitr_as_json() {
    let plan = plan(Product::Mysql84, &exact("04:41"));
    let json = serde_json::to_string_pretty(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
    assert_snapshot!("pitr_across_files_json", json);
}

/// Owner and history, where the server has its binlogs in its data directory and elsewhere.
#[test]
fn made_ready_to_be_taken_into_use() {
    for (product, base, name) in [
        (Product::Mariadb, "/var/lib/mysql/binlog", "ready_mariadb"),
        (Product::Mysql84, "/var/log/mysql/binlog", "ready_mysql"),
    ] {
        let mut request = exact("04:41");
        request.finish =
            FinishRequest { owner: Some("mysql".parse().unwrap()), with_binlogs: true, ..FinishRequest::default() };
        let known = |facts: &mut Facts| {
            facts.host.root = true;
            facts.owner = Some(Ok(OwnerFact { uid: 105, gid: 112 }));
            for stored in facts.stored.values_mut() {
                stored.variables.insert("log_bin_basename".into(), base.into());
                stored.variables.insert("datadir".into(), "/var/lib/mysql/".into());
            }
        };
        let plan = Case::of(story(product)).restore_where(&request, known).unwrap();
        let Some(Step::MakeReady(ready)) = plan.steps.iter().rev().nth(1) else { panic!("{plan:?}") };
        assert_eq!(serde_json::from_str::<Plan>(&serde_json::to_string(&plan).unwrap()).unwrap(), plan);
        let text = text(&plan);
        let (_, end) = text.split_once(". make ").unwrap();
        let why: Vec<&str> = text.lines().filter(|line| line.contains("had its binlogs in")).collect();
        let history = ready.history.as_ref().unwrap();
        let files: Vec<&str> = history.files.iter().map(|file| file.name.as_str()).collect();
        let files = (files, history.stop, &history.index, &history.listed_in, &ready.stale_logs);
        assert_snapshot!(name, format!("{}\n{end}\n{files:?}", why.join("\n")));
    }
}

/// Two living servers are followed behind the end of the archive.
#[test]
fn caught_up_from_living_servers() {
    for (product, name) in [(Product::Mariadb, "catch_up_mariadb"), (Product::Mysql84, "catch_up_mysql")] {
        let mut request = restore_to(Target::End);
        request.finish.catch_up = ["db2", "db3:3307"].map(|source| source.parse().unwrap()).to_vec();
        let gtids = |facts: &mut Facts| {
            for stored in facts.stored.values_mut() {
                stored.variables.insert("gtid_mode".into(), "ON".into());
            }
        };
        let plan = Case::of(story(product)).restore_where(&request, gtids).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&serde_json::to_string(&plan).unwrap()).unwrap(), plan);
        let asks = plan.steps.iter().find_map(|step| match step {
            Step::CatchUp(step) => {
                Some(step.channels.iter().map(|channel| format!("{} {}", channel.name, channel.ask)))
            }
            _ => None,
        });
        let asks: Vec<String> = asks.unwrap().collect();
        let text = text(&plan);
        let (_, end) = text.split_once(". catch up from").unwrap();
        assert_snapshot!(name, format!("{end}\n{}", asks.join("\n")));
        let mut wrong = plan.clone();
        let Summary::Restore { report } = &mut wrong.summary else { panic!() };
        report.target = Some(at("04:41"));
        assert!(dbbak_core::plan::check(&wrong).iter().any(|broken| broken.rule == 5), "a target in the past");
    }
}

/// The plan refuses what would make files outside of the work directory, and says what is left aside.
#[test]
fn a_window_that_puts_files_elsewhere() {
    for (product, way, table, refused) in [
        (Product::Mysql84, ReplayWay::Relay, true, false),
        (Product::Mysql84, ReplayWay::Pipe, true, true),
        (Product::Mysql84, ReplayWay::Relay, false, true),
        (Product::Mariadb, ReplayWay::Pipe, true, false),
        (Product::Mariadb, ReplayWay::Relay, true, false),
    ] {
        let gtid = "3e11fa47-71ca-11e1-9e33-c80aa9429562:7";
        let outside = |facts: &mut Facts| {
            facts.outside = vec![OutsideFact {
                at: "mysql-bin.000003:120".parse().unwrap(),
                gtid: Some(gtid.into()),
                path: "/far".into(),
                table,
            }];
        };
        let mut request = RestoreRequest { replay: way, ..exact("04:41") };
        match Case::of(story(product)).restore_where(&request, outside) {
            Ok(plan) => {
                let told = plan.warnings.iter().any(|text| text.contains(gtid) && text.contains("/far"));
                assert!(told && !refused, "{product:?} {way:?} {table}: {:?}", plan.warnings);
            }
            Err(PlanError::PutsOutside { transaction, .. }) => {
                assert!(refused, "{product:?} {way:?} {table}");
                assert_eq!(transaction, format!("{gtid} at mysql-bin.000003:120"));
                // Left out, it makes nothing.
                request.skip = vec![gtid.parse().unwrap()];
                let left_out = Case::of(story(product)).restore_where(&request, outside);
                assert!(!matches!(left_out, Err(PlanError::PutsOutside { .. })));
            }
            Err(error) => panic!("{product:?} {way:?} {table}: {error}"),
        }
    }
}

/// The plan refuses what the private server will certainly lack, and names what nobody knows.
#[test]
fn a_window_that_names_what_the_private_server_lacks() {
    let gtid = "3e11fa47-71ca-11e1-9e33-c80aa9429562:7";
    for (name, kept, refused) in [
        ("FEDERATED", Some("FEDERATED:ha_federatedx"), true),
        ("CONNECT", Some("CONNECT:ha_connect"), true),
        ("TOKUDB", Some("TOKUDB:ha_tokudb"), false),
        ("ARCHIVE", None, false),
    ] {
        let demands = |facts: &mut Facts| {
            facts.demands = vec![DemandFact {
                at: "mysql-bin.000003:120".parse().unwrap(),
                gtid: Some(gtid.into()),
                need: Need::Engine,
                name: name.into(),
            }];
            for stored in facts.stored.values_mut() {
                stored.variables.extend(kept.map(|kept| ("active_plugins".to_owned(), kept.to_owned())));
            }
        };
        let mut request = exact("04:41");
        match Case::of(story(Product::Mariadb)).restore_where(&request, demands) {
            Ok(plan) => {
                let why = if kept.is_some() {
                    "none of those that private servers load"
                } else {
                    "does not say which plugins"
                };
                let told = plan.warnings.iter().any(|text| {
                    text.contains(&format!("{gtid} at mysql-bin.000003:120 names the storage engine {name}"))
                        && text.contains(why)
                });
                assert!(told && !refused, "{name}: {:?}", plan.warnings);
            }
            Err(PlanError::Lacks(Lack { transaction, library, .. })) => {
                assert!(refused, "{name}");
                assert_eq!(transaction, format!("{gtid} at mysql-bin.000003:120"));
                assert_eq!(library.as_deref(), kept.and_then(|kept| kept.split(':').nth(1)));
                request.skip = vec![gtid.parse().unwrap()];
                let left_out = Case::of(story(Product::Mariadb)).restore_where(&request, demands);
                assert!(!matches!(left_out, Err(PlanError::Lacks(_))));
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

/// What no log tells of a window stands in the plan, in the report as text and as data, and the run knows what was said.
#[test]
fn a_window_of_which_no_log_tells_all() {
    let at = |text: &str| text.parse::<BinlogPosition>().unwrap();
    let untold = UntoldOfWindow {
        statements_from: Some(at("mysql-bin.000003:120")),
        transactions: vec![UntoldFact {
            at: at("mysql-bin.000003:340"),
            gtid: None,
            tables: vec!["shop.t".into()],
            what: Untold::Values,
        }],
        count: 1,
        unseen_from: Some("mysql-bin.000004".parse().unwrap()),
    };
    let plan = Case::of(story(Product::Mysql84))
        .restore_where(&exact("04:41"), |facts| {
            facts.untold = untold.clone();
            for stored in facts.stored.values_mut() {
                stored.variables.insert("installed_components".into(), "component_masking".into());
            }
        })
        .unwrap();
    let Summary::Restore { report } = &plan.summary else { panic!("{:?}", plan.summary) };
    assert_eq!(report.untold, untold);
    for text in
        ["compared by its GTID alone", "shop.t: it was logged as a statement", "from mysql-bin.000004 on not all"]
    {
        for said in [&plan.warnings, &report.not_in_log] {
            assert_eq!(said.iter().filter(|line| line.contains(text)).count(), 1, "{text}: {said:?}");
        }
    }
    assert!(plan.warnings.iter().any(|line| line.contains("the server had components (component_masking)")));
    let told = plan.steps.iter().find_map(|step| match step {
        Step::UnpackBinlogs(unpack) => Some(unpack.told.clone()),
        _ => None,
    });
    let told = told.unwrap();
    assert!(told.statements);
    assert_eq!(told.transactions, [at("mysql-bin.000003:340")]);
    assert!(serde_json::to_string(&plan).unwrap().contains("\"statements_from\":"));
}

/// Without the store's path nothing tells its originals from copies: such a plan is refused, whatever it does.
#[test]
fn a_plan_names_its_store() {
    let case = Case::of(story(Product::Mysql84));
    for plan in [plan(Product::Mysql84, &exact("04:41")), case.backup(&BackupRequest::Full).unwrap()] {
        for (number, step) in plan.steps.iter().enumerate() {
            let touches = !matches!(
                step,
                Step::CreateDir { .. }
                    | Step::KeepServerFiles { .. }
                    | Step::ReadBackup(_)
                    | Step::UnpackBinlogs(_)
                    | Step::WriteReport { .. }
                    | Step::RecordTrees(_)
            );
            let alone = Plan {
                store: None,
                steps: vec![step.clone()],
                discard_dirs: Vec::new(),
                discard_on_failure: Vec::new(),
                ..plan.clone()
            };
            let refused = check(&alone).iter().any(|broken| broken.what.contains("which store"));
            assert_eq!(refused, touches, "step {number}: {}", step.title());
        }
    }
}

/// Row 27.
#[test]
fn pitr_to_the_end_of_the_archive() {
    assert_snapshot!("pitr_to_the_end", text(&plan(Product::Mysql84, &exact("04:52"))));
}

/// Row 28.
#[test]
fn pitr_to_the_backups_own_end_replays_nothing() {
    let mut history = History::new(Product::Mysql84);
    history.at("02:00").full();
    history.at("02:30").commit().rotate().ship();
    let plan = Case::of(history).restore(&exact("02:30")).unwrap();
    assert!(!plan.steps.iter().any(|step| matches!(step, Step::Replay(_) | Step::UnpackBinlogs(_))));
    assert!(text(&plan).contains("because: the backup already ends at the cut: nothing is to be replayed"));
}

#[test]
fn pitr_into_a_rescued_file() {
    let mut history = story(Product::Mysql84);
    history.at("05:10").rescue();
    assert_snapshot!("pitr_rescued", text(&Case::of(history).restore(&exact("05:05:01")).unwrap()));
}

/// Row 7.
#[test]
fn without_binlogs() {
    let request = restore_to(Target::NoPitr { at: Some(at("03:30")) });
    assert_snapshot!("no_pitr", text(&plan(Product::Mariadb, &request)));
}

#[test]
fn from_a_named_backup() {
    let request = RestoreRequest { backup: Some("2025-10-02T02-00Z".parse().unwrap()), ..exact("04:41") };
    assert_snapshot!("pitr_from_a_named_backup", text(&plan(Product::Mysql84, &request)));
}

/// Row 6: `--no-pitr` adds nothing to a backup that is named.
#[test]
fn a_named_backup_without_binlogs() {
    let backup = Some("2025-10-02T02-00Z".parse().unwrap());
    let request = RestoreRequest { backup, ..restore_to(Target::NoPitr { at: None }) };
    assert_eq!(text(&plan(Product::Mariadb, &request)), as_it_is(Product::Mariadb, "2025-10-02T02-00Z"));
}

/// Row 5.
#[test]
fn to_a_floored_time() {
    let request = restore_to(Target::Time { at: at("04:41"), exact: false });
    assert_snapshot!("pitr_floored", text(&plan(Product::Mysql84, &request)));
}

/// Row 10.
#[test]
fn without_a_target() {
    assert_snapshot!("latest", text(&plan(Product::Mysql84, &restore_to(Target::Latest))));
}

/// Row 36.
#[test]
fn without_a_target_where_the_floor_lies_before_the_first_backup() {
    let mut history = History::new(Product::Mysql84);
    history.at("02:01").full();
    history.at("02:05").commit().at("02:10").rotate().ship();
    let plan = Case::of(history).restore(&restore_to(Target::Latest)).unwrap();
    let Summary::Restore { report } = &plan.summary else { panic!("no restore") };
    // A moment would leave out what was committed in its own second.
    assert_eq!(report.target, None);
    assert_eq!(report.aim, "to the end of the archive (timeline t1)");
    assert_eq!(report.window.as_ref().and_then(|window| window.transactions), Some(1));
}

/// Row 11.
#[test]
fn without_a_target_and_without_binlogs() {
    let mut history = History::new(Product::Mysql84);
    history.at("02:01").full();
    let text = text(&Case::of(history).restore(&restore_to(Target::Latest)).unwrap());
    assert!(text.contains("the archive holds no binlogs after backup 2025-10-02T02-01Z"), "{text}");
}
