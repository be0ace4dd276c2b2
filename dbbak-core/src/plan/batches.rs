//! Divides a window into batches, so that disk use is bounded: while one is applied, the next one is unpacked.

use super::restore::stored;
use crate::{catalog::Backup, facts::Facts, model::TreeName};
use serde::{Deserialize, Serialize};

/// The most bytes of the first batch: it is unpacked before anything can be applied.
const FIRST: u64 = 256 << 20;
/// The largest log, and relay log, that a server writes before it begins another.
const LARGEST_LOG: u64 = 1 << 30;
/// The smallest: with smaller ones a server would do little else.
const SMALLEST_LOG: u64 = 1 << 20;

/// A part of a window that is unpacked and applied as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// How many binlogs, in log order.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Room for a replay, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Free in the file system; none: it was not looked at.
    pub free: Option<u64>,
    /// Needed for the restored data.
    pub data: u64,
    /// What a replay may use at most of the rest.
    pub limit: u64,
}

/// Room for the restored data, in bytes, while the backups of a chain are brought up from this tree of the full.
pub(super) fn data_space(facts: &Facts, chain: &[&Backup], tree: TreeName) -> u64 {
    let bytes = |backup: &Backup, tree| {
        let stored = stored(facts, backup).ok()?;
        stored.trees.get(&tree).copied().flatten()
    };
    let base = chain.first().and_then(|full| bytes(full, tree)).unwrap_or(0);
    let incrementals = chain.iter().skip(1).filter_map(|backup| bytes(backup, TreeName::Raw));
    // Each incremental is copied, applied (its pages grow the base at most by its size) and removed again.
    let (largest, grown) = incrementals.fold((0, 0), |(largest, grown), size| (size.max(largest), grown + size));
    base + largest + grown
}

/// How a window is divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Division {
    /// The batches; none: the window is unpacked as a whole before it is replayed.
    pub batches: Vec<Batch>,
    /// The size at which the private server begins another log, in bytes.
    pub log_size: u64,
    /// How much an applier that is fed may fetch ahead, in bytes.
    pub relay_space: u64,
    /// Room that is needed at least, the restored data included, in bytes.
    pub needed: u64,
}

impl Division {
    /// Why it is so, where it is not the usual.
    pub(super) fn reason(&self) -> Option<String> {
        let largest = self.batches.iter().map(|batch| batch.bytes).max()?;
        Some(format!(
            "the binlogs are unpacked in {} batches of at most {largest} bytes, each while the one before it is applied",
            self.batches.len()
        ))
    }
}

/// Divides files of these sizes. `whole`: one program reads them all, so that all must be there.
pub(super) fn divide(sizes: &[u64], room: Room, whole: bool) -> Division {
    let all: u64 = sizes.iter().sum();
    // Half of what is free is left to the data, which grows with what is replayed, nobody knows how much.
    let free = room.free.map_or(u64::MAX, |free| free.saturating_sub(room.data) / 2);
    let space = room.limit.min(free);
    // A batch that is applied, one that is unpacked, the logs of both servers, and the lists of transactions.
    let share = space / 5;
    let batches = if whole { Vec::new() } else { batches(sizes, share) };
    let batches = if batches.len() > 1 { batches } else { Vec::new() };
    let log_size = match batches.is_empty() {
        true => LARGEST_LOG,
        false => (share / 2).clamp(SMALLEST_LOG, LARGEST_LOG) / 4096 * 4096,
    };
    let relay_space = share.clamp(8 * SMALLEST_LOG, LARGEST_LOG / 2);
    let unpacked = match batches.as_slice() {
        [] => all,
        batches => batches.windows(2).map(|two| two[0].bytes + two[1].bytes).max().unwrap_or(all),
    };
    // One log is being written, one is being read, and the one before it is kept.
    let needed = room.data + unpacked + unpacked.min(3 * log_size);
    Division { batches, log_size, relay_space, needed }
}

fn batches(sizes: &[u64], share: u64) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    for size in sizes {
        let most = if batches.len() <= 1 { share.min(FIRST) } else { share };
        match batches.last_mut() {
            Some(batch) if batch.bytes.saturating_add(*size) <= most => {
                batch.files += 1;
                batch.bytes += size;
            }
            _ => batches.push(Batch { files: 1, bytes: *size }),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn room(free: u64, limit: u64) -> Room {
        Room { free: Some(free), data: 100 * MB, limit }
    }

    fn shape(division: &Division) -> Vec<usize> {
        division.batches.iter().map(|batch| batch.files).collect()
    }

    #[test]
    fn a_window_that_fits_is_few_batches_and_the_first_is_small() {
        let sizes = [100 * MB; 30];
        let division = divide(&sizes, room(1 << 40, 16 << 30), false);
        assert_eq!(shape(&division), [2, 28]);
        let usual = divide(&sizes[..2], room(1 << 40, 16 << 30), false);
        assert_eq!((shape(&usual), usual.needed), (vec![], 500 * MB));
    }

    #[test]
    fn a_window_larger_than_the_free_space_is_divided_so_that_two_batches_fit() {
        let sizes = [100 * MB; 100];
        let division = divide(&sizes, room(2200 * MB, 16 << 30), false);
        assert_eq!(division.batches.iter().map(|batch| batch.files).sum::<usize>(), 100);
        assert_eq!(division.batches.iter().map(|batch| batch.bytes).sum::<u64>(), 10_000 * MB);
        assert!(division.batches.len() > 10 && division.needed < 2200 * MB, "{division:?}");
        assert!(division.log_size < 200 * MB);
        // The limit that is configured counts where it is the smaller one.
        let limited = divide(&sizes, room(1 << 40, 1000 * MB), false);
        assert!(limited.batches.iter().all(|batch| batch.bytes <= 200 * MB), "{limited:?}");
    }

    #[test]
    fn a_file_that_alone_is_too_large_needs_its_room() {
        let division = divide(&[MB, 5000 * MB, MB], room(2000 * MB, 16 << 30), false);
        assert_eq!(shape(&division), [1, 1, 1]);
        assert!(division.needed > 5000 * MB, "{division:?}");
    }

    #[test]
    fn what_one_program_reads_is_there_as_a_whole() {
        let division = divide(&[1000 * MB; 10], room(2000 * MB, 16 << 30), true);
        assert!(division.batches.is_empty() && division.needed > 10_000 * MB, "{division:?}");
    }
}
