//! Where a transaction or a position that is not in the archive would have to be, and what timelines there are.

use crate::{
    catalog::{Catalog, Timeline},
    model::{BinlogName, BinlogPosition, Goal, Gtid, GtidSet, LogTime},
    store::BinlogEntry,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A timeline, as errors name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineSpan {
    /// Its id, which `--timeline` takes.
    pub id: String,
    /// Its first archived file.
    pub first: BinlogName,
    /// Its last archived file.
    pub last: BinlogName,
    /// The stamp of its first event.
    pub from: LogTime,
    /// The moment up to which it reaches.
    pub to: Option<LogTime>,
}

impl TimelineSpan {
    pub(super) fn of(timeline: &Timeline<'_>) -> Option<Self> {
        let (first, last) = (timeline.files.first()?, timeline.files.last()?);
        Some(TimelineSpan {
            id: timeline.id.clone(),
            first: first.name.clone(),
            last: last.name.clone(),
            from: first.first_event_time,
            to: timeline.files.iter().filter_map(|file| file.reach()).max(),
        })
    }

    /// The spans of the timelines that are named, in the archive's order.
    pub(super) fn named(catalog: &Catalog, wanted: impl Fn(&str) -> bool) -> Vec<Self> {
        let timelines = catalog.timelines();
        timelines.iter().filter(|timeline| wanted(&timeline.id)).filter_map(TimelineSpan::of).collect()
    }
}

impl fmt::Display for TimelineSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} to {}, {} UTC", self.id, self.first, self.last, self.from)?;
        match &self.to {
            Some(to) => write!(f, " to {to} UTC"),
            None => Ok(()),
        }
    }
}

/// Where something that is not in the archive would have to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whereabouts {
    /// Before the first archived binlog of the timeline.
    BeforeArchive {
        /// The timeline.
        timeline: String,
        /// Its first file.
        first: BinlogName,
    },
    /// In binlogs that are missing.
    InGap {
        /// The timeline.
        timeline: String,
        /// The last file before the gap.
        after: BinlogName,
        /// The first file after it.
        next: BinlogName,
    },
    /// In the part of a binlog that is damaged or was never archived.
    BehindGoodPart {
        /// The timeline.
        timeline: String,
        /// The file.
        file: BinlogName,
        /// The offset after its last whole transaction.
        last_good: u64,
    },
    /// Nowhere: the binlogs around it are there and lack it.
    Skipped {
        /// The timeline.
        timeline: String,
        /// The file after which it counts as done, or whose end it lies behind.
        file: BinlogName,
        /// Bytes of that file.
        size: u64,
    },
    /// After the end of what is archived.
    BeyondArchive {
        /// The timeline.
        timeline: String,
        /// The end.
        last: BinlogPosition,
    },
    /// The archive knows nothing of it.
    Unknown,
}

impl fmt::Display for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Whereabouts::BeforeArchive { timeline, first } => {
                write!(f, "it would stand before {first}, the first archived binlog (timeline {timeline})")
            }
            Whereabouts::InGap { timeline, after, next } => {
                write!(f, "it would stand in the gap between {after} and {next} (timeline {timeline})")
            }
            Whereabouts::BehindGoodPart { timeline, file, last_good } => {
                write!(
                    f,
                    "it would stand behind byte {last_good} of {file}, up to which that can be used (timeline {timeline})"
                )
            }
            Whereabouts::Skipped { timeline, file, size } => {
                write!(f, "{file} ({size} bytes) would have to hold it, and does not (timeline {timeline})")
            }
            Whereabouts::BeyondArchive { timeline, last } => {
                write!(f, "it would stand behind {last}, the end of the archive (timeline {timeline})")
            }
            Whereabouts::Unknown => f.write_str("no archived binlog knows of it"),
        }
    }
}

/// Where a goal that no timeline has would have to be; of several timelines' answers the most telling one.
pub(super) fn whereabouts(catalog: &Catalog, goal: &Goal, wanted: impl Fn(&str) -> bool) -> Whereabouts {
    let timelines = catalog.timelines();
    let answers = timelines.iter().filter(|timeline| wanted(&timeline.id)).map(|timeline| match goal {
        Goal::After(gtid) | Goal::Before(gtid) => of_gtid(timeline, gtid),
        Goal::Position(position) => of_position(timeline, position),
        Goal::Moment(_) => Whereabouts::Unknown,
    });
    let telling = |answer: &Whereabouts| match answer {
        Whereabouts::InGap { .. } | Whereabouts::BehindGoodPart { .. } => 4,
        Whereabouts::BeforeArchive { .. } => 3,
        Whereabouts::Skipped { .. } => 2,
        Whereabouts::BeyondArchive { .. } => 1,
        Whereabouts::Unknown => 0,
    };
    // Of equal ones that of the newest timeline.
    answers.max_by_key(telling).unwrap_or(Whereabouts::Unknown)
}

