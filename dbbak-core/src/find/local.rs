//! Searches binlogs that are not archived yet, by reading them.

use super::{
    FindError, FindRequest, Found, Hit, Unsearched,
    hit::{Place, tell_apart},
    search::ambiguous_names,
};
use crate::{
    binlog::{self, FileHead},
    catalog::Catalog,
    model::BinlogName,
    probe::Probe,
    store::Digest,
    survey::{LogClock, listed_in},
};
use std::{collections::VecDeque, ops::ControlFlow, path::Path};

/// Where binlogs that are not archived lie, and what is archived.
#[derive(Debug, Clone, Copy)]
pub struct LocalFind<'a> {
    /// The directory.
    pub dir: &'a Path,
    /// The archive, where it can be read: what is in it is not searched again.
    pub catalog: Option<&'a Catalog>,
}

/// Searches the binlogs of a directory that are not archived, or not yet whole.
///
/// # Errors
///
/// When the directory cannot be listed. A file that cannot be read is no error: it stands in [`Found::unsearched`].
pub fn find_local(probe: &dyn Probe, local: &LocalFind<'_>, request: &FindRequest) -> Result<Found, FindError> {
    let mut found = Found::default();
    let limit = request.limit.unwrap_or(usize::MAX);
    let ambiguous = local.catalog.map(ambiguous_names).unwrap_or_default();
    let mut newest: VecDeque<Hit> = VecDeque::new();
    let mut line: Option<(String, LogClock)> = None;
    let mut went_back = false;
    for file in listed_in(probe, local.dir)? {
        let name = file.name;
        let path = local.dir.join(name.as_str());
        let mut input = probe.open_file(&path)?;
        let head = match binlog::read_head(&mut input) {
            Ok(head) => head,
            Err(error) => {
                found.unsearched.push(unsearched(&name, &error));
                continue;
            }
        };
        if local.catalog.is_some_and(|catalog| is_archived(catalog, &name, &head, file.size)) {
            continue;
        }
        let (timeline, clock) = line.get_or_insert_with(|| continued(local.catalog, &name));
        let timeline = Some(timeline.as_str()).filter(|id| !id.is_empty());
        if request.timeline.is_some() && request.timeline.as_deref() != timeline {
            continue;
        }
        let numbers = local.catalog.zip(timeline).is_some_and(|(catalog, id)| went_back_in(catalog, id));
        let name_is_ambiguous = ambiguous.contains(&name);
        let place = Place { file: &name, timeline, archived: false, name_is_ambiguous, went_back: numbers };
        let mut input = probe.open_file(&path)?;
        let scanned = binlog::scan(&mut input, &mut |transaction| {
            let time = clock.time_of(&transaction.time);
            if request.wants(transaction, time.0) {
                found.total += 1;
                if newest.len() == limit {
                    newest.pop_front();
                }
                if limit > 0 {
                    newest.push_back(Hit::new(&place, transaction, time, false));
                }
            }
            ControlFlow::Continue(())
        });
        found.searched += 1;
        match scanned {
            Ok(scan) => {
                went_back |= scan.went_back;
                if let binlog::Ending::Damaged(_) = &scan.ending {
                    let problem =
                        format!("it is damaged, and was searched up to byte {}: {}", scan.good_end, scan.ending);
                    found.unsearched.push(Unsearched { file: name, timeline: None, missing: false, problem });
                }
            }
            Err(error) => found.unsearched.push(unsearched(&name, &error)),
        }
    }
    found.hits = newest.into_iter().rev().collect();
    if went_back {
        found.hits.iter_mut().for_each(|hit| hit.go_by_position(ambiguous.contains(&hit.file)));
    }
    tell_apart(&mut found.hits, &|name| ambiguous.contains(name));
    Ok(found)
}

fn unsearched(name: &BinlogName, error: &dyn std::fmt::Display) -> Unsearched {
    Unsearched { file: name.clone(), timeline: None, missing: false, problem: error.to_string() }
}

/// Whether the archive has the whole of a file.
fn is_archived(catalog: &Catalog, name: &BinlogName, head: &FileHead, size: u64) -> bool {
    let digest: Option<Digest> = head.digest.parse().ok();
    catalog.binlogs.iter().any(|entry| {
        entry.name == *name
            && entry.head.is_some()
            && entry.head == digest
            && entry.partial.is_none()
            && entry.size == size
    })
}

/// Whether numbers went back in a timeline, as far as its files are archived.
fn went_back_in(catalog: &Catalog, timeline: &str) -> bool {
    let timelines = catalog.timelines();
    let mut line = timelines.iter().filter(|line| line.id == timeline).flat_map(|line| &line.files);
    line.any(|entry| entry.went_back())
}

/// The archived timeline that a file seems to continue, and the time at its end: the last one of files with this base
/// name and lower numbers. For the times that are shown alone, which are lower bounds.
fn continued(catalog: Option<&Catalog>, name: &BinlogName) -> (String, LogClock) {
    let mut clock = LogClock::default();
    let Some(catalog) = catalog else { return (String::new(), clock) };
    let timelines = catalog.timelines();
    let fits = timelines.iter().rev().find(|timeline| {
        timeline.files.last().is_some_and(|last| last.name.base() == name.base() && last.name.number() <= name.number())
    });
    let Some(timeline) = fits else { return (String::new(), clock) };
    for entry in timeline.files.iter().filter(|entry| entry.name < *name) {
        super::search::see_file(&mut clock, entry);
    }
    (timeline.id.clone(), clock)
}
