//! What the archive holds of a server's binlogs, what it lacks, and the entries that a run adds.

use crate::{
    catalog::{Catalog, Finding, Timeline, data_between, same_server},
    facts::{Facts, HeadFact, SourceBinlog},
    model::{BinlogName, LogTime, Lsn, RestoredFact, Stamp},
    plan::{
        Plan, PlanError,
        origin::{Origin, origin},
    },
    store::{
        BackedUpServer, BinlogEnding, BinlogEntry, BinlogSource, Codec, DataState, KeyError, KeyPart, StoredBinlog,
    },
};
use chrono::{DateTime, Utc};

/// What the archive holds, and what this run adds to it.
pub(super) struct Archive<'a> {
    catalog: &'a Catalog,
    taken_names: std::collections::BTreeSet<KeyPart>,
    /// The names of lost files that are archived again.
    again: std::collections::BTreeSet<KeyPart>,
    /// The timeline and the name of the file before, once one is known.
    previous: Option<(String, BinlogName)>,
    new_timeline: Option<String>,
    /// The server that is asked.
    server: Option<BackedUpServer>,
    first: bool,
    data: Data,
    pub(super) bytes: u64,
}

/// What is known of the server's data.
#[derive(Debug, Default)]
struct Data {
    /// As they are now.
    now: Option<DataState>,
    /// The place in the source's list of the file that the server was started with: those before were written with data that nobody saw since.
    start: usize,
    /// As they were with the last file that tells.
    seen: Option<(BinlogName, DataState)>,
}

pub(super) enum Held {
    No,
    /// Archived before it was whole, in this timeline.
    Part(String),
    Whole(String),
}

impl<'a> Archive<'a> {
    pub(super) fn new(catalog: &'a Catalog, server: Option<BackedUpServer>) -> Self {
        let taken_names = catalog.binlogs.iter().map(|entry| entry.stored_as.clone()).collect();
        let again = std::collections::BTreeSet::new();
        Archive {
            catalog,
            taken_names,
            again,
            previous: None,
            new_timeline: None,
            server,
            first: true,
            data: Data::default(),
            bytes: 0,
        }
    }

    /// Takes note of the server's data, and of the file that it was started with.
    pub(super) fn with_data(self, facts: &Facts, files: &[SourceBinlog]) -> Self {
        let Some(Ok(server)) = &facts.server else { return self };
        let begun = |file: &SourceBinlog| file.head.as_ref().and_then(|head| head.begun_by_start) == Some(true);
        let restored = match &facts.restored {
            Some(RestoredFact::By(mark)) => Some(mark.restore),
            _ => None,
        };
        // A server that must not write counts from the beginning (innodb_force_recovery=6, seen on 11.8).
        let forced = server.variables.get("innodb_force_recovery").and_then(|value| value.parse().ok()).unwrap_or(0u32);
        let counts = |lsn: Option<Lsn>| lsn.filter(|_| forced < 6);
        let now = DataState {
            born: facts.data_born,
            lsn: counts(server.lsn),
            started: counts(server.exact_start()),
            restored,
            ..DataState::default()
        };
        let start = files.iter().rposition(begun).unwrap_or(0);
        Archive { data: Data { now: Some(now), start, seen: None }, ..self }
    }

    /// The server's data with a file of the source's list; tells of what happened to them before it.
    pub(super) fn data_with(&mut self, plan: &mut Plan, place: usize, file: &SourceBinlog) -> Option<DataState> {
        // A server that was put back with its log has written its data anew from there, too.
        if self.previous.as_ref().is_some_and(|(timeline, _)| self.is_taken(timeline, file)) {
            self.data.seen = None;
            return if place < self.data.start { None } else { self.data.now.clone() };
        }
        let continued = || self.continued(file).and_then(|(_, last)| Some((last.name.clone(), last.data.clone()?)));
        let seen = self.data.seen.clone().or_else(continued);
        let now =
            if place < self.data.start { seen.as_ref().map(|(_, data)| data.clone()) } else { self.data.now.clone() };
        let before = seen.as_ref().filter(|(name, _)| *name != file.name).map(|(name, data)| (name, Some(data)));
        // With the file that a start has begun, whatever ended the one before.
        let begun = place == self.data.start && file.head.as_ref().and_then(|head| head.begun_by_start) == Some(true);
        let ending = begun.then_some(BinlogEnding::Crashed);
        match before.and_then(|before| data_between(before, ending, (&file.name, now.as_ref()))) {
            Some(finding) if finding.is_gap() => plan.incomplete.push(format!("gap: {finding}")),
            Some(finding) => plan.warnings.push(finding.to_string()),
            None => {}
        }
        self.data.seen = now.clone().map(|now| (file.name.clone(), now)).or(seen);
        now
    }