fn set(text: Option<&str>) -> Option<GtidSet> {
    text.and_then(|text| text.parse().ok())
}

fn of_gtid(timeline: &Timeline<'_>, gtid: &Gtid) -> Whereabouts {
    let id = timeline.id.clone();
    let before = |file: &BinlogEntry| set(file.gtids_before.as_deref());
    let mut known = false;
    let mut previous: Option<&BinlogEntry> = None;
    for file in &timeline.files {
        let sets = [before(file), set(file.gtids_added.as_deref())];
        known |= sets.iter().flatten().any(|set| knows(set, gtid));
        if sets[0].as_ref().is_some_and(|set| set.contains(gtid)) {
            return match previous {
                None => Whereabouts::BeforeArchive { timeline: id, first: file.name.clone() },
                Some(after) if after.incomplete().is_some() || after.partial.is_some() => Whereabouts::BehindGoodPart {
                    timeline: id,
                    file: after.name.clone(),
                    last_good: after.good_bytes(),
                },
                Some(after) if !after.is_followed_by(file) => {
                    Whereabouts::InGap { timeline: id, after: after.name.clone(), next: file.name.clone() }
                }
                Some(after) => Whereabouts::Skipped { timeline: id, file: after.name.clone(), size: after.size },
            };
        }
        previous = Some(file);
    }
    match timeline.files.last() {
        Some(last) if known && last.incomplete().is_some() => {
            Whereabouts::BehindGoodPart { timeline: id, file: last.name.clone(), last_good: last.good_bytes() }
        }
        Some(last) if known && last.gtids_after().is_some_and(|after| after.contains(gtid)) => {
            Whereabouts::Skipped { timeline: id, file: last.name.clone(), size: last.size }
        }
        Some(last) if known => {
            let last = BinlogPosition { file: last.name.clone(), position: last.good_bytes() };
            Whereabouts::BeyondArchive { timeline: id, last }
        }
        _ => Whereabouts::Unknown,
    }
}

/// Whether a set has any transaction of the server (and tag, or domain) of this one.
fn knows(set: &GtidSet, gtid: &Gtid) -> bool {
    match (set, gtid) {
        (GtidSet::Mysql(set), Gtid::Mysql { uuid, tag, .. }) => {
            set.intervals().any(|(of, tagged, ..)| of == uuid && tagged == tag.as_deref())
        }
        (GtidSet::Mariadb(state), Gtid::Mariadb { domain, server, .. }) => state.last_of(*domain, *server).is_some(),
        _ => false,
    }
}

fn of_position(timeline: &Timeline<'_>, position: &BinlogPosition) -> Whereabouts {
    let id = timeline.id.clone();
    let name = &position.file;
    let (Some(first), Some(last)) = (timeline.files.first(), timeline.files.last()) else {
        return Whereabouts::Unknown;
    };
    if first.name.base() != name.base() && last.name.base() != name.base() {
        return Whereabouts::Unknown;
    }
    if let Some(file) = timeline.files.iter().find(|file| file.name == *name) {
        let good = file.good_bytes();
        return if file.incomplete().is_some() || file.partial.is_some() {
            Whereabouts::BehindGoodPart { timeline: id, file: name.clone(), last_good: good }
        } else if file.name == last.name {
            Whereabouts::BeyondArchive { timeline: id, last: BinlogPosition { file: name.clone(), position: good } }
        } else {
            Whereabouts::Skipped { timeline: id, file: name.clone(), size: file.size }
        };
    }
    if *name < first.name {
        return Whereabouts::BeforeArchive { timeline: id, first: first.name.clone() };
    }
    let after = timeline.files.iter().rev().find(|file| file.name < *name);
    let next = timeline.files.iter().find(|file| file.name > *name);
    match (after, next) {
        (Some(after), Some(next)) => {
            Whereabouts::InGap { timeline: id, after: after.name.clone(), next: next.name.clone() }
        }
        _ => {
            let end = BinlogPosition { file: last.name.clone(), position: last.good_bytes() };
            Whereabouts::BeyondArchive { timeline: id, last: end }
        }
    }
}
