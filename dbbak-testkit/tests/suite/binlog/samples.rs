//! Real logs read to the same transactions, GTIDs, positions and rows as the vendors' tools show.

use super::{as_shown, fixtures, sample, sample_names, scan_all};
use dbbak_core::binlog::{BinlogError, Boundary, EndKind, Ending, boundary, read_head, scan_with_boundary};
use dbbak_core::model::GtidSet;
use dbbak_testkit::vendor_reading::{self, Shown};
use std::ops::ControlFlow;

/// What the vendor's tool prints of a sample, where that lies beside it. It prints values in the bytes of their character
/// sets, which are no UTF-8.
fn reading_of(name: &str) -> Option<String> {
    let text = std::fs::read(fixtures().join(format!("{name}.txt"))).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn samples_read_as_the_vendors_tools_show_them() {
    let mut compared = 0;
    for name in sample_names() {
        let Some(text) = reading_of(&name) else { continue };
        let Ok((found, transactions)) = scan_all(&sample(&name)) else { continue };
        let reading = vendor_reading::read(&text);
        let shown: Vec<Shown> = transactions.iter().map(as_shown).collect();
        for (ours, theirs) in shown.iter().zip(&reading.transactions) {
            assert_eq!(ours, theirs, "{name}");
        }
        assert_eq!(shown.len(), reading.transactions.len(), "{name}");
        for one in transactions.iter().filter(|one| one.tables.iter().all(|table| table.dml.is_none())) {
            assert!(!one.more_tables && one.tables.iter().all(|table| table.counted), "{name} {one:?}");
        }
        let previous: Option<GtidSet> = reading.previous.map(|set| set.parse().unwrap());
        assert_eq!(found.head.previous_gtids, previous, "{name}");
        let ending = match &found.ending {
            Ending::Rotate { next, position: 4 } => Some(next.to_string()),
            Ending::Stop => Some("Stop".to_owned()),
            _ => None,
        };
        assert_eq!(ending, reading.ending, "{name}");
        compared += shown.len();
    }
    assert!(compared > 1050, "{compared}");
}

#[test]
fn boundaries_are_where_no_transaction_is_open() {
    for name in sample_names() {
        let bytes = sample(&name);
        let Ok((found, transactions)) = scan_all(&bytes) else { continue };
        let Some(text) = reading_of(&name) else { continue };
        // The offsets of all events that the vendor's tool shows and that are in no transaction.
        let mut expected: Vec<u64> = vendor_reading::read(&text).events;
        expected.push(found.good_end);
        expected.retain(|at| {
            *at <= found.good_end && !transactions.iter().any(|inner| inner.start < *at && *at < inner.end)
        });
        expected.dedup();
        let near = |at: &u64| [at.saturating_sub(1), *at, at + 1];
        let asked: Vec<u64> = if bytes.len() < 1500 {
            (0..bytes.len() as u64 + 3).collect()
        } else {
            expected
                .iter()
                .step_by(37)
                .flat_map(near)
                .chain(transactions.iter().step_by(41).map(|inner| inner.start + 60))
                .collect()
        };
        for position in asked {
            let answer = boundary(&mut bytes.as_slice(), position).unwrap();
            let before = expected.iter().rev().find(|at| **at < position).copied().unwrap_or(4);
            let after = expected.iter().find(|at| **at > position).copied();
            let wanted = if expected.contains(&position) {
                Boundary::Yes
            } else if after.is_none() && position > bytes.len() as u64 {
                Boundary::BeyondEnd { size: bytes.len() as u64 }
            } else {
                Boundary::No { before, after }
            };
            assert_eq!(answer, wanted, "{name} at {position}");
        }
        let (again, answer) =
            scan_with_boundary(&mut bytes.as_slice(), found.good_end, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!((again, answer), (found, Boundary::Yes), "{name}");
    }
}

/// Encrypted files, and the same as their servers send them.
#[test]
fn encrypted_binlogs_are_read_as_the_server_sends_them() {
    let remote = |name: &str| sample(&format!("../remote/{name}"));
    for (name, transactions) in [
        ("mariadb-10.11.19/encrypted.000002", 2),
        ("mariadb-10.11.19/encrypted-no-checksums.000004", 1),
        ("mysql-9.7.4/encrypted.000004", 1),
        ("mysql-9.7.4/encrypted-no-checksums.000007", 0),
    ] {
        assert!(scan_all(&remote(name)).unwrap_err().is_encrypted(), "{name}");
        let sent = remote(&format!("{name}.raw"));
        let (scan, _) = scan_all(&sent).unwrap();
        assert!(matches!(scan.ending, Ending::Rotate { .. }), "{name}: {:?}", scan.ending);
        assert_eq!((scan.transactions, scan.size), (transactions, sent.len() as u64), "{name}");
        assert!(scan.head.previous_gtids.is_some(), "{name}");
        // A bit of the mark that tells the two apart: the checksum, or the event after it, says so.
        if name.starts_with("mariadb") {
            let mut unmarked = sent.clone();
            unmarked[256 + 17] &= 0x7f;
            let rotated = scan_all(&unmarked).is_ok_and(|(scan, _)| matches!(scan.ending, Ending::Rotate { .. }));
            assert!(!rotated, "{name}");
        }
    }
}

#[test]
fn what_is_no_readable_binlog_is_refused() {
    let refused = |name: &str| scan_all(&sample(name)).unwrap_err();
    assert!(matches!(refused("mysql-9.7.4/binlog.000010"), BinlogError::Encrypted));
    assert!(matches!(refused("mysql-9.7.4/binlog.000011"), BinlogError::Encrypted));
    assert!(matches!(refused("mysql-9.7.4/empty.binlog.000099"), BinlogError::Empty));
    assert!(matches!(
        refused("mysql-9.7.4/truncated-in-fde.binlog.000002"),
        BinlogError::FormatDescriptionTruncated { expected: 123, available: 96 }
    ));
    assert!(matches!(scan_all(b"\xfe\xfe\x0d\x01 and more").unwrap_err(), BinlogError::InnodbBinlog));
    assert!(matches!(scan_all(b"#!/bin/sh").unwrap_err(), BinlogError::NotABinlog { .. }));
}

#[test]
fn endings_tell_what_happened_to_the_file() {
    let ending = |name: &str| {
        let (found, transactions) = scan_all(&sample(name)).unwrap();
        (found.ending, found.good_end, found.head.in_use, transactions.len())
    };
    assert_eq!(ending("mysql-9.7.4/binlog.000001"), (Ending::Stop, 181, false, 0));
    assert_eq!(ending("mysql-9.7.4/inuse-active.binlog.000012"), (Ending::Open, 6543, true, 20));
    assert_eq!(ending("mysql-9.7.4/crashed-inuse.binlog.000012"), (Ending::Open, 7071, true, 22));
    assert_eq!(ending("mariadb-10.11.19/mariadb-bin.000004"), (Ending::Open, 3146, true, 11));
    let (cut, good_end, _, transactions) = ending("mysql-9.7.4/truncated-2000.binlog.000002");
    assert_eq!((cut, good_end, transactions), (Ending::Truncated { at: 1944, expected: 63, available: 56 }, 1790, 6));
    let (bad, good_end, _, transactions) = ending("mysql-9.7.4/bitflip.binlog.000002");
    assert!(matches!(bad, Ending::Damaged(damage) if damage.at == 4962), "{bad:?}");
    assert_eq!((good_end, transactions), (4883, 16));
}

#[test]
fn a_copy_in_use_has_the_same_head_as_the_closed_file() {
    let head = |name: &str| read_head(&mut sample(name).as_slice()).unwrap();
    let (active, crashed) =
        (head("mysql-9.7.4/inuse-active.binlog.000012"), head("mysql-9.7.4/crashed-inuse.binlog.000012"));
    assert_eq!(active, crashed);
    let mut closed = sample("mysql-9.7.4/inuse-active.binlog.000012");
    closed[21] &= !1;
    let closed = read_head(&mut closed.as_slice()).unwrap();
    assert!(active.in_use && !closed.in_use);
    assert_eq!(closed.digest, active.digest);
    assert_ne!(active.digest, head("mysql-9.7.4/binlog.000009").digest);
    assert_eq!((closed.server_id, closed.server_version.as_str()), (970, "9.7.4-2"));
}

#[test]
fn statements_ends_and_xa_are_told() {
    let (_, transactions) = scan_all(&sample("mysql-9.7.4/binlog.000005")).unwrap();
    let ends: Vec<EndKind> = transactions.iter().map(|one| one.end_kind).collect();
    assert_eq!(
        ends,
        [EndKind::Ddl, EndKind::Commit, EndKind::Commit, EndKind::Commit, EndKind::XaPrepare, EndKind::XaCommit]
    );
    assert_eq!(
        transactions[0].statement.as_deref(),
        Some("alter table shop.acct add column note text, algorithm=instant")
    );
    assert!(transactions[2].statement.as_deref().unwrap().starts_with("update shop.acct set note="));
    let by_statement = &transactions[3].tables[0];
    assert!(by_statement.dml.is_some() && !by_statement.counted && !transactions[3].has_rows);
    assert_eq!(transactions[4].xa, transactions[5].xa);
    assert_eq!(transactions[4].xa.as_ref().unwrap().as_str(), "X'7831',X'',1");
    let (_, transactions) = scan_all(&sample("mysql-9.7.4/binlog.000003")).unwrap();
    assert!(transactions.iter().all(|one| one.compressed && one.end_kind == EndKind::Commit));
}
