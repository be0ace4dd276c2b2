//! An index over the archived binlogs, made once for each catalog: the questions of ten thousand backups about a hundred
//! thousand files must not each go through all the files.

use super::{Catalog, Timeline, timeline::BasicTimelines};
use crate::{
    model::{BinlogCoordinates, BinlogName, LogTime},
    store::{BinlogEntry, Digest},
};
use std::collections::{BTreeMap, HashMap};

/// The timelines of a catalog's binlogs, by the places of the entries in `Catalog::binlogs`.
#[derive(Debug, Clone, Default)]
pub(super) struct ArchiveIndex {
    pub(super) lines: Vec<Line>,
}

/// One timeline.
#[derive(Debug, Clone)]
pub(super) struct Line {
    id: String,
    /// Its files, ordered by name.
    files: Vec<usize>,
    /// For each file the latest moment that it and the rest of its gap-free run reach.
    reach: Vec<Option<LogTime>>,
}

impl ArchiveIndex {
    pub(super) fn of(binlogs: &[BinlogEntry]) -> Self {
        let mut basic = BasicTimelines::default();
        let mut numbers: HashMap<String, usize> = HashMap::new();
        let mut lines: Vec<(String, BTreeMap<&BinlogName, usize>)> = Vec::new();
        for (position, entry) in binlogs.iter().enumerate() {
            let number = match &entry.timeline {
                Some(id) => numbers.get(id).copied().ok_or_else(|| id.clone()),
                None => {
                    let id = basic.id_of(entry);
                    numbers.get(&id).copied().ok_or(id)
                }
            };
            let number = number.unwrap_or_else(|id| {
                lines.push((id.clone(), BTreeMap::new()));
                numbers.insert(id, lines.len() - 1);
                lines.len() - 1
            });
            let files = &mut lines[number].1;
            // Of two copies of one file the more complete one counts.
            if files.get(&entry.name).is_none_or(|held| binlogs[*held].good_bytes() <= entry.good_bytes()) {
                files.insert(&entry.name, position);
            }
        }
        let line = |(id, files): (String, BTreeMap<&BinlogName, usize>)| {
            let files: Vec<usize> = files.into_values().collect();
            Line { id, reach: reaches(binlogs, &files), files }
        };
        ArchiveIndex { lines: lines.into_iter().map(line).collect() }
    }
}

/// The reach of the gap-free run from each file on, from the last file to the first.
fn reaches(binlogs: &[BinlogEntry], files: &[usize]) -> Vec<Option<LogTime>> {
    let mut reaches = vec![None; files.len()];
    for place in (0..files.len()).rev() {
        let file = &binlogs[files[place]];
        let goes_on = files
            .get(place + 1)
            .is_some_and(|next| file.incomplete().is_none() && file.is_followed_by(&binlogs[*next]));
        let rest = if goes_on { reaches[place + 1] } else { None };
        reaches[place] = file.reach().max(rest);
    }
    reaches
}

impl Line {
    pub(super) fn timeline<'a>(&self, binlogs: &'a [BinlogEntry]) -> Timeline<'a> {
        Timeline { id: self.id.clone(), files: self.files.iter().map(|position| &binlogs[*position]).collect() }
    }

    fn place_of(&self, binlogs: &[BinlogEntry], name: &BinlogName) -> Option<usize> {
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

    /// The moment up to which gap-free binlogs lead from coordinates; `None` where they are not in the archive, or not in
    /// one place.
    pub fn reach(&self, coordinates: &BinlogCoordinates, head: Option<&Digest>) -> Option<LogTime> {
        match self.place(coordinates, head) {
            Placed::At { line, place } => line.reach[place],
            Placed::Nowhere | Placed::Several(_) => None,
        }
    }
}
