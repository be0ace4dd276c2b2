//! An index over the archived binlogs, made once for each catalog: the questions of ten thousand backups about a hundred
//! thousand files must not each go through all the files.

use super::{Catalog, Continuity, Finding, Stretch, Timeline, continuity, timeline::BasicTimelines};
use crate::{
    model::{BinlogCoordinates, BinlogName, LogTime},
    store::{BinlogEntry, Digest},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

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
    /// For each file the time of the newest transaction in it and in the rest of its gap-free run.
    pub(super) newest: Vec<Option<LogTime>>,
    /// For each file the time of the newest transaction in all files before it.
    pub(super) newest_before: Vec<Option<LogTime>>,
    /// What is to be told of a file and the next one, by the first's place; most have nothing.
    pub(super) told: BTreeMap<usize, Finding>,
    /// Other copies of a file: places in `Catalog::binlogs`, by the file's place, and whether their content differs.
    pub(super) copies: BTreeMap<usize, Copies>,
}

/// Other copies of a file in its timeline.
#[derive(Debug, Clone, Default)]
pub(super) struct Copies {
    pub(super) others: Vec<usize>,
    /// Whether one of them is another file: nobody can tell which one belongs here.
    pub(super) contested: bool,
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
            let copies = sort_files(binlogs, &mut files);
            let none = || vec![None; files.len()];
            let (reach, newest, newest_before) = (none(), none(), none());
            let (last, told) = ((0..files.len()).collect(), BTreeMap::new());
            let mut line = Line { id, reach, last, newest, newest_before, told, copies, files };
            line.find_runs(binlogs);
            line
        };
        ArchiveIndex { lines: lines.into_iter().map(line).collect() }
    }
}

/// Orders files by name, each name once: of two copies of one file the more complete one counts, else the later one.
/// Returns the others.
fn sort_files(binlogs: &[BinlogEntry], files: &mut Vec<usize>) -> BTreeMap<usize, Copies> {
    let mut copies: BTreeMap<usize, Copies> = BTreeMap::new();
    // They were archived in order, nearly always.
    if files.is_sorted_by(|one, next| binlogs[*one].name < binlogs[*next].name) {
        return copies;
    }
    files.sort_by(|one, other| {
        let key = |place: &usize| (&binlogs[*place].name, Reverse(binlogs[*place].good_bytes()), Reverse(*place));
        key(one).cmp(&key(other))
    });
    let mut kept: Vec<usize> = Vec::with_capacity(files.len());
    for place in files.drain(..) {
        match kept.last() {
            Some(last) if binlogs[*last].name == binlogs[place].name => {
                let held = copies.entry(kept.len() - 1).or_default();
                held.contested |= is_other_file(&binlogs[*last], &binlogs[place]);
                held.others.push(place);
            }
            _ => kept.push(place),
        }
    }
    *files = kept;
    copies
}

/// Whether two files of one name are different files: their heads say so, or two whole files differ.
fn is_other_file(one: &BinlogEntry, other: &BinlogEntry) -> bool {
    let differ =
        |one: &Option<Digest>, other: &Option<Digest>| matches!((one, other), (Some(one), Some(other)) if one != other);
    let whole = |file: &BinlogEntry| file.partial.is_none() && file.damaged.is_none();
    differ(&one.head, &other.head)
        || (whole(one) && whole(other) && (one.size != other.size || differ(&one.digest, &other.digest)))
}

impl Line {
    pub(super) fn timeline<'a>(&self, binlogs: &'a [BinlogEntry]) -> Timeline<'a> {
        Timeline { id: self.id.clone(), files: self.files.iter().map(|position| &binlogs[*position]).collect() }
    }

    /// Finds the gap-free runs, from the last file to the first.
    fn find_runs(&mut self, binlogs: &[BinlogEntry]) {
        for place in 1..self.files.len() {
            let newest = binlogs[self.files[place - 1]].newest_time();
            self.newest_before[place] = self.newest_before[place - 1].max(newest);
        }
        for place in (0..self.files.len()).rev() {
            let file = &binlogs[self.files[place]];
            let goes_on = match self.files.get(place + 1).map(|next| &binlogs[*next]) {
                Some(next) if file.incomplete().is_none() => {
                    let finding = self.contested(binlogs, place).or_else(|| self.contested(binlogs, place + 1));
                    let found = finding.map_or_else(|| continuity(file, next), Continuity::Broken);
                    let follows = !matches!(found, Continuity::Broken(_));
                    if let Continuity::Told(finding) | Continuity::Broken(finding) = found {
                        self.told.insert(place, finding);
                    }
                    follows
                }
                _ => false,
            };
            let rest = if goes_on { self.reach[place + 1] } else { None };
            if goes_on {
                self.last[place] = self.last[place + 1];
            }
            self.reach[place] = file.reach().max(rest);
            let newest = if goes_on { self.newest[place + 1] } else { None };
            self.newest[place] = file.newest_time().max(newest);
        }
    }

    /// That a file's name is also that of another file in this timeline.
    pub(super) fn contested(&self, binlogs: &[BinlogEntry], place: usize) -> Option<Finding> {
        let copies = self.copies.get(&place).filter(|copies| copies.contested)?;
        let all = self.files.get(place).into_iter().chain(&copies.others);
        let stored = all.map(|file| binlogs[*file].stored_as.to_string()).collect();
        Some(Finding::SameNameOtherContent { file: binlogs[self.files[place]].name.clone(), stored })
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
        let found: Vec<(&Line, usize)> = found.by_ref().collect();
        // A file of the same name, and of the same head or an unknown one, in the same timeline.
        let twin = |(line, place): &(&Line, usize)| {
            let copies = line.copies.get(place).filter(|copies| copies.contested);
            let may_be_meant = |other: &&usize| match (head, self.binlogs[**other].head.as_ref()) {
                (Some(wanted), Some(held)) => wanted == held,
                _ => true,
            };
            copies.map_or(0, |copies| copies.others.iter().filter(may_be_meant).count())
        };
        let twins: usize = found.iter().map(twin).sum();
        match (found.first().copied(), (found.len() + twins).saturating_sub(1)) {
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