    /// Whether a file is archived: the same name and the same first events, or, where these cannot be read, the same
    /// content. What was archived of a file that was still open then is archived again, whole.
    pub(super) fn held(&self, file: &SourceBinlog) -> Held {
        let same = |entry: &&BinlogEntry| {
            entry.name == file.name
                && match (&file.head, &entry.head) {
                    // Two resets within one second begin files that only their lengths tell apart.
                    (Some(head), Some(held)) => {
                        let as_long = file.open || entry.partial.is_some() || entry.size == file.size;
                        head.digest == *held && as_long
                    }
                    // A basic store knows no digests: name and first stamp must do.
                    (Some(head), None) => head.first_event_time == entry.first_event_time,
                    (None, _) => file.digest.is_some() && file.digest == entry.digest,
                }
        };
        let longest = self.catalog.binlogs.iter().filter(same).max_by_key(|entry| entry.size);
        match longest {
            // A closed file that was saved while it was open is archived as a closed one: only that proves its end.
            Some(entry)
                if entry.partial.is_none() || (file.open && entry.size >= file.good_end.unwrap_or(file.size)) =>
            {
                Held::Whole(self.timeline_with(entry))
            }
            Some(entry) => Held::Part(self.timeline_with(entry)),
            None => self.held_unread(file).map_or(Held::No, Held::Part),
        }
    }

