//! An index over the archived binlogs, made once for each catalog: the questions of ten thousand backups about a hundred
//! thousand files must not each go through all the files.

use super::{Catalog, Stretch, Timeline, timeline::BasicTimelines};
use crate::{
    model::{BinlogCoordinates, BinlogName, LogTime},
    store::{BinlogEntry, Digest},
};
use std::{cmp::Reverse, collections::HashMap};

/// The timelines of a catalog's binlogs, by the places of the entries in `Catalog::binlogs`.
#[derive(Debug, Clone, Default)]
pub(super) struct ArchiveIndex {
    pub(super) lines: Vec<Line>,
}

/// One timeline.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) id: String,
    /// Its files, ordered by name.
    pub(super) files: Vec<usize>,
    /// For each file the latest moment that it and the rest of its gap-free run reach.
    pub(super) reach: Vec<Option<LogTime>>,
    /// For each file the place of the last file of its gap-free run.
    pub(super) last: Vec<usize>,
}

impl ArchiveIndex {
    pub(super) fn of(binlogs: &[BinlogEntry]) -> Self {
        let mut basic = BasicTimelines::default();
        let mut numbers: HashMap<String, usize> = HashMap::new();
        let mut lines: Vec<(String, Vec<usize>)> = Vec::new();
        for (position, entry) in binlogs.iter().enumerate() {
            let number = match &entry.timeline {
                Some(id) => numbers.get(id).copied().ok_or_else(|| id.clone()),
                None => {
                    let id = basic.id_of(entry);
                    numbers.get(&id).copied().ok_or(id)
                }
            };
            let number = number.unwrap_or_else(|id| {
                lines.push((id.clone(), Vec::new()));
                numbers.insert(id, lines.len() - 1);
                lines.len() - 1
            });
            lines[number].1.push(position);
        }
        let line = |(id, mut files): (String, Vec<usize>)| {
            sort_files(binlogs, &mut files);
            let (reach, last) = reaches(binlogs, &files);
            Line { id, files, reach, last }
        };
        ArchiveIndex { lines: lines.into_iter().map(line).collect() }
    }
}

/// Orders files by name, each name once: of two copies of one file the more complete one counts, else the later one.
fn sort_files(binlogs: &[BinlogEntry], files: &mut Vec<usize>) {
    // They were archived in order, nearly always.
    if !files.is_sorted_by(|one, next| binlogs[*one].name < binlogs[*next].name) {
        files.sort_by(|one, other| {
            let key = |place: &usize| (&binlogs[*place].name, Reverse(binlogs[*place].good_bytes()), Reverse(*place));
            key(one).cmp(&key(other))
        });
        files.dedup_by(|other, kept| binlogs[*other].name == binlogs[*kept].name);
    }
}

/// The reach of the gap-free run from each file on, and the place of the run's last file, from the last file to the first.
fn reaches(binlogs: &[BinlogEntry], files: &[usize]) -> (Vec<Option<LogTime>>, Vec<usize>) {
    let mut reaches = vec![None; files.len()];
    let mut last: Vec<usize> = (0..files.len()).collect();
    for place in (0..files.len()).rev() {
        let file = &binlogs[files[place]];
        let goes_on = files
            .get(place + 1)
            .is_some_and(|next| file.incomplete().is_none() && file.is_followed_by(&binlogs[*next]));
        let rest = if goes_on { reaches[place + 1] } else { None };
        if goes_on {
            last[place] = last[place + 1];
        }
        reaches[place] = file.reach().max(rest);
    }
    (reaches, last)
}

impl Line {
    pub(super) fn timeline<'a>(&self, binlogs: &'a [BinlogEntry]) -> Timeline<'a> {
        Timeline { id: self.id.clone(), files: self.files.iter().map(|position| &binlogs[*position]).collect() }
    }

    pub(super) fn place_of(&self, binlogs: &[BinlogEntry], name: &BinlogName) -> Option<usize> {
        self.files.binary_search_by(|position| binlogs[*position].name.cmp(name)).ok()
    }
}

/// Where a file stands in the archive.
pub(super) enum Placed<'a> {
    At { line: &'a Line, place: usize },
    Nowhere,
    Several(usize),
}

impl Catalog {
    pub(super) fn archive(&self) -> &ArchiveIndex {
        self.archive.get_or_init(|| ArchiveIndex::of(&self.binlogs))
    }

