//! What `check` says of the server's binlogs: whether they are written as a restore needs them, and archived in time.

use super::Finding;
use crate::{
    catalog::Catalog,
    facts::{Facts, ServerFacts, SourceBinlog},
    plan::binlogs_not_readable,
};
use chrono::{DateTime, TimeDelta, Utc};
use std::path::PathBuf;

/// A server that purges sooner than this leaves no time to repair a broken shipping, in seconds.
const EXPIRY_FLOOR: u64 = 24 * 3600;

/// Judges how a server writes its binlogs, and whether they can be archived.
pub(super) fn of_binlog(
    facts: &Facts,
    server: &ServerFacts,
    now: DateTime<Utc>,
    catalog: Option<&Catalog>,
    findings: &mut Vec<Finding>,
) {
    if !server.log_bin {
        findings.push(Finding::BinlogOff);
        return;
    }
    let variable = |name: &str| server.variables.get(name).cloned();
    findings.push(Finding::Binlog { format: variable("binlog_format").unwrap_or_default() });
    if variable("binlog_checksum").is_some_and(|value| value.eq_ignore_ascii_case("none")) {
        findings.push(Finding::BinlogChecksumOff);
    }
    if let Some(value) = variable("sync_binlog").filter(|value| value != "1") {
        findings.push(Finding::BinlogNotSynced { value });
    }
    let archived = |file: &SourceBinlog| {
        let head = file.head.as_ref().map(|head| head.digest);
        catalog.is_some_and(|catalog| {
            catalog.binlogs.iter().any(|entry| entry.name == file.name && (entry.head.is_none() || entry.head == head))
        })
    };
    let waiting: Vec<_> = match &facts.source {
        Some(source) => {
            let closed: Vec<_> = source.files.iter().filter(|file| !file.open && !archived(file)).collect();
            findings.push(Finding::BinlogDir { path: source.dir.clone(), waiting: closed.len() });
            closed
        }
        None => {
            let path = server.log_bin_basename.as_ref().and_then(|base| base.parent()).map(PathBuf::from);
            let closed = binlogs_not_readable(facts).map(|refusal| refusal.to_string());
            let problem = closed.unwrap_or_else(|| "it could not be read".into());
            findings.push(Finding::BinlogDirUnreadable { path, problem });
            Vec::new()
        }
    };
    fetching(facts, server, findings);
    let seconds = expiry(server);
    let oldest = waiting.iter().filter_map(|file| file.head.as_ref()).map(|head| head.first_event_time.at()).min();
    let waiting_seconds = oldest.map(|oldest| (now - oldest).num_seconds());
    findings.push(match seconds {
        Some(seconds) => {
            let limit = TimeDelta::seconds(i64::try_from(seconds).unwrap_or(i64::MAX / 1000)).num_seconds() / 2;
            let late = waiting_seconds.filter(|waiting| *waiting > limit);
            match late {
                Some(_) => Finding::ExpiryTooShort { seconds, waiting_seconds: late },
                None if seconds < EXPIRY_FLOOR => Finding::ExpiryTooShort { seconds, waiting_seconds: None },
                None => Finding::Expiry { seconds: Some(seconds) },
            }
        }
        None => Finding::Expiry { seconds: None },
    });
}

/// Whether the server would send its binlogs. Who can read all of its files needs no grant for it.
fn fetching(facts: &Facts, server: &ServerFacts, findings: &mut Vec<Finding>) {
    let missing: Vec<String> = server.grants.missing(&["REPLICATION SLAVE"]).into_iter().map(str::to_owned).collect();
    let here = |file: &SourceBinlog| file.path.is_some() && !file.sealed;
    let readable = facts.source.as_ref().is_some_and(|source| source.files.iter().all(here));
    if missing.is_empty() {
        findings.push(Finding::MayFetch);
    } else if !readable {
        findings.push(Finding::MayNotFetch { missing });
    }
}

/// For how long the server keeps its binlogs; `None`: for ever.
fn expiry(server: &ServerFacts) -> Option<u64> {
    let number = |name: &str| server.variables.get(name)?.parse::<f64>().ok().filter(|value| *value > 0.0);
    let seconds =
        number("binlog_expire_logs_seconds").or_else(|| number("expire_logs_days").map(|days| days * 86400.0));
    seconds.map(|seconds| seconds as u64)
}
