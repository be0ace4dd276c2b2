//! Rules 5, 6 and 7: a replay starts and stops at positions, goes through whole binlogs of one timeline without a hole,
//! and is compared with what it should bring.

use super::{Broken, has, option, plain};
use crate::{
    model::{BinlogName, BinlogPosition},
    plan::{Plan, ReportedSegment, ReportedWindow, Step, Summary, UnpackBinlogs},
    store::BinlogEntry,
};

fn unpacked(plan: &Plan) -> Option<(usize, &UnpackBinlogs)> {
    plan.steps.iter().enumerate().find_map(|(number, step)| match step {
        Step::UnpackBinlogs(unpack) => Some((number, unpack)),
        _ => None,
    })
}

/// Rule 5: batches are the whole window, each file in one of them; one reader of all files has no batches.
fn batches(relay: bool, unpack: &UnpackBinlogs, broken: Broken<'_>) {
    if unpack.batches.is_empty() {
        return;
    }
    if !relay {
        broken(5, "one reader is to read a window that is unpacked in batches".into());
    }
    let mut files = unpack.files.iter();
    for (number, batch) in unpack.batches.iter().enumerate() {
        let sizes: Vec<u64> = files.by_ref().take(batch.files).map(|file| file.size).collect();
        if batch.files == 0 || sizes.len() != batch.files || sizes.iter().sum::<u64>() != batch.bytes {
            broken(5, format!("batch {} is not {} files of {} bytes", number + 1, batch.files, batch.bytes));
        }
    }
    if files.next().is_some() {
        broken(5, "the batches are not the whole window".into());
    }
}

/// Rules 5 and 7: the replay is that of the window, and can be compared with it.
pub(super) fn replay(plan: &Plan, broken: Broken<'_>) {
    let unpacked = unpacked(plan);
    let mut replays = 0;
    for (number, step) in plan.steps.iter().enumerate() {
        let Step::Replay(replay) = step else { continue };
        replays += 1;
        let (reader, from, cut) = (&replay.reader.command, &replay.from, &replay.cut);
        for time in ["--start-datetime", "--stop-datetime"] {
            if plain(reader).any(|text| text.starts_with(time)) {
                broken(5, format!("the replay uses {time}"));
            }
        }
        if option(reader, "--start-position") != Some(from.position.to_string().as_str()) {
            broken(5, format!("the replay does not start at {from}"));
        }
        if !has(reader, "--verify-binlog-checksum") {
            broken(5, "the replay does not verify checksums".into());
        }
        if cut <= from {
            broken(5, format!("the replay ends at {cut}, before it starts at {from}"));
        }
        let Some((_, unpack)) = unpacked.filter(|(unpacked, _)| *unpacked < number) else {
            broken(7, "a replay is compared with nothing".into());
            continue;
        };
        let stop = unpack.stop.map(|stop| stop.to_string());
        if unpack.start != from.position || option(reader, "--stop-position") != stop.as_deref() {
            broken(7, "the replay's span is not that of the window it is compared with".into());
        }
        let copies = unpack.names();
        let names = copies.iter().map(|name| unpack.dir.join(name.as_str()));
        let read: Vec<&str> = plain(reader).filter(|text| !text.starts_with('-')).collect();
        if !names.map(|path| path.display().to_string()).eq(read) {
            broken(5, "the replay does not read the window's files, each once and in order".into());
        }
        if let Some(relay) = &replay.relay {
            let id = relay.server_id.to_string();
            if option(&replay.server.launch.command, "--server-id") != Some(id.as_str()) {
                broken(7, "the private server has another id than the one that is looked for in the logs".into());
            }
            if relay.stop != unpack.stop || relay.binlogs != unpack.dir {
                broken(7, "the applier's span is not that of the window it is compared with".into());
            }
            if !relay.files.iter().eq(&copies) {
                broken(5, "the applier does not get the window's files, each once and in order".into());
            }
        }
        batches(replay.relay.is_some(), unpack, broken);
        let end = unpack.files.last().zip(copies.last()).map(|(last, copy)| BinlogPosition {
            file: copy.clone(),
            position: unpack.stop.unwrap_or(last.good_bytes()),
        });
        if copies.first() != Some(&from.file) || end.as_ref() != Some(cut) {
            broken(5, format!("the window's files do not lead from {from} to {cut}"));
        }
        let log = option(&replay.server.launch.command, "--log-bin").map(std::path::Path::new);
        if log.is_none_or(|log| log.parent() != Some(&replay.server.log_dir)) {
            broken(7, "the private server logs nothing that could be compared".into());
        }
    }
    let Summary::Restore { report } = &plan.summary else { return };
    let coordinates = report.coordinates.as_ref().map(|coordinates| coordinates.place());
    match &report.window {
        None if replays > 0 => broken(5, "binlogs are replayed on a backup that is restored as it is".into()),
        Some(window) if Some(&window.from) != coordinates.as_ref() => {
            broken(5, "the window does not start at the backup's coordinates".into());
        }
        Some(window) if (window.from != window.cut || !window.segments.is_empty()) != (replays == 1) => {
            broken(5, format!("the window is replayed {replays} times"));
        }
        _ => {}
    }
    for step in &plan.steps {
        if let (Step::Replay(replay), Some(window), Some((_, unpack))) = (step, &report.window, unpacked) {
            let file = |copy: &BinlogName| {
                let place = unpack.names().iter().position(|name| name == copy)?;
                Some(unpack.files.get(place)?.name.clone())
            };
            let origin = |at: &BinlogPosition| Some(BinlogPosition { file: file(&at.file)?, ..at.clone() });
            if (origin(&replay.from).as_ref(), origin(&replay.cut).as_ref()) != (Some(&window.from), Some(&window.cut))
            {
                broken(5, "the replay is not that of the report".into());
            }
        }
    }
}

