//! Looks at the binlogs of a server through its binlog reader, where their files cannot be read.

use super::SurveyError;
use crate::{
    binlog,
    catalog::Catalog,
    config::Config,
    facts::{Facts, HeadFact, ListedBinlog, SourceBinlog, SourceBinlogs},
    model::BinlogName,
    probe::Probe,
    store::BinlogEntry,
    tools::{Exit, Family, Login, RemoteReader, ToolRole, delivered_size, judge_head_reader, parse_hexdump},
};
use std::path::Path;

/// The binlog reader with the configured login.
pub fn reader_of(config: &Config, program: &Path, family: Family) -> RemoteReader {
    RemoteReader {
        program: program.to_owned(),
        family,
        login: config.mysql_option_file.clone().map_or(Login::Defaults, Login::OptionFile),
        socket: config.server.socket.clone(),
    }
}

/// Looks at the binlogs that a server lists, without reading or writing any file: the first events come through the binlog
/// reader, of the files alone that the archive may lack. Where the server or a fitting reader is missing, nothing is found
/// out, and the planner says why.
///
/// # Errors
///
/// [`SurveyError::Remote`] and [`SurveyError::RemoteHead`] when the server does not deliver a file's first events.
pub fn remote_binlogs(
    facts: &mut Facts,
    config: &Config,
    catalog: &Catalog,
    probe: &dyn Probe,
    flush: bool,
) -> Result<(), SurveyError> {
    let Some(Ok(server)) = &facts.server else { return Ok(()) };
    let family = server.family();
    let tool = facts.tool(ToolRole::BinlogReader);
    let Some((program, version)) = tool.and_then(|tool| Some((tool.path.as_deref()?, tool.version.as_ref()?))) else {
        return Ok(());
    };
    if !server.log_bin || server.binlogs.is_empty() || version.kind.family() != family {
        return Ok(());
    }
    let reader = reader_of(config, program, family);
    let mut known = Known { catalog, timeline: None };
    let mut files = Vec::with_capacity(server.binlogs.len());
    for (place, listed) in server.binlogs.iter().enumerate().rev() {
        let open = place + 1 == server.binlogs.len();
        let size = delivered_size(listed.size, listed.encrypted);
        let head = match known.archived(listed, size).filter(|_| !open) {
            Some(head) => Some(head),
            None if open && !flush => None,
            None => {
                match read_head(probe, &reader, &listed.name) {
                    // Purged since it was listed: the fetching finds the same, and tells it.
                    Err(SurveyError::Remote { source, .. }) if source.is_purged() => None,
                    head => {
                        let head = head?;
                        known.saw(listed, size, &head);
                        Some(head)
                    }
                }
            }
        };
        files.push(SourceBinlog {
            name: listed.name.clone(),
            path: None,
            size,
            open,
            head,
            problem: None,
            sealed: false,
            digest: None,
            good_end: None,
        });
    }
    files.reverse();
    facts.source = Some(SourceBinlogs { dir: Path::new("").into(), listed_by_server: true, files });
    Ok(())
}

/// What the archive is known to hold of the server's list, from the newest file on. A list is one history: once a file of
/// it is found in a timeline of the archive, those before it with the same names and sizes are that timeline's.
struct Known<'a> {
    catalog: &'a Catalog,
    timeline: Option<&'a str>,
}

impl<'a> Known<'a> {
    fn copies<'k>(&'k self, listed: &'k ListedBinlog, size: u64) -> impl Iterator<Item = &'a BinlogEntry> + 'k {
        let whole = move |entry: &&BinlogEntry| {
            entry.name == listed.name && entry.size == size && entry.partial.is_none() && entry.head.is_some()
        };
        self.catalog.binlogs.iter().filter(whole)
    }

    /// What a file's first events say, without a look at them.
    fn archived(&self, listed: &ListedBinlog, size: u64) -> Option<HeadFact> {
        let timeline = self.timeline?;
        let entry = self.copies(listed, size).find(|entry| entry.timeline.as_deref() == Some(timeline))?;
        let source = entry.source.clone().unwrap_or_default();
        Some(HeadFact {
            digest: entry.head?,
            first_event_time: entry.first_event_time,
            server_id: source.server_id?,
            server_version: source.version?,
            family: if source.flavor.as_deref() == Some("mariadb") { Family::Mariadb } else { Family::Mysql },
            gtids_before: entry.gtids_before.clone(),
            begun_by_start: None,
        })
    }

    fn saw(&mut self, listed: &ListedBinlog, size: u64, head: &HeadFact) {
        if self.timeline.is_none() {
            let same = self.copies(listed, size).find(|entry| entry.head == Some(head.digest));
            self.timeline = same.and_then(|entry| entry.timeline.as_deref());
        }
    }
}

fn read_head(probe: &dyn Probe, reader: &RemoteReader, file: &BinlogName) -> Result<HeadFact, SurveyError> {
    let output = probe.query(&reader.head(file)?)?;
    let exit = output.code.map_or(Exit::Signal(0), Exit::Code);
    judge_head_reader(exit, &output.stderr).map_err(|source| SurveyError::Remote { file: file.clone(), source })?;
    let unreadable = |problem: String| SurveyError::RemoteHead { file: file.clone(), problem };
    let bytes = parse_hexdump(&output.stdout).map_err(|error| unreadable(error.to_string()))?;
    let head = binlog::read_head(&mut &bytes[..]).map_err(|error| unreadable(error.to_string()))?;
    Ok(HeadFact::from(&head))
}
