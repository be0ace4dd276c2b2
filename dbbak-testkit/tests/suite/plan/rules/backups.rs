//! Rules 1 to 4: chains, private copies, prepares, success.

use super::*;

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
        &[
            ("missing on the redo tree", |plan| remove(&mut tools(plan)[1].launch.command, FLAG)),
            ("the copy for the redo tree prepared to the end", |plan| {
                let copied = |step: &Step| matches!(step, Step::PassTree(pass) if pass.title.contains("once more"));
                plan.steps.retain(|step| !copied(step));
            }),
        ],
    );
}

/// A trial ends as a restore does, and comes when the backup is recorded.
#[test]
fn rules_3_and_9_of_a_trial() {
    const FLAG: &str = "--apply-log-only";
    let mut case = Case::of(story(Product::Mysql84));
    case.config.try_incrementals = true;
    case.facts.stored = case.history.restore_facts(&case.catalog, None).stored;
    let tried = case.backup(&BackupRequest::Incremental { base: None, differential: false }).unwrap();
    notices(
        3,
        &tried,
        &[
            ("missing on an older link", |plan| remove(&mut tools(plan)[1].launch.command, FLAG)),
            ("given on the last", |plan| {
                tools(plan).last_mut().unwrap().launch.command.args.push(Arg::Plain(FLAG.into()));
            }),
        ],
    );
    notices(
        9,
        &tried,
        &[
            ("a backup that could be excused", |plan| plan.trial.as_mut().unwrap().from = 1),
            ("steps after the record that could end the run", |plan| plan.trial.as_mut().unwrap().from += 1),
        ],
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
