//! The rules that every plan keeps: for each, changes of a valid plan that must be noticed under its number.

use super::{Case, exact, restore_to, story};
use dbbak_core::{
    model::{Lsn, Target},
    plan::{
        BackupRequest, PassTree, Plan, Replay, RestoreReport, RestoreRequest, RunTool, ShipBinlog, ShipRequest, Step,
        Summary, UnpackBinlogs, check,
    },
    store::BinlogDamage,
    tools::{Arg, CommandSpec},
};
use dbbak_testkit::history::{DATADIR, Product};

/// A change, and what it does.
type Change = (&'static str, fn(&mut Plan));

/// Whether each change of a plan is noticed as a break of a rule.
#[track_caller]
fn notices(rule: u8, plan: &Plan, changes: &[Change]) {
    assert_eq!(check(plan), [], "the plan is valid");
    for (what, change) in changes {
        let mut changed = plan.clone();
        change(&mut changed);
        assert_ne!(changed, *plan, "{what}: nothing was changed");
        let found = check(&changed);
        assert!(found.iter().any(|violation| violation.rule == rule), "{what}: rule {rule} is not among {found:?}");
    }
}

/// A restore over two incrementals and two binlogs.
fn restore(product: Product) -> Plan {
    Case::of(story(product)).restore(&exact("04:41")).unwrap()
}

fn backup(request: &BackupRequest) -> Plan {
    Case::of(story(Product::Mysql84)).backup(request).unwrap()
}

fn ship(flush: bool, rescue: bool) -> Plan {
    let mut history = story(Product::Mysql84);
    history.at("05:10").rotate().at("05:20").commit();
    let mut case = Case::of(history);
    let request = ShipRequest { flush, rescue: rescue.then(|| DATADIR.into()) };
    if rescue {
        case.facts.source = Some(case.history.source(false));
    }
    case.ship(&request).unwrap()
}

fn report(plan: &mut Plan) -> &mut RestoreReport {
    let Summary::Restore { report } = &mut plan.summary else { panic!("no restore") };
    report
}

fn place(plan: &Plan, is: fn(&Step) -> bool) -> usize {
    plan.steps.iter().position(is).unwrap()
}

/// The steps of a kind.
macro_rules! steps {
    ($plan:expr, $kind:ident) => {
        $plan.steps.iter_mut().filter_map(|step| match step {
            Step::$kind(step) => Some(step),
            _ => None,
        })
    };
}

fn replay(plan: &mut Plan) -> &mut Replay {
    steps!(plan, Replay).next().unwrap()
}

fn unpack(plan: &mut Plan) -> &mut UnpackBinlogs {
    steps!(plan, UnpackBinlogs).next().unwrap()
}

/// The prepares, or the backup.
fn tools(plan: &mut Plan) -> Vec<&mut RunTool> {
    steps!(plan, RunTool).map(|run| &mut **run).collect()
}

fn passes(plan: &mut Plan) -> Vec<&mut PassTree> {
    steps!(plan, PassTree).collect()
}

fn shipped(plan: &mut Plan) -> Vec<&mut ShipBinlog> {
    steps!(plan, ShipBinlog).map(|ship| &mut **ship).collect()
}

/// Sets an option, in place or at the end.
fn set(command: &mut CommandSpec, name: &str, value: &str) {
    remove(command, name);
    command.args.push(Arg::Plain(format!("{name}={value}")));
}

/// Removes an argument, with or without a value.
fn remove(command: &mut CommandSpec, name: &str) {
    let with_value = format!("{name}=");
    command.args.retain(|arg| !matches!(arg, Arg::Plain(text) if text == name || text.starts_with(&with_value)));
}

#[test]
fn rule_1_chains_are_linked_by_parents_and_lsns() {
    notices(
        1,
        &restore(Product::Mysql84),
        &[
            ("no full", |plan| drop(report(plan).chain.remove(0))),
            ("a link skipped", |plan| drop(report(plan).chain.remove(1))),
            ("a copy skipped", |plan| {
                let second =
                    |step: &Step| matches!(step, Step::PassTree(pass) if pass.from.to_string_lossy().contains("incr"));
                let at = place(plan, second);
                plan.steps.remove(at);
            }),
            ("another order", |plan| report(plan).chain.swap(1, 2)),
            ("LSNs that do not meet", |plan| report(plan).chain[2].from_lsn = Some(Lsn(1))),
            ("equal LSNs, no parent", |plan| report(plan).chain[2].parent = None),
            ("equal LSNs, another parent", |plan| {
                report(plan).chain[2].parent = Some("2025-10-02T02-00Z".parse().unwrap());
            }),
            ("another full's incremental", |plan| {
                report(plan).chain[2].backup = "incr_2025-10-02T04-00Z_from_2025-10-01T02-00Z".into();
            }),
        ],
    );
    let incremental = backup(&BackupRequest::Incremental { base: None, differential: false });
    notices(
        1,
        &incremental,
        &[
            ("another parent for the tool", |plan| {
                set(&mut tools(plan)[0].launch.command, "--incremental-basedir", "/backup/full_2025-10-02T02-00Z/raw");
            }),
            ("no parent for the tool", |plan| remove(&mut tools(plan)[0].launch.command, "--incremental-basedir")),
            ("another LSN", |plan| tools(plan)[0].expect.from_lsn = Some(Lsn(1))),
        ],
    );
}

#[test]
fn rule_2_originals_are_never_worked_on() {
    const ORIGINAL: &str = "/backup/full_2025-10-02T02-00Z/prepared-redo";
    notices(
        2,
        &restore(Product::Mysql84),
        &[
            ("a prepare of an original", |plan| {
                set(&mut tools(plan)[0].launch.command, "--target-dir", ORIGINAL);
                tools(plan)[0].dir = ORIGINAL.into();
            }),
            ("a prepare of an original that was copied onto itself", |plan| {
                passes(plan)[0].to = Some(ORIGINAL.into());
                set(&mut tools(plan)[0].launch.command, "--target-dir", ORIGINAL);
            }),
            ("an original incremental", |plan| {
                let original = "/backup/incr_2025-10-02T03-00Z_from_2025-10-02T02-00Z/raw";
                set(&mut tools(plan)[0].launch.command, "--incremental-dir", original);
            }),
            ("an incremental that was used up", |plan| {
                let first = tools(plan)[0].launch.command.clone();
                let used = first.args.iter().find_map(|arg| match arg {
                    Arg::Plain(text) => text.strip_prefix("--incremental-dir=").map(str::to_owned),
                    Arg::Secret(_) => None,
                });
                set(&mut tools(plan)[1].launch.command, "--incremental-dir", &used.unwrap());
            }),
            ("a prepare before the copy", |plan| {
                let copy = place(plan, |step| matches!(step, Step::PassTree(_)));
                let step = plan.steps.remove(copy);
                plan.steps.insert(plan.steps.len() - 1, step);
            }),
            ("a server on an original", |plan| {
                set(&mut replay(plan).server.launch.command, "--datadir", ORIGINAL);
            }),
            ("an original removed", |plan| plan.steps.insert(1, Step::RemoveTree { path: ORIGINAL.into() })),
            ("the store removed", |plan| plan.steps.insert(1, Step::RemoveTree { path: "/backup".into() })),
            ("an original moved away", |plan| {
                plan.steps[1] = Step::MoveTree { from: ORIGINAL.into(), to: report(plan).datadir.clone() };
            }),
        ],
    );
}

#[test]
fn rule_3_apply_log_only_on_every_prepare_but_the_last() {
    const FLAG: &str = "--apply-log-only";
    notices(
        3,
        &restore(Product::Mysql84),
        &[
            ("missing on the first", |plan| remove(&mut tools(plan)[0].launch.command, FLAG)),
            ("given on the last", |plan| tools(plan)[1].launch.command.args.push(Arg::Plain(FLAG.into()))),
        ],
    );
    notices(
        3,
        &restore(Product::Mariadb),
        &[
            ("given on mariadb-backup's first", |plan| {
                tools(plan)[0].launch.command.args.push(Arg::Plain(FLAG.into()));
            }),
            ("given on mariadb-backup's last", |plan| tools(plan)[1].launch.command.args.push(Arg::Plain(FLAG.into()))),
        ],
    );
    notices(
        3,
        &backup(&BackupRequest::Full),
        &[("missing on the redo tree", |plan| remove(&mut tools(plan)[1].launch.command, FLAG))],
    );
}

#[test]
fn rule_4_success_is_more_than_a_status() {
    for plan in [restore(Product::Mysql84), backup(&BackupRequest::Full)] {
        notices(
            4,
            &plan,
            &[
                ("no files", |plan| tools(plan)[0].expect.files.clear()),
                ("no type", |plan| tools(plan)[0].expect.backup_type = None),
            ],
        );
    }
}

#[test]
fn rule_5_a_replay_goes_from_the_coordinates_without_a_gap() {
    notices(
        5,
        &restore(Product::Mysql84),
        &[
            ("a start at a time", |plan| {
                set(&mut replay(plan).reader.command, "--start-datetime", "2025-10-02 04:00:00");
            }),
            ("a stop at a time", |plan| {
                replay(plan).reader.command.args.insert(1, Arg::Plain("--stop-datetime".into()));
            }),
            ("another start", |plan| set(&mut replay(plan).reader.command, "--start-position", "200")),
            ("a start elsewhere, all over", |plan| {
                set(&mut replay(plan).reader.command, "--start-position", "800");
                replay(plan).from.position = 800;
                unpack(plan).start = 800;
                report(plan).window.as_mut().unwrap().from.position = 800;
            }),
            ("a file left out", |plan| drop(unpack(plan).files.remove(0))),
            ("a file left out for the reader", |plan| drop(replay(plan).reader.command.args.pop())),
            ("a gap", |plan| unpack(plan).files[1].name = "binlog.000004".parse().unwrap()),
            ("a hole in the GTIDs", |plan| {
                let hole = "00000000-0000-4000-8000-000000000000:1-9".to_owned();
                unpack(plan).files[1].gtids_before = Some(hole);
            }),
            ("another timeline in the middle", |plan| unpack(plan).files[1].timeline = Some("t2".into())),
            ("another timeline throughout", |plan| {
                unpack(plan).files.iter_mut().for_each(|file| file.timeline = Some("t2".into()));
            }),
            ("another end", |plan| replay(plan).cut.position += 300),
            ("an end before the start", |plan| replay(plan).cut = replay(plan).from.clone()),
            ("no verification", |plan| remove(&mut replay(plan).reader.command, "--verify-binlog-checksum")),
            ("no replay", |plan| {
                let at = place(plan, |step| matches!(step, Step::Replay(_)));
                plan.steps.remove(at);
            }),
            ("a backup as it is", |plan| report(plan).window = None),
        ],
    );
}

#[test]
fn rule_6_nothing_past_what_is_good() {
    notices(
        6,
        &restore(Product::Mysql84),
        &[
            ("through a damaged file", |plan| {
                unpack(plan).files[0].damaged = Some(BinlogDamage { last_good: 900, ..BinlogDamage::default() });
            }),
            ("past the last good transaction", |plan| {
                unpack(plan).files[1].damaged = Some(BinlogDamage { last_good: 500, ..BinlogDamage::default() });
            }),
            ("to the end of a damaged file", |plan| {
                unpack(plan).files[1].damaged = Some(BinlogDamage { last_good: 800, ..BinlogDamage::default() });
                unpack(plan).stop = None;
            }),
        ],
    );
    notices(
        6,
        &ship(false, true),
        &[
            ("an open file that is not marked", |plan| shipped(plan)[1].partial = false),
            ("an open file as a whole one", |plan| {
                let last = &mut *shipped(plan)[1];
                (last.partial, last.bytes) = (false, None);
            }),
            ("one name for two files", |plan| {
                let to = shipped(plan)[0].to.clone();
                shipped(plan)[1].to = to;
            }),
            ("another name than the index says", |plan| {
                shipped(plan)[0].entry.stored_as = dbbak_core::store::KeyPart::new("elsewhere").unwrap();
            }),
        ],
    );
    notices(6, &ship(true, false), &[("an open file without a flush", |plan| drop(plan.steps.remove(0)))]);
}

#[test]
fn rule_7_a_replay_is_compared_with_what_it_should_bring() {
    notices(
        7,
        &restore(Product::Mysql84),
        &[
            ("nothing to compare with", |plan| {
                let at = place(plan, |step| matches!(step, Step::UnpackBinlogs(_)));
                plan.steps.remove(at);
            }),
            ("compared with what comes later", |plan| {
                let at = place(plan, |step| matches!(step, Step::UnpackBinlogs(_)));
                let step = plan.steps.remove(at);
                plan.steps.insert(plan.steps.len() - 1, step);
            }),
            ("compared with another start", |plan| unpack(plan).start = 800),
            ("compared with another end", |plan| unpack(plan).stop = Some(500)),
            ("no log", |plan| remove(&mut replay(plan).server.launch.command, "--log-bin")),
            ("a log elsewhere", |plan| {
                let elsewhere = report(plan).datadir.join("replay").display().to_string();
                set(&mut replay(plan).server.launch.command, "--log-bin", &elsewhere);
            }),
        ],
    );
}

#[test]
fn rule_8_a_restore_keeps_to_itself() {
    notices(
        8,
        &restore(Product::Mysql84),
        &[
            ("networking", |plan| remove(&mut replay(plan).server.launch.command, "--skip-networking")),
            ("events", |plan| set(&mut replay(plan).server.launch.command, "--event-scheduler", "ON")),
            ("replication", |plan| remove(&mut replay(plan).server.launch.command, "--skip-replica-start")),
            ("everybody", |plan| {
                replay(plan).server.launch.command.args.push(Arg::Plain("--skip-grant-tables".into()));
            }),
            ("a public socket", |plan| set(&mut replay(plan).server.launch.command, "--socket", "/run/mysqld.sock")),
            ("another server's socket", |plan| set(&mut replay(plan).client.command, "--socket", "/run/mysqld.sock")),
            ("a work directory in the store", |plan| report(plan).datadir = "/backup/restore/data".into()),
            ("a copy elsewhere", |plan| passes(plan)[0].to = Some("/var/lib/mysql".into())),
            ("a copy that climbs out", |plan| {
                let out = report(plan).datadir.join("../../elsewhere");
                passes(plan)[0].to = Some(out);
            }),
            ("a tablespace path elsewhere", |plan| {
                set(&mut replay(plan).server.launch.command, "--innodb-data-home-dir", "/var/lib/mysql");
            }),
            ("binlogs unpacked elsewhere", |plan| unpack(plan).dir = "/var/lib/mysql".into()),
        ],
    );
}

#[test]
fn rule_9_what_says_that_all_is_done_comes_last() {
    notices(
        9,
        &restore(Product::Mysql84),
        &[
            ("no report", |plan| drop(plan.steps.pop())),
            ("the report first", |plan| plan.steps.rotate_right(1)),
            ("two reports", |plan| plan.steps.push(plan.steps.last().unwrap().clone())),
            ("another report", |plan| report(plan).target = None),
        ],
    );
    notices(
        9,
        &backup(&BackupRequest::Full),
        &[
            ("no record", |plan| drop(plan.steps.pop())),
            ("the record first", |plan| plan.steps.rotate_right(1)),
            ("another backup recorded", |plan| {
                let Some(Step::RecordBackup(record)) = plan.steps.last_mut() else { panic!() };
                record.id = "full_2025-10-02T02-00Z".into();
            }),
            ("nothing discarded", |plan| plan.discard_on_failure.clear()),
        ],
    );
}

#[test]
fn plans_of_every_shape_keep_the_rules() {
    for product in [Product::Mariadb, Product::Mysql57, Product::Percona80, Product::Mysql84] {
        let case = Case::of(story(product));
        for hour in 2..5 {
            for minute in (1..60).step_by(7) {
                let request = exact(&format!("{hour:02}:{minute:02}"));
                if let Ok(plan) = case.restore(&request) {
                    assert_eq!(check(&plan), [], "{product:?} {hour}:{minute}");
                }
            }
        }
        let in_tmp = RestoreRequest { workdir: Some("/backup/tmp/r".into()), ..restore_to(Target::Latest) };
        let local = |facts: &mut dbbak_core::facts::Facts| {
            facts.filesystems.values_mut().for_each(|filesystem| filesystem.network = false);
        };
        assert_eq!(check(&case.restore_where(&in_tmp, local).unwrap()), []);
    }
    for (flush, rescue) in [(false, false), (true, false), (false, true)] {
        assert_eq!(check(&ship(flush, rescue)), []);
    }
}