/// Rules 5 and 6: the window's files follow each other on one timeline, or go over from one server's to another's at the
/// place that the report names, and nothing in them is past its last good transaction.
pub(super) fn files(plan: &Plan, broken: Broken<'_>) {
    let Some((_, unpack)) = unpacked(plan) else { return };
    let window = match &plan.summary {
        Summary::Restore { report } => report.window.as_ref(),
        _ => None,
    };
    let segments = window.map_or(&[] as &[ReportedSegment], |window| &window.segments);
    let parts = parts(unpack, segments, broken);
    if let Some(window) = window {
        crossed(unpack, window, broken);
        let timelines: Vec<&String> = match segments {
            [] => vec![&window.timeline],
            segments => segments.iter().map(|segment| &segment.timeline).collect(),
        };
        for (part, timeline) in parts.iter().zip(timelines) {
            let strays = part.iter().filter(|file| file.timeline.as_ref().is_some_and(|own| own != timeline));
            for stray in strays {
                broken(5, format!("{} is of another timeline", stray.name));
            }
        }
    }
    for pair in parts.iter().flat_map(|part| part.windows(2)) {
        let [before, after] = pair else { continue };
        if before.timeline != after.timeline {
            broken(5, format!("{} and {} are of different timelines", before.name, after.name));
        }
        if !before.is_followed_by(after) {
            broken(5, format!("binlogs are missing between {} and {}", before.name, after.name));
        }
        if before.damaged.is_some() {
            broken(6, format!("the window goes through {}, which is damaged", before.name));
        }
    }
    let Some(last) = unpack.files.last() else { return broken(5, "the window has no files".into()) };
    let good = last.good_bytes();
    let whole = last.damaged.is_none() && last.partial.is_none();
    if unpack.stop.map_or(!whole, |stop| stop > good) {
        broken(6, format!("the window ends behind the good part of {}", last.name));
    }
}

