//! Every cut and every flipped byte of the samples is noticed, and takes no whole transaction away.

use super::{sample, sample_names, scan_all};
use dbbak_core::binlog::{BinlogError, Boundary, ChecksumAlgorithm, Ending, boundary, read_head};
use std::ops::Range;

/// The samples whose own end is not already damaged: of the others, the tests would be the same.
fn whole_samples(vendor: &str) -> Vec<String> {
    let damaged = ["truncated", "bitflip", "empty", "inuse-active"];
    let mut names = sample_names();
    names.retain(|name| {
        name.starts_with(vendor) && !damaged.iter().any(|word| name.contains(word)) && scan_all(&sample(name)).is_ok()
    });
    names
}

/// The offsets to try: all of a small file; of a large one, whose events repeat, the first and last ones and every 211th.
fn places(length: usize) -> Vec<usize> {
    const EDGE: usize = 800;
    if length < 3000 {
        (0..length).collect()
    } else {
        (0..EDGE).chain((EDGE..length - 200).step_by(211)).chain(length - 200..length).collect()
    }
}

fn check_cuts(vendor: &str) {
    for name in whole_samples(vendor) {
        let bytes = sample(&name);
        let (whole, transactions) = scan_all(&bytes).unwrap();
        for length in places(bytes.len()) {
            let cut = &bytes[..length];
            let (found, left) = match scan_all(cut) {
                Ok(read) => read,
                Err(error) => {
                    assert!((length as u64) < whole.head.length, "{name} cut to {length}: {error}");
                    continue;
                }
            };
            let expected: Vec<_> = transactions.iter().filter(|one| one.end <= length as u64).cloned().collect();
            assert!(left == expected, "{name} cut to {length}: {} of {} transactions", left.len(), expected.len());
            assert_eq!(found.size, length as u64, "{name} cut to {length}");
            let open = transactions.iter().find(|one| one.start < length as u64 && one.end > length as u64);
            match found.ending {
                Ending::Open => {
                    assert_eq!(found.good_end, length as u64, "{name} cut to {length}");
                    assert!(open.is_none(), "{name} cut to {length}");
                }
                Ending::InTransaction { start } => {
                    assert_eq!(Some(start), open.map(|one| one.start), "{name} cut to {length}");
                    assert_eq!(found.good_end, start, "{name} cut to {length}");
                }
                Ending::Truncated { at, expected, available } => {
                    assert_eq!(at + available, length as u64, "{name} cut to {length}");
                    assert!(available < expected && found.good_end <= at, "{name} cut to {length}");
                }
                ending => panic!("{name} cut to {length}: {ending:?}"),
            }
        }
    }
}

fn check_flips(vendor: &str, masks: &[u8]) {
    for name in whole_samples(vendor) {
        let mut bytes = sample(&name);
        let (whole, transactions) = scan_all(&bytes).unwrap();
        // Without checksums only the format description has one: no panic is all that can be asked after it.
        let format_end = 4 + u32::from_le_bytes(bytes[13..17].try_into().unwrap()) as usize;
        let secured = match whole.head.checksum {
            ChecksumAlgorithm::Crc32 => bytes.len(),
            ChecksumAlgorithm::None => format_end,
        };
        for at in places(bytes.len()) {
            for mask in masks {
                if at == 21 && mask & 1 == 1 {
                    // The in-use flag, which the server itself changes.
                    continue;
                }
                bytes[at] ^= mask;
                let read = scan_all(&bytes);
                let head = read_head(&mut bytes.as_slice());
                bytes[at] ^= mask;
                let place = format!("{name} byte {at} flipped by {mask:02x}");
                assert!(head.is_err() || at as u64 >= whole.head.length || at >= secured, "{place}: head passes");
                let (found, left) = match read {
                    Ok(read) => read,
                    Err(BinlogError::Input(error)) => panic!("{place}: {error}"),
                    Err(_) => continue,
                };
                if at >= secured {
                    continue;
                }
                let stopped = match found.ending {
                    Ending::Damaged(damage) => damage.at,
                    Ending::Truncated { at, .. } => at,
                    ending => panic!("{place}: {ending:?}"),
                };
                assert!(stopped <= at as u64, "{place}: stopped at {stopped}");
                let expected: Vec<_> = transactions.iter().filter(|one| one.end <= stopped).cloned().collect();
                assert!(left == expected, "{place}: {} of {} transactions", left.len(), expected.len());
                assert!(found.good_end <= stopped, "{place}: good end {}", found.good_end);
            }
        }
    }
}

#[test]
fn every_cut_of_a_mysql_log_is_noticed() {
    check_cuts("mysql");
}

#[test]
fn every_cut_of_a_mariadb_log_is_noticed() {
    check_cuts("mariadb");
}

#[test]
fn every_flipped_byte_of_a_mysql_log_is_noticed() {
    check_flips("mysql", &[0x01, 0x80, 0xff]);
}

#[test]
fn every_flipped_byte_of_a_mariadb_log_is_noticed() {
    check_flips("mariadb", &[0x01, 0xff]);
}

#[test]
fn a_place_after_damage_is_no_boundary() {
    let bytes = sample("mysql-9.7.4/bitflip.binlog.000002");
    let whole = sample("mysql-9.7.4/binlog.000002");
    let (_, transactions) = scan_all(&whole).unwrap();
    let after = transactions.iter().map(|one| one.start).find(|start| *start > 5000).unwrap();
    assert_eq!(boundary(&mut whole.as_slice(), after).unwrap(), Boundary::Yes);
    assert_eq!(boundary(&mut bytes.as_slice(), after).unwrap(), Boundary::No { before: 4883, after: None });
}

/// Where the events of a log lie.
fn events(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 4;
    while let Some(length) = bytes.get(at + 9..at + 13) {
        let end = at + u32::from_le_bytes(length.try_into().unwrap()) as usize;
        found.push(at..end);
        at = end;
    }
    found
}

/// Bodies that no server writes, under checksums that hold: nothing is asked but an answer.
#[test]
fn forged_events_are_answered_without_a_panic() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for name in whole_samples("m") {
        let whole = sample(&name);
        let secured = scan_all(&whole).unwrap().0.head.checksum == ChecksumAlgorithm::Crc32;
        let events = events(&whole);
        for _ in 0..400 {
            let event = events[random(events.len().min(60))].clone();
            let mut bytes = whole[..(event.end + 2000).min(whole.len())].to_vec();
            let body = event.start + 19..event.end - 4;
            if body.is_empty() {
                continue;
            }
            for _ in 0..=random(3) {
                let value = [0, 1, 0x7f, 0x80, 0xfc, 0xfe, 0xff, random(256) as u8][random(8)];
                bytes[body.start + random(body.len())] = value;
            }
            if random(4) == 0 {
                bytes[event.start + 4] =
                    [2, 4, 18, 19, 23, 24, 30, 31, 33, 35, 38, 39, 40, 42, 162, 163, 165, 166][random(18)];
            }
            if secured {
                let crc = crc32fast::hash(&bytes[event.start..body.end]).to_le_bytes();
                bytes[body.end..event.end].copy_from_slice(&crc);
            }
            let _ = scan_all(&bytes);
            let _ = read_head(&mut bytes.as_slice());
        }
    }
}
