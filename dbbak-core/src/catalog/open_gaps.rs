//! Gaps that still matter: those behind which no backup stands.

use super::{Backup, Catalog, Finding, archive::Placed, findings::timeline_name, same_server};
use crate::{
    model::{BinlogName, LogTime},
    store::{BinlogEntry, BinlogSource},
};

impl Catalog {
    /// The gaps of the archive that no usable backup stands behind: from the last backup on, not every moment can be reached.
    pub fn open_gaps(&self) -> Vec<(String, Finding)> {
        let whole = self.backups.iter().filter(|backup| self.is_whole(backup.ts()));
        let backups: Vec<&Backup> = whole.filter(|backup| backup.coordinates().is_ok()).collect();
        let is_open = |(timeline, finding): &(String, Finding)| {
            finding.is_gap()
                && self.behind(timeline, finding).is_none_or(|file| {
                    !backups.iter().any(|backup| self.stands_behind(backup, timeline, file, finding))
                })
        };
        self.findings().into_iter().filter(is_open).collect()
    }

    /// The file with which a gap ends: from there on it does not matter to a backup. Of damage inside a file, and of a lost
    /// one, it is that file.
    fn behind(&self, timeline: &str, finding: &Finding) -> Option<&BinlogEntry> {
        let name = match finding {
            Finding::Gap { next, .. }
            | Finding::GtidsMissing { next, .. }
            | Finding::OtherHistory { next, .. }
            | Finding::OtherTimes { next, .. }
            | Finding::DataWentBack { next, .. }
            | Finding::Foreign { next, .. }
            | Finding::BackupCutOff { next, .. }
            | Finding::OpenEnd { next, .. } => next,
            Finding::SameNameOtherContent { file, .. } | Finding::Damaged { file, .. } | Finding::Lost { file, .. } => {
                file
            }
            _ => return None,
        };
        let mut all = self.binlogs.iter().chain(&self.lost_binlogs);
        all.find(|entry| entry.name == *name && timeline_name(entry) == timeline)
    }

    /// Whether a backup stands behind a gap: in its timeline by its place, and elsewhere, or where its place is not archived
    /// yet, by its time too.
    fn stands_behind(&self, backup: &Backup, timeline: &str, file: &BinlogEntry, gap: &Finding) -> bool {
        let Ok(place) = backup.coordinates() else { return false };
        let inside =
            matches!(gap, Finding::SameNameOtherContent { .. } | Finding::Damaged { .. } | Finding::Lost { .. });
        let by_name = place.file.base() == file.name.base()
            && match inside {
                true => place.file.number() > file.name.number(),
                false => place.file.number() >= file.name.number(),
            };
        let later = backup.ended_at >= file.last_event_time.at();
        match self.place(place, backup.entry.binlog_head.as_ref()) {
            Placed::At { line, .. } if line.id == timeline => by_name,
            Placed::At { .. } | Placed::Several(_) => later,
            Placed::Nowhere => by_name && later,
        }
    }

    /// Whether the newest usable backup of a server stands in a file that was never archived, where the archive begins with
    /// another file: what is between them is lost, and no binlog leads on from the backup.
    pub fn cut_off_before(&self, next: &BinlogName, source: &BinlogSource, begins: LogTime) -> Option<Finding> {
        let own = |entry: &&Backup| {
            entry.server().is_none_or(|server| {
                let server =
                    BinlogSource { server_id: server.id, uuid: server.uuid.clone(), ..BinlogSource::default() };
                same_server(&server, source) != Some(false)
            })
        };
        let before = |backup: &&Backup| {
            backup
                .coordinates()
                .is_ok_and(|place| place.file.base() == next.base() && place.file.number() < next.number())
                && backup.ended_at <= begins.at()
        };
        let whole = self.backups.iter().filter(|backup| self.is_whole(backup.ts()));
        let newest = whole.filter(own).filter(before).max_by_key(|backup| (backup.ended_at, backup.ts()))?;
        let place = newest.coordinates().ok()?;
        let nowhere = matches!(self.place(place, newest.entry.binlog_head.as_ref()), Placed::Nowhere);
        nowhere.then(|| Finding::BackupCutOff { backup: newest.ts(), file: place.file.clone(), next: next.clone() })
    }

    /// Backups before the beginnings of timelines.
    pub(super) fn cut_off(&self) -> Vec<(String, Finding)> {
        let first = |line: &super::archive::Line| -> Option<(String, &BinlogEntry)> {
            Some((line.id.clone(), self.binlogs.get(*line.files.first()?)?))
        };
        let firsts = self.archive().lines.iter().filter_map(first);
        let found = firsts.filter_map(|(id, entry)| {
            // The lost file of a backup is told as lost.
            let source = entry.source.clone().unwrap_or_default();
            let finding = self.cut_off_before(&entry.name, &source, entry.first_event_time)?;
            let Finding::BackupCutOff { file, .. } = &finding else { return None };
            let lost = self.lost_binlogs.iter().any(|lost| lost.name == *file);
            (!lost).then_some((id, finding))
        });
        found.collect()
    }
}
