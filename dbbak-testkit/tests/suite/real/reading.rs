//! The witness of the random workload is right about real servers, and dbbak reads their logs as the vendors' tools do.

use std::fs::File;
use std::io::BufReader;
use std::ops::ControlFlow;

use crate::binlog::as_shown;
use dbbak_core::binlog::scan;
use dbbak_testkit::real::{require_mysql, require_servers};
use dbbak_testkit::server::{Options, Server};
use dbbak_testkit::vendor_reading::Shown;
use dbbak_testkit::witness::{Driver, Seen, log};

/// Runs the workload with restarts and crashes; at quiet moments the tables must be what the witness says, and in the end
/// every binlog must read as the vendor's tool shows it. Returns how many transactions had compressed contents.
fn read_a_workload(options: Options, seed: u64) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(&dir.path().join("server"), options).unwrap();
    let mut driver = Driver::new(&server, seed).unwrap();
    driver.pace = std::time::Duration::from_millis(2);
    let mut moments = Vec::new();
    for round in 0..4 {
        driver.run(&server, 110).unwrap();
        let moment = driver.quietly(&server, || {
            let question = "SELECT COALESCE(MAX(id), 0) FROM noise.b";
            (Seen::of(&server).unwrap(), server.value(question).parse::<u64>().unwrap())
        });
        moments.push((driver.commits(), moment.unwrap()));
        if round < 3 {
            driver.restart(&mut server, round != 1).unwrap();
        }
    }
    let witness = driver.stop(&server).unwrap();
    let history = witness.along(log::read(&server).unwrap()).unwrap();
    for (commits, (seen, noise)) in moments {
        // The place in the log behind the last of both.
        let place = |gtid: &str| history.log.iter().position(|logged| logged.gtid == gtid).unwrap() + 1;
        let ordered = place(&witness.commits[commits - 1].gtid);
        let mut told =
            witness.noise.iter().filter(|(number, _)| *number <= noise).filter_map(|(_, gtid)| gtid.as_deref());
        let place = told.next_back().map_or(ordered, |gtid| place(gtid).max(ordered));
        let differences = seen.differences(&history.state_after(place).seen());
        assert!(differences.is_empty(), "after {commits} commits: {differences:#?}");
    }

    let mut compressed = 0;
    for path in log::files(&server).unwrap() {
        let mut ours = Vec::new();
        scan(&mut BufReader::new(File::open(&path).unwrap()), &mut |transaction| {
            compressed += usize::from(transaction.compressed);
            ours.push(as_shown(transaction));
            ControlFlow::Continue(())
        })
        .unwrap();
        let theirs = log::read_file(server.options().vendor, &path).unwrap();
        for (ours, theirs) in ours.iter().zip(&theirs) {
            // A compressed transaction's own events have stamps of their own, which say nothing: it has a commit time.
            let newest = if theirs.commit.is_some() { theirs.newest } else { ours.newest };
            assert_eq!(&Shown { newest, ..ours.clone() }, theirs, "{}", path.display());
        }
        assert_eq!(ours.len(), theirs.len(), "{}", path.display());
    }
    compressed
}

#[test]
fn real_mysql_logs_read_as_mysqlbinlog_shows_them() {
    if !require_mysql() {
        return;
    }
    let compressed = read_a_workload(Options::mysql(), 61);
    assert!(compressed > 10, "{compressed}");
}

#[test]
fn real_mariadb_logs_read_as_mariadb_binlog_shows_them() {
    if !require_servers() {
        return;
    }
    read_a_workload(Options::default(), 62);
}
