//! Plans the archiving of binlogs.

use super::{
    Plan, PlanError, Remedy, Summary,
    backup::{program, server, server_record, tool},
    fetch::{Fetching, scratch_parent},
    origin::{Origin, origin},
    request::ShipRequest,
    step::{ShipBinlog, Step},
};
use crate::{
    catalog::{Catalog, Timeline, same_server},
    config::{BinlogCompression, Config},
    facts::{Facts, HeadFact, SourceBinlog},
    model::{BinlogName, LogTime, Stamp},
    store::{BackedUpServer, BinlogEntry, BinlogSource, Codec, KeyError, KeyPart, LockScope, StoredBinlog, layout},
    survey::client_of,
    tools::{Launch, ToolRole},
};
use chrono::{DateTime, Utc};

/// Plans the archiving of every closed binlog that the archive lacks, oldest first.
///
/// # Errors
///
/// [`PlanError`] when neither the server nor its index file says which binlogs there are.
pub fn plan_ship(
    config: &Config,
    catalog: &Catalog,
    facts: &Facts,
    now: DateTime<Utc>,
    request: &ShipRequest,
) -> Result<Plan, PlanError> {
    let mut fetching = if request.from_server { Some(Fetching::new(config, catalog, facts, now)?) } else { None };
    let source = match (&facts.source, &facts.server) {
        (Some(source), _) => source,
        (None, Some(Ok(server))) if !server.log_bin => return Err(PlanError::NoBinlog),
        (None, Some(Err(problem))) => {
            return Err(PlanError::ServerUnreachable {
                problem: problem.text.clone(),
                access_denied: problem.access_denied,
            });
        }
        (None, _) => {
            return Err(PlanError::BinlogDirUnknown { problem: "set binlog_source_dir".into() });
        }
    };
    let mut plan = Plan::new("ship-binlogs", now);
    plan.locks = vec![LockScope::Binlogs];
    if request.flush {
        server(facts)?;
        let (client, _) = tool(facts, ToolRole::Client)?;
        let command = client_of(config, program(client)?).flush_binary_logs()?;
        let log = catalog.logs_dir().join(format!("flush-{}.log", Stamp::to_the_second(now)));
        plan.steps.push(Step::FlushBinlogs { launch: Launch { command, log } });
    }
    if !source.listed_by_server {
        plan.reasons.push(format!("the server was not asked: the files are those in {}", source.dir.display()));
    }
    let recorded = match &facts.server {
        Some(Ok(server)) => Some(server_record(server)),
        _ => None,
    };
    let codec = match (config.compress, config.binlog_compression) {
        (false, _) => Codec::Plain,
        (true, BinlogCompression::Gzip) => Codec::Gzip,
        (true, BinlogCompression::Zstd) => Codec::Zstd,
    };
    let mut archive = Archive::new(catalog, recorded.clone());
    let rescue = request.rescue.is_some();
    for file in &source.files {
        let last_of_the_dead = rescue && file.open;
        if file.open && !request.flush && !rescue {
            continue;
        }
        archive.gap_before(&mut plan, file);
        archive.lost_end(&mut plan, file);
        archive.gap_inside(&mut plan, file);
        let fetched = fetching.as_ref().map(|fetching| fetching.path(file));
        let Some(path) = fetched.or_else(|| file.path.clone()) else {
            remedy(&mut plan, Remedy::FetchFromServer);
            plan.incomplete.push(format!(
                "binlog {} is listed by the server, but is not in {}",
                file.name,
                source.dir.display()
            ));
            continue;
        };
        match archive.held(file) {
            Held::Whole(timeline) => archive.passed(file, timeline),
            held @ (Held::No | Held::Part(_)) => {
                if let Held::Part(timeline) = held {
                    archive.passed(file, timeline);
                }
                // One that cannot be read is kept as it is, marked.
                let bytes = last_of_the_dead.then(|| file.good_end.unwrap_or(file.size));
                let entry = archive.entry(file, recorded.clone(), codec, now)?;
                if let Some(problem) = &file.problem {
                    let what = if file.sealed { "can be read by its server alone" } else { "is damaged" };
                    plan.incomplete.push(format!("binlog {} {what}: {problem}", file.name));
                    if file.sealed && !rescue {
                        remedy(&mut plan, Remedy::FetchFromServer);
                    }
                }
                if let Some(fetching) = &mut fetching {
                    fetching.fetch(&mut plan, facts, file)?;
                }
                if last_of_the_dead {
                    plan.reasons.push(format!(
                        "{} was open when the server died: its whole transactions end at byte {}",
                        file.name,
                        file.good_end.unwrap_or(0)
                    ));
                }
                plan.steps.push(Step::ShipBinlog(Box::new(ShipBinlog {
                    from: path,
                    to: layout::binlog(&entry.stored_as),
                    index_to: layout::transactions(&entry.stored_as),
                    bytes,
                    codec,
                    threads: config.parallel,
                    head: file.head.as_ref().map(|head| head.digest),
                    open: file.open,
                    partial: last_of_the_dead,
                    entry,
                })));
                if let Some(fetching) = &fetching {
                    fetching.drop_copy(&mut plan, file);
                }
            }
        }
    }
    if let Some(fetching) = fetching {
        fetching.end(&mut plan);
    }
    let files = plan.steps.iter().filter(|step| matches!(step, Step::ShipBinlog(_))).count();
    plan.summary = Summary::Ship { files, bytes: archive.bytes };
    plan.scratch = Some(scratch_parent(config, catalog));
    plan.bind(catalog);
    Ok(plan)
}