    /// The entry of a file that was archived, and is no longer in the store.
    pub(super) fn lost(&self, file: &SourceBinlog) -> Option<&'a BinlogEntry> {
        let same = |entry: &&BinlogEntry| {
            entry.name == file.name
                && match (&file.head, &entry.head) {
                    (Some(head), Some(held)) => head.digest == *held,
                    (Some(head), None) => head.first_event_time == entry.first_event_time,
                    (None, _) => file.digest.is_some() && file.digest == entry.digest,
                }
        };
        self.catalog.lost_binlogs.iter().filter(same).max_by_key(|entry| entry.size)
    }

    /// The entry of such a file that is archived again: what told it from others still does.
    pub(super) fn entry_again(&mut self, file: &SourceBinlog, lost: &BinlogEntry, now: DateTime<Utc>) -> BinlogEntry {
        let timeline = lost.timeline.clone().unwrap_or_else(|| self.timeline_of(file));
        let stored_as = lost.stored_as.clone();
        self.taken_names.insert(stored_as.clone());
        self.again.insert(lost.stored_as.clone());
        self.passed(file, timeline.clone());
        self.bytes += file.size;
        BinlogEntry {
            timeline: Some(timeline),
            head: file.head.as_ref().map(|head| head.digest).or(lost.head),
            data: lost.data.clone(),
            source: lost.source.clone(),
            archived_at: Some(now),
            ..BinlogEntry::basic(file.name.clone(), stored_as, file.size, lost.first_event_time, lost.first_event_time)
        }
    }

    /// Tells of the gaps that the archive has, each time until a backup stands behind them.
    pub(super) fn tell_gaps(&self, plan: &mut Plan) {
        let gaps = self.catalog.open_gaps().into_iter();
        let gaps = gaps.filter(|(_, gap)| !matches!(gap, Finding::Lost { .. }));
        plan.incomplete.extend(gaps.map(|(timeline, gap)| format!("gap: {gap} (timeline {timeline})")));
    }

    /// Tells of the archived files that the store lacks, and that this run does not archive again.
    pub(super) fn tell_losses(&self, plan: &mut Plan) {
        let gone = self.catalog.lost_binlogs.iter().filter(|entry| !self.again.contains(&entry.stored_as));
        plan.incomplete.extend(gone.map(|entry| {
            format!(
                "{} was archived, and is no longer in the store (binlogs/{}); it is not among the files that can be archived again",
                entry.name, entry.stored_as
            )
        }));
    }

    /// The timeline in which a file stands that could not be read when it was archived: an encrypted one, which the server
    /// sends in the clear. It was begun before that; a later history's file of this name was not.
    fn held_unread(&self, file: &SourceBinlog) -> Option<String> {
        let head = file.head.as_ref()?;
        let unread = |entry: &&BinlogEntry| {
            entry.name == file.name
                && entry.head.is_none()
                && entry.damaged.as_ref().is_some_and(|damage| damage.last_good == 0)
                && entry.archived_at.is_some_and(|archived| head.first_event_time <= LogTime::from_utc(archived))
        };
        let timeline = self.timeline_with(self.catalog.binlogs.iter().rev().find(unread)?);
        let goes_on = self.previous.as_ref().is_none_or(|(before, _)| *before == timeline);
        goes_on.then_some(timeline)
    }

    /// The timeline of an archived file; those of a basic store name none themselves.
    fn timeline_with(&self, entry: &BinlogEntry) -> String {
        let named = || {
            let timelines = self.catalog.timelines().into_iter();
            let holds = |timeline: &Timeline<'_>| timeline.files.iter().any(|file| file.stored_as == entry.stored_as);
            timelines.into_iter().find(holds).map(|timeline| timeline.id)
        };
        entry.timeline.clone().or_else(named).unwrap_or_default()
    }

    pub(super) fn passed(&mut self, file: &SourceBinlog, timeline: String) {
        let of = |entry: &&BinlogEntry| entry.name == file.name && entry.timeline.as_ref() == Some(&timeline);
        if let Some(data) = self.catalog.binlogs.iter().rev().find(of).and_then(|entry| entry.data.clone()) {
            self.data.seen = Some((file.name.clone(), data));
        }
        self.previous = Some((timeline, file.name.clone()));
        self.first = false;
    }

    /// Reports what the server purged before it was archived.
    pub(super) fn gap_before(&mut self, plan: &mut Plan, file: &SourceBinlog) {
        if !self.first || !matches!(self.held(file), Held::No) {
            return;
        }
        let Some((timeline, last)) = self.continued(file) else { return self.gap_behind_backup(plan, file) };
        if last.name.number() + 1 < file.name.number() {
            let until = file.head.as_ref().map_or("unknown".to_owned(), |head| head.first_event_time.to_string());
            plan.incomplete.push(format!(
                "gap: the server no longer has {} to {} ({} to {until} UTC, timeline {timeline}); they were never archived",
                last.name.successor(),
                predecessor(&file.name),
                last.reach().map_or("unknown".to_owned(), |reach| reach.to_string()),
            ));
        }
    }

    /// Reports what the server purged between a backup and the first file that is archived at all.
    fn gap_behind_backup(&self, plan: &mut Plan, file: &SourceBinlog) {
        let Some(head) = &file.head else { return };
        let source = source_of(head, self.server.clone());
        if let Some(gap) = self.catalog.cut_off_before(&file.name, &source, head.first_event_time) {
            plan.incomplete.push(format!("gap: {gap}"));
        }
    }

    /// Reports a hole in the list of the files themselves.
    pub(super) fn gap_inside(&self, plan: &mut Plan, file: &SourceBinlog) {
        let Some((timeline, previous)) = &self.previous else { return };
        let hole = previous.base() == file.name.base() && previous.number() + 1 < file.name.number();
        if hole && matches!(self.held(file), Held::No) {
            plan.incomplete.push(format!(
                "gap: {} to {} are missing between {previous} and {} (timeline {timeline})",
                previous.successor(),
                predecessor(&file.name),
                file.name
            ));
        }
    }

    /// Reports how a file that continues no archived timeline stands to those that there are: what of them, or before the
    /// file, is not archived, or what proves that nothing is missing.
    pub(super) fn lost_end(&self, plan: &mut Plan, file: &SourceBinlog) {
        if !self.first || !matches!(self.held(file), Held::No) || self.continued(file).is_some() {
            return;
        }
        let Some(head) = &file.head else { return };
        let source = source_of(head, self.server.clone());
        match origin(self.catalog, &file.name, &source, head.gtids_before.as_deref()) {
            Origin::First => {}
            Origin::Proven(reason) => plan.reasons.push(reason),
            Origin::Missing(gap) => plan.incomplete.push(gap),
        }
    }

    /// Tells of a server that goes on from an archived file with another one than the archive has: it was put back.
    pub(super) fn put_back(&self, plan: &mut Plan, file: &SourceBinlog) {
        let Some((timeline, previous)) = self.previous.as_ref().filter(|_| self.new_timeline.is_none()) else { return };
        if previous.base() == file.name.base() && matches!(self.held(file), Held::No) && self.is_taken(timeline, file) {
            plan.warnings.push(format!(
                "another history: the server's {} is another file than the one of that name that was archived (timeline {timeline}): the server \
                 was put back to before it, and what it writes now is no part of that timeline",
                file.name
            ));
        }
    }

    /// The archived timeline that a file continues, with or without a gap, and its last file.
    fn continued(&self, file: &SourceBinlog) -> Option<(String, &'a BinlogEntry)> {
        let timelines = self.catalog.timelines();
        let fits = timelines.iter().rev().find(|timeline| {
            let is_own = |last: &BinlogEntry| self.is_own(last, file);
            timeline
                .files
                .last()
                .is_some_and(|last| last.name.base() == file.name.base() && is_own(last) && continues(last, file))
        })?;
        Some((fits.id.clone(), fits.files.last().copied()?))
    }

    /// Whether an archived file was written by the server that wrote a file: its UUID says so, else its `server_id`.
    fn is_own(&self, archived: &BinlogEntry, file: &SourceBinlog) -> bool {
        match (&archived.source, &file.head) {
            (Some(archived), Some(head)) => same_server(archived, &source_of(head, self.server.clone())) != Some(false),
            _ => true,
        }
    }

    /// The name in the store: with eight digits of the content's digest where other content has the plain one.
    fn stored_as(&mut self, file: &SourceBinlog, first: LogTime, codec: Codec) -> Result<KeyPart, PlanError> {
        let mut stored = StoredBinlog {
            first: Stamp::to_the_minute(first.at()),
            name: file.name.clone(),
            digest: None,
            coding: codec.suffix().to_owned(),
        };
        let named = |stored: &StoredBinlog| {
            let unusable = |error: KeyError| PlanError::StoreUnusable { reason: error.to_string() };
            stored.stored_as().map_err(unusable)
        };
        let plain = named(&stored)?;
        if self.taken_names.insert(plain.clone()) {
            return Ok(plain);
        }
        let digest = file.digest.or(file.head.as_ref().map(|head| head.digest));
        stored.digest = Some(digest.map_or("00000000".into(), |digest| digest.to_string()[..8].to_owned()));
        let marked = named(&stored)?;
        self.taken_names.insert(marked.clone());
        Ok(marked)
    }

    fn timeline_of(&mut self, file: &SourceBinlog) -> String {
        if let Some((timeline, previous)) = &self.previous
            && previous.base() == file.name.base()
            && !self.is_taken(timeline, file)
        {
            return timeline.clone();
        }
        if let Some((timeline, _)) = self.continued(file) {
            return timeline;
        }
        let next = || {
            let known: std::collections::BTreeSet<String> =
                self.catalog.timelines().into_iter().map(|timeline| timeline.id).collect();
            (known.len() + 1..).map(|number| format!("t{number}")).find(|id| !known.contains(id)).unwrap_or_default()
        };
        self.new_timeline.clone().unwrap_or_else(next)
    }

    /// Whether a timeline has another file of this name: the server was set back and has written its log anew from there.
    fn is_taken(&self, timeline: &str, file: &SourceBinlog) -> bool {
        let Some(head) = &file.head else { return false };
        let other =
            |entry: &&BinlogEntry| entry.name == file.name && entry.head.is_some_and(|held| held != head.digest);
        self.catalog.binlogs.iter().filter(other).any(|entry| self.timeline_with(entry) == timeline)
    }

    pub(super) fn entry(
        &mut self,
        file: &SourceBinlog,
        server: Option<BackedUpServer>,
        codec: Codec,
        now: DateTime<Utc>,
    ) -> Result<BinlogEntry, PlanError> {
        let timeline = self.timeline_of(file);
        let first = file.head.as_ref().map_or(LogTime::from_utc(now), |head| head.first_event_time);
        let stored_as = self.stored_as(file, first, codec)?;
        self.new_timeline.get_or_insert_with(|| timeline.clone());
        self.previous = Some((timeline.clone(), file.name.clone()));
        self.first = false;
        self.bytes += file.size;
        let source = file.head.as_ref().map(|head| source_of(head, server));
        Ok(BinlogEntry {
            timeline: Some(timeline),
            head: file.head.as_ref().map(|head| head.digest),
            source,
            archived_at: Some(now),
            ..BinlogEntry::basic(file.name.clone(), stored_as, file.size, first, first)
        })
    }
}

/// Whether a file may come after an archived one in the same history: its number is higher, and it knows the GTIDs that
/// were there before.
fn continues(last: &BinlogEntry, file: &SourceBinlog) -> bool {
    if file.name.number() <= last.name.number() {
        return false;
    }
    let Some(head) = &file.head else { return true };
    match (last.gtids_at_end(), head.gtids_before.as_deref().map(str::parse::<crate::model::GtidSet>)) {
        (Some(known), Some(Ok(before))) => known.is_subset_of(&before),
        _ => head.first_event_time >= last.first_event_time,
    }
}

fn source_of(head: &HeadFact, server: Option<BackedUpServer>) -> BinlogSource {
    let server = server.filter(|server| server.id == Some(head.server_id)).unwrap_or_default();
    BinlogSource {
        server_id: Some(head.server_id),
        uuid: server.uuid,
        version: Some(head.server_version.clone()),
        flavor: server.flavor,
        ..BinlogSource::default()
    }
}

fn predecessor(name: &BinlogName) -> String {
    format!("{}.{:06}", name.base(), name.number().saturating_sub(1))
}
