//! Rules 8 and 9: what a run touches, and how it ends.

use super::*;

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
                let record = plan.steps.iter_mut().find_map(|step| match step {
                    Step::RecordBackup(record) => Some(record),
                    _ => None,
                });
                let Some(record) = record else { panic!("nothing is recorded") };
                record.id = "full_2025-10-02T02-00Z".into();
            }),
            ("nothing discarded", |plan| plan.discard_on_failure.clear()),
        ],
    );
}
