//! Rules 5 to 7: what is archived, and what is replayed.

use super::*;

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

/// A restore whose window is divided into batches.
fn in_batches() -> Plan {
    let mut case = Case::of(story(Product::Mysql84));
    case.config.replay_space = 1;
    let plan = case.restore(&exact("04:54")).unwrap();
    assert!(plan.steps.iter().any(|step| matches!(step, Step::UnpackBinlogs(unpack) if unpack.batches.len() > 1)));
    plan
}

#[test]
fn rule_5_the_batches_are_the_window() {
    notices(
        5,
        &in_batches(),
        &[
            ("a file that is in no batch", |plan| unpack(plan).batches.truncate(1)),
            ("a batch without a file", |plan| unpack(plan).batches[1].files = 0),
            ("a file in two batches", |plan| unpack(plan).batches[0].files += 1),
            ("a batch that is larger than it says", |plan| unpack(plan).batches[0].bytes -= 1),
            ("one reader for several batches", |plan| replay(plan).relay = None),
        ],
    );
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

/// What is put back as the server's own history is what was replayed, and nothing touches the data behind it.
#[test]
fn rules_5_7_and_8_history_and_owner() {
    let mut request = exact("04:41");
    request.finish.with_binlogs = true;
    request.finish.owner = Some("1:2".parse().unwrap());
    let known = |facts: &mut dbbak_core::facts::Facts| {
        facts.host.root = true;
        facts.owner = Some(Ok(dbbak_core::facts::OwnerFact { uid: 1, gid: 2 }));
        for stored in facts.stored.values_mut() {
            stored.variables.insert("log_bin_basename".into(), "/var/lib/mysql/binlog".into());
            stored.variables.insert("datadir".into(), "/var/lib/mysql/".into());
        }
    };
    let plan = Case::of(story(Product::Mysql84)).restore_where(&request, known).unwrap();
    notices(
        5,
        &plan,
        &[
            ("a file less in the history", |plan| drop(ready(plan).history.as_mut().unwrap().files.pop())),
            ("a history that goes on", |plan| ready(plan).history.as_mut().unwrap().stop = None),
        ],
    );
    notices(
        7,
        &plan,
        &[("left out of the data alone", |plan| {
            unpack(plan).skip.push("3e11fa47-71ca-11e1-9e33-c80aa9429562:5".parse().unwrap());
        })],
    );
    notices(
        8,
        &plan,
        &[
            ("another's files given away", |plan| {
                ready(plan).owner.as_mut().unwrap().trees.push("/var/lib/mysql".into());
            }),
            ("binlogs put elsewhere", |plan| {
                ready(plan).history.as_mut().unwrap().dir = "/var/log/mysql".into();
            }),
            ("binlogs listed where the source has its own", |plan| {
                ready(plan).history.as_mut().unwrap().listed_in = "/var/log/mysql".into();
            }),
            ("a server on data that are ready", |plan| {
                let at = place(plan, |step| matches!(step, Step::MakeReady(_)));
                let ready = plan.steps.remove(at);
                let at = place(plan, |step| matches!(step, Step::Replay(_)));
                plan.steps.insert(at, ready);
            }),
        ],
    );
}
