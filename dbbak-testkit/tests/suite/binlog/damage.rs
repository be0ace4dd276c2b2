//! Every cut and every flipped byte of the samples is noticed, and takes no whole transaction away.

use super::{sample, sample_names, scan_all};
use dbbak_core::binlog::{BinlogError, ChecksumAlgorithm, Ending, boundary, read_head};

/// The samples whose own end is not already damaged: of the others, the tests would be the same.
fn whole_samples(vendor: &str) -> Vec<String> {
    let damaged = ["truncated", "bitflip", "empty", "inuse-active"];
    let mut names = sample_names();
    names.retain(|name| {
        name.starts_with(vendor) && !damaged.iter().any(|word| name.contains(word)) && scan_all(&sample(name)).is_ok()
    });
    names
}

/// The offsets to try: all of a small file; of a large one, whose events repeat, the first and last ones and every 97th.
fn places(length: usize) -> Vec<usize> {
    const EDGE: usize = 1200;
    if length < 3000 {
        (0..length).collect()
    } else {
        (0..EDGE).chain((EDGE..length - 400).step_by(97)).chain(length - 400..length).collect()
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
    assert_eq!(boundary(&mut whole.as_slice(), after).unwrap(), dbbak_core::binlog::Boundary::Yes);
    assert_eq!(
        boundary(&mut bytes.as_slice(), after).unwrap(),
        dbbak_core::binlog::Boundary::No { before: 4883, after: None }
    );
}