/// Rules 5 and 6: what is put back as a server's own history is the window, and ends where the data do.
pub(super) fn history(plan: &Plan, broken: Broken<'_>) {
    for (number, step) in plan.steps.iter().enumerate() {
        let Step::MakeReady(ready) = step else { continue };
        if plan.steps[number..]
            .iter()
            .any(|later| matches!(later, Step::Replay(_) | Step::Examine(_) | Step::CatchUp(_)))
        {
            broken(8, "a server is started on data that are ready to be taken into use".into());
        }
        let Some(history) = &ready.history else { continue };
        let unpacked = unpacked(plan);
        if unpacked.is_none_or(|(_, unpack)| history.files != unpack.files || history.stop != unpack.stop) {
            broken(5, "the binlogs that are put back are not those that were replayed".into());
        }
        if unpacked.is_some_and(|(_, unpack)| !unpack.copies.is_empty()) {
            broken(5, "the binlogs of two servers are put back as the history of one".into());
        }
        if unpacked.is_some_and(|(_, unpack)| !unpack.skip.is_empty()) {
            broken(7, "binlogs are put back that hold what was left out".into());
        }
    }
}

/// Rule 5: a restored server that follows living sources ends nowhere but at their end.
pub(super) fn caught_up(plan: &Plan, broken: Broken<'_>) {
    let Summary::Restore { report } = &plan.summary else { return };
    let follows = plan.steps.iter().any(|step| matches!(step, Step::CatchUp(_)));
    if follows && report.target.is_some() {
        broken(5, "living sources are followed behind a target in the past".into());
    }
}

/// The window's files by their timelines.
fn parts<'a>(unpack: &'a UnpackBinlogs, segments: &[ReportedSegment], broken: Broken<'_>) -> Vec<&'a [BinlogEntry]> {
    if segments.is_empty() {
        return vec![&unpack.files];
    }
    let mut rest = unpack.files.as_slice();
    let mut parts = Vec::new();
    for segment in segments {
        let (part, others) = rest.split_at(segment.files.min(rest.len()));
        if part.len() != segment.files || part.is_empty() {
            broken(5, format!("the part of timeline {} lacks files", segment.timeline));
        }
        parts.push(part);
        rest = others;
    }
    if !rest.is_empty() {
        broken(5, "files of the window are in none of its parts".into());
    }
    parts
}

/// Rule 5: a window goes over to another server's binlogs only at places that were proven the same, and takes nothing behind
/// the one nor before the other.
fn crossed(unpack: &UnpackBinlogs, window: &ReportedWindow, broken: Broken<'_>) {
    let segments = &window.segments;
    if segments.is_empty() != unpack.copies.is_empty() {
        broken(5, "the files are not copied as the window's parts need it".into());
    }
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else { return };
    if segments.len() < 2 || first.from != window.from || last.until != window.cut || last.timeline != window.timeline {
        broken(5, "the window's parts do not lead from its start to its end".into());
    }
    if unpack.copies.len() != unpack.files.len() {
        return broken(5, "not every file of the window has a copy".into());
    }
    let names: std::collections::BTreeSet<&BinlogName> = unpack.copies.iter().map(|copy| &copy.name).collect();
    if names.len() != unpack.copies.len() {
        broken(5, "two files of the window have one copy".into());
    }
    let mut place = 0;
    for (number, segment) in segments.iter().enumerate() {
        let (begin, end) = (place, (place + segment.files).min(unpack.files.len()));
        place = end;
        let inner_last = number + 1 < segments.len();
        for index in begin..end {
            let (copy, file) = (&unpack.copies[index], &unpack.files[index]);
            let enter = (number > 0 && index == begin).then_some(segment.from.position);
            let leave = (inner_last && index + 1 == end).then_some(segment.until.position);
            if copy.enter != enter || copy.leave != leave || copy.trim != (index + 1 != unpack.files.len()) {
                broken(5, format!("{} is not entered or left where its part begins or ends", file.name));
            }
            let bounds = [(index == begin, &segment.from), (index + 1 == end, &segment.until)];
            for (_, at) in bounds
                .iter()
                .filter(|(is_bound, at)| *is_bound && (at.file != file.name || at.position > file.good_bytes()))
            {
                broken(6, format!("{at} is no place in the good part of {}", file.name));
            }
        }
        if number > 0 {
            let proven = segment.gtids_before.as_ref().is_some_and(|gtids| !gtids.is_empty());
            if !proven || segments[number - 1].timeline == segment.timeline {
                broken(
                    5,
                    format!(
                        "nothing proves that timeline {} goes on in {}",
                        segments[number - 1].timeline,
                        segment.timeline
                    ),
                );
            }
        }
    }
}
