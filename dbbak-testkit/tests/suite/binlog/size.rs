//! Logs and events of any size are read in little memory.

use super::scan_all;
use dbbak_core::binlog::{Damage, DamageKind, Ending, scan};
use dbbak_core::model::MysqlGtidSet;
use dbbak_testkit::binlog_writer::{BinlogWriter, RowChange, Vendor, event_type};
use std::io::{self, Read};
use std::ops::ControlFlow;
use uuid::Uuid;

const TIME: u32 = 1_790_000_000;

/// One inserted row with a LONGBLOB of many bytes.
fn write_blob(log: &mut BinlogWriter, length: u32) {
    log.table_map_of(7, "shop", "blobs", &[252], &[4]);
    let mut image = vec![0xfe];
    image.extend_from_slice(&length.to_le_bytes());
    image.resize(image.len() + length as usize, 0xa5);
    log.rows_of(RowChange::Insert, 7, 1, &image, true);
}

#[test]
fn an_event_larger_than_the_buffer_is_verified_and_counted() {
    let mut log = BinlogWriter::new(Vendor::Mysql, true, TIME);
    log.previous_gtids(&MysqlGtidSet::default());
    log.anonymous();
    log.begin();
    let rows_at = log.offset();
    write_blob(&mut log, 5 << 20);
    let statement = format!("insert into t values ('{}')", "x".repeat(3 << 20));
    log.query("shop", &statement);
    log.xid(1);
    let bytes = log.into_bytes();
    let (found, transactions) = scan_all(&bytes).unwrap();
    assert_eq!((found.ending, found.size), (Ending::Open, bytes.len() as u64));
    let one = &transactions[0];
    assert_eq!((one.tables[0].inserts, one.tables[0].counted), (1, true));
    assert_eq!(one.statement.as_deref(), Some(&statement[..8192]));
    let start = one.start;

    for at in [rows_at as usize + 120, 1 << 20, 5 << 20, (5 << 20) + 200] {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        let (found, transactions) = scan_all(&bad).unwrap();
        assert!(
            matches!(found.ending, Ending::Damaged(Damage { what: DamageKind::Checksum, .. })),
            "{at}: {:?}",
            found.ending
        );
        assert_eq!((found.good_end, transactions.len()), (start, 0));
    }
    for length in [1 << 20, 5 << 20, bytes.len() - 32] {
        let (found, _) = scan_all(&bytes[..length]).unwrap();
        assert!(matches!(found.ending, Ending::Truncated { .. }), "{length}: {:?}", found.ending);
        assert_eq!((found.good_end, found.size), (start, length as u64));
    }
}

#[test]
fn a_length_that_lies_takes_no_memory() {
    let mut log = BinlogWriter::new(Vendor::Mysql, false, TIME);
    log.previous_gtids(&MysqlGtidSet::default());
    let at = log.offset();
    log.query("", "create database a");
    let mut bytes = log.into_bytes();
    let from = at as usize;
    bytes[from + 9..from + 13].copy_from_slice(&u32::MAX.to_le_bytes());
    bytes[from + 13..from + 17].copy_from_slice(&((at + u64::from(u32::MAX)) as u32).to_le_bytes());
    let (found, _) = scan_all(&bytes).unwrap();
    let available = bytes.len() as u64 - at;
    assert_eq!(found.ending, Ending::Truncated { at, expected: u32::MAX.into(), available });
}

/// Pieces of memory and long runs of one byte, one after the other.
struct Pieces(Vec<(Vec<u8>, u64)>);

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some((bytes, run)) = self.0.first_mut() else { return Ok(0) };
        let count = if bytes.is_empty() {
            let count = into.len().min(usize::try_from(*run).unwrap_or(usize::MAX));
            into[..count].fill(0);
            *run -= count as u64;
            count
        } else {
            let count = into.len().min(bytes.len());
            into[..count].copy_from_slice(&bytes[..count]);
            bytes.drain(..count);
            count
        };
        if bytes.is_empty() && *run == 0 {
            self.0.remove(0);
        }
        Ok(count)
    }
}

#[test]
fn a_file_past_four_gibibytes_keeps_its_positions() {
    let mut log = BinlogWriter::new(Vendor::Mysql, false, TIME);
    log.previous_gtids(&MysqlGtidSet::default());
    log.anonymous();
    log.begin();
    let mut offset = log.offset();
    let mut pieces = vec![(log.into_bytes(), 0)];
    // Events of a gigabyte, of which only the headers are made.
    for _ in 0..5 {
        let run = 1_u64 << 30;
        let end = offset + 19 + run;
        let mut header = TIME.to_le_bytes().to_vec();
        header.push(99);
        header.extend_from_slice(&1_u32.to_le_bytes());
        header.extend_from_slice(&(19 + run as u32).to_le_bytes());
        header.extend_from_slice(&(end as u32).to_le_bytes());
        header.extend_from_slice(&[0x80, 0]);
        pieces.push((header, run));
        offset = end;
    }
    let mut log = BinlogWriter::continued(Vendor::Mysql, false, TIME, offset);
    log.xid(1);
    let start = log.offset();
    log.gtid(Uuid::from_u128(1), 1);
    log.query("", "create database a");
    let end = log.rotate("a.000002");
    pieces.push((log.into_bytes(), 0));
    let mut spans = Vec::new();
    let found = scan(&mut Pieces(pieces), &mut |one| {
        spans.push((one.start, one.end));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(start > 5 << 30);
    assert_eq!(spans.iter().map(|span| span.0).max(), Some(start));
    assert_eq!((found.good_end, found.size, found.transactions), (end, end, 2));
    assert!(matches!(found.ending, Ending::Rotate { .. }), "{:?}", found.ending);
}

#[test]
fn an_input_that_fails_is_an_error() {
    struct Failing<'b>(&'b [u8]);
    impl Read for Failing<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self.0.read(into)? {
                0 => Err(io::ErrorKind::ConnectionReset.into()),
                count => Ok(count),
            }
        }
    }
    let mut log = BinlogWriter::new(Vendor::Mysql, true, TIME);
    log.previous_gtids(&MysqlGtidSet::default());
    log.event(event_type::HEARTBEAT, 0, &vec![1; 3 << 20]);
    for length in [2, 50, 200, 2 << 20, log.bytes().len()] {
        let found = scan(&mut Failing(&log.bytes()[..length]), &mut |_| ControlFlow::Continue(()));
        assert!(matches!(found, Err(dbbak_core::binlog::BinlogError::Input(_))), "{length}: {found:?}");
    }
}