    pub(super) fn place(&self, coordinates: &BinlogCoordinates, head: Option<&Digest>) -> Placed<'_> {
        let mut found = self.archive().lines.iter().filter_map(|line| {
            let place = line.place_of(&self.binlogs, &coordinates.file)?;
            let same_head = match (head, self.binlogs[line.files[place]].head.as_ref()) {
                (Some(wanted), Some(held)) => wanted == held,
                _ => true,
            };
            same_head.then_some((line, place))
        });
        match (found.next(), found.count()) {
            (None, _) => Placed::Nowhere,
            (Some((line, place)), 0) => Placed::At { line, place },
            (Some(_), more) => Placed::Several(more + 1),
        }
    }

    /// The gap-free piece of the archive that begins with the file that coordinates name.
    ///
    /// # Errors
    ///
    /// The number of archived files that could be it: none or several.
    pub fn stretch(&self, coordinates: &BinlogCoordinates, head: Option<&Digest>) -> Result<Stretch<'_>, usize> {
        match self.place(coordinates, head) {
            Placed::At { line, place } => Ok(Stretch::new(&self.binlogs, line, place)),
            Placed::Nowhere => Err(0),
            Placed::Several(candidates) => Err(candidates),
        }
    }

    /// The moment up to which gap-free binlogs lead from coordinates; `None` where they are not in the archive, or not in
    /// one place.
    pub fn reach(&self, coordinates: &BinlogCoordinates, head: Option<&Digest>) -> Option<LogTime> {
        self.stretch(coordinates, head).ok()?.reaches()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::{Located, Run},
        model::{BackupId, Lsn},
        store::{BinlogDamage, KeyPart, ManifestEntry, PartialBinlog},
    };
    use std::collections::BTreeSet;

    fn entry(timeline: Option<&str>, number: u32, size: u64) -> BinlogEntry {
        let name: BinlogName = format!("bin.{number:06}").parse().unwrap();
        let at = LogTime::from_seconds(1_759_413_600 + number * 60);
        let stored_as = KeyPart::new(format!("binlog_2025-10-02T14-00Z_{name}_{size}.gz")).unwrap();
        BinlogEntry { timeline: timeline.map(str::to_owned), ..BinlogEntry::basic(name, stored_as, size, at, at) }
    }

    fn catalog(entries: Vec<ManifestEntry>, binlogs: Vec<BinlogEntry>) -> Catalog {
        let commands = vec![None; entries.len()];
        Catalog::from_parts(None, None, entries, &commands, binlogs, BTreeSet::new())
    }

    #[test]
    fn agrees_with_going_through_the_files() {
        let mut partial = entry(Some("b"), 3, 900);
        partial.partial = Some(PartialBinlog { last_good: 100, unknown: Default::default() });
        let mut damaged = entry(Some("b"), 5, 10);
        damaged.damaged = Some(BinlogDamage { what: "cut".into(), last_good: 4, unknown: Default::default() });
        let mut skewed = entry(Some("a"), 2, 10);
        skewed.reaches = Some(LogTime::from_seconds(1_900_000_000));
        let binlogs = vec![
            entry(Some("a"), 1, 10),
            skewed,
            entry(Some("b"), 4, 10),
            // A gap in `a`, and files of `b` that were archived out of order and twice.
            entry(Some("a"), 4, 10),
            entry(Some("b"), 3, 500),
            partial,
            damaged,
            entry(Some("b"), 6, 10),
            entry(None, 8, 10),
            entry(None, 9, 10),
            entry(None, 8, 20),
        ];
        let catalog = catalog(Vec::new(), binlogs);
        let timelines = catalog.timelines();
        let named: Vec<(&str, Vec<(u64, u64)>)> = timelines
            .iter()
            .map(|line| (line.id.as_str(), line.files.iter().map(|file| (file.name.number(), file.size)).collect()))
            .collect();
        assert_eq!(
            named,
            [
                ("a", vec![(1, 10), (2, 10), (4, 10)]),
                ("b", vec![(3, 500), (4, 10), (5, 10), (6, 10)]),
                ("basic-1", vec![(8, 10), (9, 10)]),
                ("basic-2", vec![(8, 20)]),
            ]
        );
        for number in 1..=10 {
            let file = entry(None, number, 0).name;
            let coordinates = BinlogCoordinates { file, position: 4, gtid: None };
            let expected = match catalog.locate(&coordinates, None) {
                Located::At { timeline, index } => Some(timeline.run_from(index)),
                _ => None,
            };
            let stretch = catalog.stretch(&coordinates, None).ok();
            let run = stretch.map(|stretch| Run { files: stretch.files(stretch.count()), end: stretch.end() });
            assert_eq!(run, expected, "{number}");
            assert_eq!(catalog.reach(&coordinates, None), expected.and_then(|run| run.reaches()), "{number}");
        }
        let ambiguous = BinlogCoordinates { file: entry(None, 4, 0).name, position: 4, gtid: None };
        assert_eq!(catalog.locate(&ambiguous, None), Located::Ambiguous { candidates: 2 });
    }

    #[test]
    fn whole_is_what_has_a_chain() {
        let stamp = |minute: u32| format!("2025-10-02T02-{minute:02}Z").parse().unwrap();
        let full = |minute, to| ManifestEntry {
            to_lsn: Some(Lsn(to)),
            ..ManifestEntry::basic(BackupId::full(stamp(minute)), None)
        };
        let incremental = |minute, base, parent, from, to| ManifestEntry {
            parent: Some(stamp(parent)),
            from_lsn: Some(Lsn(from)),
            to_lsn: Some(Lsn(to)),
            ..ManifestEntry::basic(BackupId::incremental(stamp(minute), stamp(base)), None)
        };
        let entries = vec![
            // Recorded before its parent.
            incremental(2, 0, 1, 20, 30),
            full(0, 10),
            incremental(1, 0, 0, 10, 20),
            incremental(3, 0, 2, 31, 40),
            incremental(4, 0, 3, 40, 50),
            incremental(5, 0, 59, 10, 20),
            full(10, 10),
            incremental(11, 10, 0, 10, 20),
            // A ring, and what hangs on it.
            incremental(20, 0, 21, 5, 5),
            incremental(21, 0, 20, 5, 5),
            incremental(22, 0, 21, 5, 5),
        ];
        let catalog = catalog(entries, Vec::new());
        for backup in &catalog.backups {
            assert_eq!(catalog.is_whole(backup.ts()), catalog.chain(backup.ts()).is_ok(), "{}", backup.ts());
        }
        let whole: Vec<String> = catalog
            .backups
            .iter()
            .map(|backup| backup.ts())
            .filter(|ts| catalog.is_whole(*ts))
            .map(|ts| ts.to_string())
            .collect();
        assert_eq!(whole, ["2025-10-02T02-02Z", "2025-10-02T02-00Z", "2025-10-02T02-01Z", "2025-10-02T02-10Z"]);
    }
}
