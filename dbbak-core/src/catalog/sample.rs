//! Binlog entries for the unit tests of this module.

use super::Catalog;
use crate::{
    model::{BinlogName, LogTime},
    store::{BinlogEnding, BinlogEntry, BinlogSource, Digest, KeyPart, PartialBinlog},
};
use std::collections::BTreeSet;

/// UUID of the server with a `server_id`.
pub(super) fn uuid(server: u32) -> String {
    format!("00000000-0000-4000-8000-{server:012}")
}

/// A whole file that was rotated into the next one. `b` of a set of GTIDs stands for that server's UUID.
pub(super) fn file(timeline: &str, server: u32, number: u64, before: Option<&str>, added: &str) -> BinlogEntry {
    let name: BinlogName = format!("bin.{number:06}").parse().expect("a name");
    let stamp = |number: u64| LogTime::from_seconds(1_759_413_600 + number as u32 * 60);
    let named = |text: &str| text.replace('A', &uuid(1)).replace('B', &uuid(2)).replace('C', &uuid(3));
    let text = format!("{timeline}/{server}/{number}");
    BinlogEntry {
        timeline: Some(timeline.to_owned()),
        source: Some(BinlogSource {
            server_id: Some(server),
            uuid: before.is_none_or(|before| !before.contains("0-") && !added.contains("0-")).then(|| uuid(server)),
            ..BinlogSource::default()
        }),
        head: Some(Digest::of(text.as_bytes())),
        digest: Some(Digest::of(format!("{text} whole").as_bytes())),
        gtids_before: before.map(named),
        gtids_added: before.map(|_| named(added)),
        ending: Some(BinlogEnding::Rotate),
        successor: Some(name.successor()),
        transactions: Some(5),
        ..BinlogEntry::basic(
            name.clone(),
            KeyPart::new(format!("binlog_2025-10-02T14-00Z_{name}_{timeline}.gz")).expect("a key"),
            1000,
            stamp(number),
            stamp(number + 1),
        )
    }
}

/// The beginning of a file, archived while it was open.
pub(super) fn partial(file: BinlogEntry) -> BinlogEntry {
    let partial = PartialBinlog { last_good: 900, unknown: Default::default() };
    let ending = Some(BinlogEnding::Crashed);
    BinlogEntry { partial: Some(partial), ending, successor: None, size: 900, ..file }
}

pub(super) fn catalog(binlogs: Vec<BinlogEntry>) -> Catalog {
    Catalog::from_parts(None, None, Vec::new(), &[], binlogs, BTreeSet::new())
}

/// A text with the UUIDs of the servers as letters again.
pub(super) fn lettered(text: &str) -> String {
    text.replace(&uuid(1), "A").replace(&uuid(2), "B").replace(&uuid(3), "C")
}
