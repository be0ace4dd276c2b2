//! Plans the archiving of binlogs.

mod held;

use held::{Archive, Held};

use super::{
    Plan, PlanError, Remedy, Summary,
    backup::{program, server, tool},
    fetch::{Fetching, scratch_parent},
    not_readable,
    request::ShipRequest,
    server_record::server_record,
    step::{ShipBinlog, Step},
};
use crate::{
    catalog::Catalog,
    config::{BinlogCompression, Config},
    facts::Facts,
    model::Stamp,
    store::{BinlogEntry, Codec, LockScope, codec_of, layout},
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
            if let Some(refusal) = not_readable::binlogs(facts) {
                return Err(PlanError::Closed(Box::new(refusal)));
            }
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
        Some(Ok(server)) => Some(server_record(server, facts)),
        _ => None,
    };
    let codec = match (config.compress, config.binlog_compression) {
        (false, _) => Codec::Plain,
        (true, BinlogCompression::Gzip) => Codec::Gzip,
        (true, BinlogCompression::Zstd) => Codec::Zstd,
    };
    let mut archive = Archive::new(catalog, recorded.clone()).with_data(facts, &source.files);
    let rescue = request.rescue.is_some();
    for (place, file) in source.files.iter().enumerate() {
        let last_of_the_dead = rescue && file.open;
        if file.open && !request.flush && !rescue {
            continue;
        }
        let lost = archive.lost(file);
        if lost.is_none() {
            archive.gap_before(&mut plan, file);
            archive.lost_end(&mut plan, file);
            archive.put_back(&mut plan, file);
            archive.gap_inside(&mut plan, file);
        }
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
                // The name tells the coding.
                let codec = lost.and_then(|lost| codec_of(lost).ok()).unwrap_or(codec);
                let entry = match lost {
                    Some(lost) => {
                        plan.reasons.push(format!(
                            "{} was archived, and is no longer in the store (binlogs/{}): it is archived again",
                            file.name, lost.stored_as
                        ));
                        archive.entry_again(file, lost, now)
                    }
                    None => {
                        let data = archive.data_with(&mut plan, place, file);
                        BinlogEntry { data, ..archive.entry(file, recorded.clone(), codec, now)? }
                    }
                };
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
    archive.tell_losses(&mut plan);
    archive.tell_gaps(&mut plan);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        facts::{HeadFact, SourceBinlog, SourceBinlogs},
        model::{BinlogName, LogTime},
        plan::check,
        probe::HostFacts,
        store::{Digest, KeyPart, PartialBinlog},
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
            begun_by_start: None,
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
