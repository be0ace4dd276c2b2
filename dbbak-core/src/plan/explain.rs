//! Says why a restore is as it is, and what its user must know.

use super::{Aim, NoReplay, Plan, Selection, whereabouts::TimelineSpan, words::utc};
use crate::{
    catalog::{Catalog, RunEnd},
    config::Config,
    facts::EdgeFact,
    model::Goal,
};

/// What a restore aims at, in words.
pub(super) fn describe_aim(aim: &Aim) -> String {
    match aim {
        Aim::Moment { at, asked: Some(_), latest: true } => {
            format!("the latest reachable moment, floored: {}", utc(at))
        }
        Aim::Moment { at, latest: true, .. } => format!("the latest reachable moment: {}", utc(at)),
        Aim::Moment { at, .. } => format!("just before {}", utc(at)),
        Aim::Cut { goal: Goal::After(gtid) } => format!("up to and including transaction {gtid}"),
        Aim::Cut { goal: Goal::Before(gtid) } => format!("just before transaction {gtid}"),
        Aim::Cut { goal: Goal::Position(position) } => format!("up to {position}"),
        Aim::Cut { goal: Goal::Moment(at) } => format!("just before {}", utc(at)),
        Aim::End { timeline, .. } => format!("to the end of the archive (timeline {timeline})"),
        Aim::Backup { ts, .. } => format!("backup {ts} as it is"),
    }
}

/// Adds to a plan what its user must know of the aim, of the backups that were passed over, and of the times.
pub(super) fn explain(
    plan: &mut Plan,
    aim: &Aim,
    selection: &Selection<'_>,
    edges: Option<&EdgeFact>,
    (config, catalog): (&Config, &Catalog),
) {
    explain_aim(plan, aim, selection, (config, catalog));
    for (ts, error) in &selection.passed_over {
        plan.warnings.push(format!("backup {ts} was passed over: {error}"));
    }
    if let Some(edges) = edges {
        explain_times(plan, aim, edges);
    }
}

fn explain_aim(plan: &mut Plan, aim: &Aim, selection: &Selection<'_>, (config, catalog): (&Config, &Catalog)) {
    match aim {
        Aim::Moment { at, asked: Some(asked), latest: false } => plan.reasons.push(format!(
            "{} was floored to {} (pitr_round_minutes: {}); --exact takes it as it stands",
            utc(asked),
            utc(at),
            config.pitr_round_minutes
        )),
        Aim::Moment { at, asked, latest: true } => {
            let reach = asked.as_ref().unwrap_or(at);
            plan.warnings.push(format!(
                "no target was given: the archive reaches up to {}, and this restore lands at {}; --latest lands at its very end",
                utc(reach),
                utc(at)
            ));
        }
        Aim::Backup { ts, why: NoReplay::NotArchived } => {
            let place = selection.chain.last().and_then(|backup| backup.coordinates().ok());
            let file = place.map_or_else(|| "the binlog".to_owned(), |place| place.file.to_string());
            plan.warnings.push(format!(
                "{file}, in which backup {ts} stands, is not in the archive: what is archived of later times cannot be replayed, and the backup is restored as it is"
            ));
        }
        Aim::Backup { ts, why: NoReplay::NothingLater } => {
            plan.warnings.push(format!("the archive holds no binlogs after backup {ts}: it is restored as it is"))
        }
        Aim::End { timeline, asked: false } => {
            let Some(window) = &selection.window else { return };
            plan.warnings.push(format!(
                "no target was given: this restore lands at the end of the archive, {} (timeline {timeline})",
                window.cut
            ));
            let spans = TimelineSpan::named(catalog, |_| true);
            let own = spans.iter().find(|span| span.id == *timeline).and_then(|span| span.to);
            for span in spans.iter().filter(|span| span.to > own) {
                plan.warnings.push(format!("no backup leads to what is archived later ({span})"));
            }
            let backup = selection.chain.last();
            let run = backup.and_then(|backup| super::start::locate(catalog, backup).ok());
            if let Some(RunEnd::Gap { next, .. }) = run.map(|run| run.end()) {
                plan.warnings.push(format!(
                    "binlogs are missing behind {}: {next} and what follows is not replayed",
                    window.cut
                ));
            }
        }
        _ => {}
    }
}

fn explain_times(plan: &mut Plan, aim: &Aim, edges: &EdgeFact) {
    let shown = edges.last_included.iter().chain(&edges.first_excluded);
    let commit_times = shown.clone().all(|transaction| transaction.committed_at);
    if shown.clone().next().is_some() {
        plan.reasons.push(match (commit_times, aim) {
            (true, _) => "times of transactions are commit times, of the server that executed them first".into(),
            (false, Aim::Moment { .. }) => {
                "this log holds no commit times: the time of a transaction is the newest event stamp up to it, a lower bound; \
                 --gtid, --before-gtid or --position with a neighbour shown here cuts exactly"
                    .into()
            }
            (false, _) => {
                "this log holds no commit times: the time of a transaction is the newest event stamp up to it, a lower bound"
                    .into()
            }
        });
    }
    if edges.jump_count > 0 {
        let named: Vec<String> = edges
            .jumps
            .iter()
            .map(|jump| {
                let gtid = jump.gtid.as_deref().map(|gtid| format!(" ({gtid})")).unwrap_or_default();
                format!("at {}{gtid} from {} to {}", jump.at, jump.from, jump.to)
            })
            .collect();
        let more = if edges.jump_count > named.len() as u64 { ", ..." } else { "" };
        let from = edges.jumps_from.as_ref().map(|from| format!(", looked for from {from} on")).unwrap_or_default();
        plan.reasons.push(format!(
            "times go back {} in the window{from}: {}{more} (a clock that was set, SET TIMESTAMP, or a statement that ran long)",
            times(edges.jump_count),
            named.join("; ")
        ));
    }
    for late in &edges.earlier {
        let gtid = late.gtid.as_deref().unwrap_or("without GTID");
        plan.warnings.push(format!(
            "transaction {gtid} at {}:{} stands behind the cut, although its {} is {}",
            late.file,
            late.start,
            if late.committed_at { "time" } else { "own stamp" },
            late.own_stamp.unwrap_or(late.time)
        ));
    }
    if edges.earlier_count > edges.earlier.len() as u64
        && let Some(up_to) = &edges.earlier_up_to
    {
        plan.warnings.push(format!(
            "{} transactions up to the end of {up_to} stand behind the cut with an earlier time; the first {} are named",
            edges.earlier_count,
            edges.earlier.len()
        ));
    }
}

fn times(count: u64) -> String {
    match count {
        1 => "once".into(),
        count => format!("{count} times"),
    }
}