fn remedy(plan: &mut Plan, remedy: Remedy) {
    if !plan.remedies.contains(&remedy) {
        plan.remedies.push(remedy);
    }
}

/// What the archive holds, and what this run adds to it.
struct Archive<'a> {
    catalog: &'a Catalog,
    taken_names: std::collections::BTreeSet<KeyPart>,
    /// The timeline and the name of the file before, once one is known.
    previous: Option<(String, BinlogName)>,
    new_timeline: Option<String>,
    /// The server that is asked.
    server: Option<BackedUpServer>,
    first: bool,
    bytes: u64,
}

enum Held {
    No,
    /// Archived before it was whole, in this timeline.
    Part(String),
    Whole(String),
}

impl<'a> Archive<'a> {
    fn new(catalog: &'a Catalog, server: Option<BackedUpServer>) -> Self {
        let taken_names = catalog.binlogs.iter().map(|entry| entry.stored_as.clone()).collect();
        Archive { catalog, taken_names, previous: None, new_timeline: None, server, first: true, bytes: 0 }
    }

    /// Whether a file is archived: the same name and the same first events, or, where these cannot be read, the same
    /// content. What was archived of a file that was still open then is archived again, whole.
    fn held(&self, file: &SourceBinlog) -> Held {
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

    fn passed(&mut self, file: &SourceBinlog, timeline: String) {
        self.previous = Some((timeline, file.name.clone()));
        self.first = false;
    }

    /// Reports what the server purged before it was archived.
    fn gap_before(&mut self, plan: &mut Plan, file: &SourceBinlog) {
        if !self.first || !matches!(self.held(file), Held::No) {
            return;
        }
        let Some((timeline, last)) = self.continued(file) else { return };
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

    /// Reports a hole in the list of the files themselves.
    fn gap_inside(&self, plan: &mut Plan, file: &SourceBinlog) {
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
    fn lost_end(&self, plan: &mut Plan, file: &SourceBinlog) {
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

    fn entry(
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
    match (last.gtids_after(), head.gtids_before.as_deref().map(str::parse::<crate::model::GtidSet>)) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        facts::{SourceBinlog, SourceBinlogs},
        plan::check,
        probe::HostFacts,
        store::{Digest, PartialBinlog},
        tools::Family,
    };
    use std::{collections::BTreeSet, path::PathBuf};

    fn file(number: u32, open: bool, readable: bool) -> SourceBinlog {
        let name: BinlogName = format!("bin.{number:06}").parse().unwrap();
        let head = HeadFact {
            digest: Digest::of(&number.to_le_bytes()),
            first_event_time: LogTime::from_seconds(1000 + number),
            server_id: 1,
            server_version: "10.11.19-MariaDB".into(),
            family: Family::Mariadb,
            gtids_before: None,
        };
        SourceBinlog {
            path: Some(PathBuf::from("/binlogs").join(name.as_str())),
            name,
            size: 500,
            open,
            head: readable.then_some(head),
            problem: (!readable).then(|| "an encrypted binlog".to_owned()),
            sealed: false,
            digest: (!readable).then(|| Digest::of(b"x")),
            good_end: readable.then_some(400),
        }
    }

    fn rescue(files: Vec<SourceBinlog>) -> Plan {
        ship(Vec::new(), files, Some("/binlogs".into()))
    }

    fn ship(archived: Vec<BinlogEntry>, files: Vec<SourceBinlog>, rescue: Option<PathBuf>) -> Plan {
        let config = Config::parse(b"nfs_root: /store", None).unwrap();
        let catalog = Catalog::from_parts(None, Some("/store".into()), Vec::new(), &[], archived, BTreeSet::new());
        let host = HostFacts {
            name: "h".into(),
            utc_offset_seconds: 0,
            time_zone: None,
            root: false,
            uid: None,
            temp_dir: "/tmp".into(),
        };
        let mut facts = Facts::of_host(host);
        facts.source = Some(SourceBinlogs { dir: "/binlogs".into(), listed_by_server: false, files });
        let request = ShipRequest { rescue, ..ShipRequest::default() };
        plan_ship(&config, &catalog, &facts, DateTime::from_timestamp(5000, 0).unwrap(), &request).unwrap()
    }

    #[test]
    fn tells_of_a_hole_in_the_list_itself() {
        let plan = rescue(vec![file(10, false, true), file(12, false, true), file(13, true, true)]);
        let gap = "gap: bin.000011 to bin.000011 are missing between bin.000010 and bin.000012 (timeline t1)";
        assert_eq!(plan.incomplete, [gap]);
        assert_eq!(check(&plan), []);
    }

    #[test]
    fn a_file_that_was_saved_while_it_was_open_goes_on_in_its_timeline() {
        let saved = |number: u32| {
            let file = file(number, false, true);
            let entry = BinlogEntry::basic(
                file.name.clone(),
                KeyPart::new(format!("binlog_2025-10-02T14-00Z_{}.gz", file.name)).unwrap(),
                400,
                LogTime::from_seconds(1000 + number),
                LogTime::from_seconds(2000),
            );
            let partial = PartialBinlog { last_good: 400, unknown: Default::default() };
            BinlogEntry { head: file.head.map(|head| head.digest), partial: Some(partial), ..entry }
        };
        for timeline in [Some("t7".to_owned()), None] {
            let archived = BinlogEntry { timeline: timeline.clone(), ..saved(10) };
            let plan = ship(vec![archived], vec![file(10, false, true), file(11, false, true)], None);
            assert_eq!(plan.incomplete, [] as [String; 0]);
            let timelines = plan.steps.iter().map(|step| match step {
                Step::ShipBinlog(ship) => ship.entry.timeline.clone(),
                other => panic!("{other:?}"),
            });
            let expected = Some(timeline.unwrap_or("basic-1".into()));
            assert_eq!(timelines.collect::<Vec<_>>(), [expected.clone(), expected]);
        }
    }

    /// An encrypted file that was archived as it is, and comes in the clear now.
    #[test]
    fn a_file_that_could_not_be_read_goes_on_in_its_timeline() {
        let damaged = |archived: u32| {
            let file = file(10, false, false);
            let stored = KeyPart::new(format!("binlog_2025-10-02T14-00Z_{}.gz", file.name)).unwrap();
            let at = LogTime::from_seconds(archived);
            BinlogEntry {
                timeline: Some("t7".into()),
                archived_at: Some(at.at()),
                damaged: Some(crate::store::BinlogDamage { what: "encrypted".into(), ..Default::default() }),
                ..BinlogEntry::basic(file.name, stored, 500, at, at)
            }
        };
        let timeline = |archived| {
            let plan = ship(vec![damaged(archived)], vec![file(10, false, true), file(11, false, true)], None);
            let of = |step: &Step| match step {
                Step::ShipBinlog(ship) => ship.entry.timeline.clone().unwrap(),
                other => panic!("{other:?}"),
            };
            plan.steps.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(timeline(2000), ["t7", "t7"]);
        // It was begun after the archived one was archived: another history.
        assert_eq!(timeline(900), ["t2", "t2"]);
    }

    #[test]
    fn keeps_the_last_file_of_a_dead_server_although_it_cannot_be_read() {
        let plan = rescue(vec![file(10, false, true), file(11, true, false)]);
        assert_eq!(plan.incomplete, ["binlog bin.000011 is damaged: an encrypted binlog"]);
        assert_eq!(check(&plan), []);
        assert_eq!(plan.steps.len(), 2);
    }
}
