//! Looks in the server's binlogs for the place that an incremental's parent ended at.

use super::{restored, source};
use crate::{
    binlog,
    catalog::Backup,
    config::Config,
    facts::{Facts, ListedBinlog, PastFact, PastFile},
    model::BinlogCoordinates,
    probe::Probe,
    store::{BinlogEntry, Digest},
};
use std::path::Path;

/// Looks in the server's binlogs for the place that a backup ended at: at the file itself where the server still lists it, else at
/// all that it lists. A file that cannot be read is a fact, and no error. Without an answer of the server nothing is found out.
pub fn past(facts: &mut Facts, config: &Config, archived: &[BinlogEntry], probe: &dyn Probe, parent: &Backup) {
    let Some(Ok(server)) = &facts.server else { return };
    let base = server.log_bin_basename.as_ref().and_then(|base| base.parent()).map(Path::to_owned);
    let dir = config.binlog_source_dir.clone().or(base);
    let listed = &server.binlogs;
    let own = parent.entry.binlog.as_ref().and_then(|end| listed.iter().position(|file| file.name == end.file));
    let mut files: Vec<PastFile> = Vec::new();
    for (place, file) in listed.iter().enumerate().skip(own.unwrap_or(0)) {
        let end = parent.entry.binlog.as_ref().filter(|_| Some(place) == own);
        let mut seen = look_at(probe, dir.as_deref(), file, end);
        let closed = place + 1 < listed.len();
        let proves = own.is_none() && files.iter().all(|file| file.content.is_none());
        let held = |entry: &&BinlogEntry| entry.name == file.name && entry.head.is_some() && entry.head == seen.head;
        if let (true, true, Some(dir), Some(_)) = (closed, proves, &dir, archived.iter().find(held)) {
            seen.content = source::digest_of(probe, &dir.join(file.name.as_str())).ok();
        }
        files.push(seen);
    }
    let device = |path: &Path| probe.filesystem(path).ok().map(|found| found.device);
    let data = restored::data_file(config, server);
    let apart = dir.as_deref().and_then(device).zip(device(&data)).map(|(logs, data)| logs != data);
    facts.past = Some(PastFact { backup: parent.ts(), dir, apart, files });
}

fn look_at(probe: &dyn Probe, dir: Option<&Path>, listed: &ListedBinlog, end: Option<&BinlogCoordinates>) -> PastFile {
    let mut file = PastFile {
        name: listed.name.clone(),
        size: listed.size,
        head: None,
        begun_by_start: None,
        prefix: None,
        content: None,
        problem: None,
    };
    let Some(dir) = dir else {
        file.problem = Some("the directory of the binlogs is not known".into());
        return file;
    };
    let path = dir.join(listed.name.as_str());
    let head = probe.open_file(&path).map(|mut input| binlog::read_head(&mut input));
    match head {
        Ok(Ok(head)) => {
            file.head = head.digest.parse::<Digest>().ok();
            file.begun_by_start = Some(head.created != 0);
        }
        Ok(Err(error)) => file.problem = Some(error.to_string()),
        Err(error) => file.problem = Some(error.to_string()),
    }
    if let (Some(end), Ok(mut input)) = (end, probe.open_file(&path)) {
        file.prefix = binlog::prefix_digest(&mut input, end.position).ok().flatten().and_then(|text| text.parse().ok());
    }
    file
}
