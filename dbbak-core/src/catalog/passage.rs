//! Pairs of gap-free pieces of which one may go on in the other, as the index alone tells.

use super::{Backup, Catalog, Stretch, archive::Line, continuity::minus, same_server, stitch::rises};
use crate::{
    facts::CrossingFact,
    model::{BinlogName, BinlogPosition, GtidSet},
    store::{BinlogEntry, BinlogSource},
};

/// A gap-free piece of one server's timeline that may go on in a piece of another server's: the other's log begins with
/// nothing that the first one lacks, and adds something. Where the one goes on in the other, and whether it does at all, is
/// read from the files.
#[derive(Debug, Clone)]
pub struct Passage<'a> {
    /// The piece that goes on.
    pub from: Stretch<'a>,
    /// The piece that it may go on in.
    pub to: Stretch<'a>,
    /// All GTIDs before and in the first piece.
    pub held: GtidSet,
    /// All GTIDs before and in the other piece; `None` where its last file is damaged.
    pub led_to: Option<GtidSet>,
}

/// A piece of a line whose GTIDs are known.
struct Known<'a> {
    piece: Stretch<'a>,
    source: &'a BinlogSource,
    before: GtidSet,
    all: Option<GtidSet>,
}

impl Catalog {
    /// Pairs of gap-free pieces, written by two servers, of which one may go on in the other.
    ///
    /// Timelines of a server that used its GTIDs twice (after a reset) are left out: equal GTIDs prove nothing then.
    pub fn passages(&self) -> Vec<Passage<'_>> {
        let reused = self.reused();
        let is_reused = |line: &Line| reused.iter().any(|(one, other, _)| [one, other].contains(&&line.id));
        let lines = self.archive().lines.iter().filter(|line| !is_reused(line));
        let known: Vec<Known<'_>> = lines.flat_map(|line| self.known_pieces(line)).collect();
        let mut passages = Vec::new();
        for from in &known {
            let Some(held) = from.all.as_ref().filter(|held| !held.is_empty() && rises(held)) else { continue };
            for to in &known {
                let others = same_server(from.source, to.source) == Some(false);
                if !others || !to.before.is_subset_of(held) {
                    continue;
                }
                let adds = to.all.as_ref().is_none_or(|all| minus(all, held).is_some());
                if adds {
                    let (held, led_to) = (held.clone(), to.all.clone());
                    passages.push(Passage { from: from.piece, to: to.piece, held, led_to });
                }
            }
        }
        passages
    }

    /// The gap-free piece that begins with a file of a timeline.
    pub fn stretch_from(&self, timeline: &str, file: &BinlogName) -> Option<Stretch<'_>> {
        let line = self.archive().lines.iter().find(|line| line.id == timeline)?;
        let place = line.place_of(&self.binlogs, file)?;
        Some(Stretch::new(&self.binlogs, line, place))
    }

    fn known_pieces<'a>(&'a self, line: &'a Line) -> Vec<Known<'a>> {
        let mut known = Vec::new();
        let mut place = 0;
        while let Some(end) = line.last.get(place).copied() {
            let piece = Stretch::new(&self.binlogs, line, place);
            let first: &BinlogEntry = &self.binlogs[line.files[place]];
            let last = piece.last();
            let before = first.gtids_before.as_deref().and_then(|text| text.parse::<GtidSet>().ok());
            if let (Some(before), Some(source)) = (before, last.source.as_ref()) {
                // A last file that is damaged held something that nobody knows.
                let all = last.gtids_before.as_ref().and_then(|_| last.gtids_after());
                let all = all.filter(|_| last.incomplete().is_none());
                // Where numbers went back, sets tell nothing of what came before what.
                if rises(&before) && !piece.files(piece.count()).iter().any(|file| file.went_back()) {
                    known.push(Known { piece, source, before, all });
                }
            }
            place = end + 1;
        }
        known
    }
}

impl CrossingFact {
    /// Whether it tells how a gap-free piece goes on.
    pub fn goes_on_from(&self, piece: &Stretch<'_>) -> bool {
        self.from == piece.timeline() && self.last == piece.last().name
    }

    /// The place where a replay from a backup in the piece leaves it: that of the crossing, or the backup's own coordinates
    /// where no transaction stands in between.
    ///
    /// # Errors
    ///
    /// Why the backup does not lead to the other timeline.
    pub fn leads(&self, backup: &Backup, piece: &Stretch<'_>) -> Result<BinlogPosition, String> {
        let place = self.place.as_ref().map_err(String::clone)?;
        let coordinates = backup.coordinates()?;
        let own = coordinates.place();
        if own > (BinlogPosition { position: place.leave_until, ..place.leave.clone() }) {
            let lost = place.left_behind.as_deref();
            let lost = lost.map(|lost| format!("; the other one never had {lost}")).unwrap_or_default();
            return Err(format!(
                "the backup stands at {own}, behind {}, the last place at which both servers had the same{lost}",
                place.leave
            ));
        }
        // The backup's own set must say the same as the log.
        if let Some(text) = &coordinates.gtid {
            let (held, both) = (text.parse::<GtidSet>(), place.gtids.parse::<GtidSet>());
            if !matches!((&held, &both), (Ok(held), Ok(both)) if held.is_subset_of(both)) {
                return Err(format!("the backup holds {text}, which is not within {}", place.gtids));
            }
            let files = piece.files(1);
            let before = files.first().and_then(|file| file.gtids_before.as_deref()?.parse::<GtidSet>().ok());
            let reached = match (&before, &held) {
                (Some(GtidSet::Mariadb(before)), Ok(GtidSet::Mariadb(held))) => before.is_reached_by(held),
                (Some(before), Ok(held)) => before.is_subset_of(held),
                _ => false,
            };
            if !reached {
                let file = &coordinates.file;
                return Err(format!("the backup holds {text}, which is less than what its log says was before {file}"));
            }
        }
        Ok(place.leave.clone().max(own))
    }
}
