//! Looks at the binlogs that could be archived.

use super::{SurveyError, closed};
use crate::{
    binlog::{self, FileHead},
    catalog::Catalog,
    config::Config,
    facts::{Facts, HeadFact, ListedBinlog, SourceBinlog, SourceBinlogs},
    model::BinlogName,
    probe::{PathState, Probe, ProbeError},
    store::Digest,
};
use std::{
    io::{self, Read},
    ops::ControlFlow,
    path::Path,
};

/// Looks at the binlogs that could be archived: those that the server lists, else those in its index file, or, of a dead
/// server, in the directory that was named.
///
/// # Errors
///
/// When the directory, its index file or a binlog cannot be read; where the right to is missing, that is a fact.
pub fn source_binlogs(
    facts: &mut Facts,
    config: &Config,
    catalog: &Catalog,
    probe: &dyn Probe,
    rescue: Option<&Path>,
) -> Result<(), SurveyError> {
    match look_at_all(facts, config, catalog, probe, rescue) {
        Ok(source) => facts.source = source,
        Err(error) => closed::of_binlogs(facts, probe, error)?,
    }
    Ok(())
}

fn look_at_all(
    facts: &Facts,
    config: &Config,
    catalog: &Catalog,
    probe: &dyn Probe,
    rescue: Option<&Path>,
) -> Result<Option<SourceBinlogs>, SurveyError> {
    let listed = match (&facts.server, rescue) {
        (Some(Ok(server)), None) if server.log_bin => {
            let base = server.log_bin_basename.as_ref().and_then(|base| base.parent()).map(Path::to_owned);
            let dir = config.binlog_source_dir.clone().or(base);
            dir.map(|dir| (dir, true, server.binlogs.clone()))
        }
        (Some(Ok(_)), None) => None,
        (_, dir) => match dir.map(Path::to_owned).or_else(|| config.binlog_source_dir.clone()) {
            Some(dir) => {
                let files = listed_in(probe, &dir)?;
                Some((dir, false, files))
            }
            None => None,
        },
    };
    let Some((dir, listed_by_server, listed)) = listed else { return Ok(None) };
    let last = listed.last().map(|file| file.name.clone());
    let mut files = Vec::with_capacity(listed.len());
    for file in listed {
        let open = Some(&file.name) == last.as_ref();
        files.push(look_at(probe, catalog, &dir, file, open, rescue.is_some())?);
    }
    Ok(Some(SourceBinlogs { dir, listed_by_server, files }))
}

/// The binlogs of a directory, without asking a server: in the order of its index file, else of the numbers in the names.
///
/// # Errors
///
/// When the directory or its index file cannot be read.
pub fn listed_in(probe: &dyn Probe, dir: &Path) -> Result<Vec<ListedBinlog>, SurveyError> {
    let names = probe.list_dir(dir)?;
    let index = names.iter().find(|name| name.ends_with(".index") && !name.contains("relay"));
    let mut listed: Vec<BinlogName> = match index {
        Some(index) => index_lines(probe, &dir.join(index))?,
        None => {
            let mut found: Vec<BinlogName> = names.iter().filter_map(|name| name.parse().ok()).collect();
            found.retain(|name| !name.base().contains("relay"));
            found.sort();
            found
        }
    };
    listed.dedup();
    let size = |name: &BinlogName| match probe.path_state(&dir.join(name.as_str())) {
        Ok(PathState::File { size, .. }) => size,
        _ => 0,
    };
    Ok(listed.into_iter().map(|name| ListedBinlog { size: size(&name), name, encrypted: None }).collect())
}

fn index_lines(probe: &dyn Probe, path: &Path) -> Result<Vec<BinlogName>, SurveyError> {
    let mut text = String::new();
    let read = probe.open_file(path)?.read_to_string(&mut text);
    read.map_err(|source| ProbeError::Io { action: "read", path: path.to_owned(), source })?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            line.parse().map_err(|_| SurveyError::IndexLine {
                path: path.to_owned(),
                line: number + 1,
                text: line.to_owned(),
            })
        })
        .collect()
}

fn look_at(
    probe: &dyn Probe,
    catalog: &Catalog,
    dir: &Path,
    listed: ListedBinlog,
    open: bool,
    rescue: bool,
) -> Result<SourceBinlog, SurveyError> {
    let path = dir.join(listed.name.as_str());
    let mut file = SourceBinlog {
        name: listed.name,
        path: None,
        size: listed.size,
        open,
        head: None,
        problem: None,
        sealed: false,
        digest: None,
        good_end: None,
    };
    let PathState::File { size, .. } = probe.path_state(&path)? else { return Ok(file) };
    if !open || rescue {
        file.size = size;
    }
    match read_head(probe, &path) {
        // Purged between the look and the reading: it is listed, and not there.
        Err(error) if is_gone(&error) => return Ok(file),
        Ok(Ok(head)) => file.head = Some(HeadFact::from(&head)),
        Ok(Err(problem)) => {
            file.sealed = problem.is_encrypted();
            file.problem = Some(problem.to_string());
        }
        Err(error) => return Err(error),
    }
    file.path = Some(path.clone());
    // Another file was archived under the name that this one would get, or its head does not tell which file it is.
    let name_taken = catalog
        .binlogs
        .iter()
        .any(|entry| entry.name == file.name && entry.head != file.head.as_ref().map(|head| head.digest));
    if (name_taken || file.head.is_none()) && !open {
        match digest_of(probe, &path) {
            Err(error) if is_gone(&error) => return Ok(SourceBinlog { path: None, ..file }),
            digest => file.digest = Some(digest?),
        }
    }
    if open && rescue && file.head.is_some() {
        file.good_end = Some(good_end(probe, &path)?);
    }
    Ok(file)
}

fn read_head(probe: &dyn Probe, path: &Path) -> Result<Result<FileHead, binlog::BinlogError>, SurveyError> {
    let mut input = probe.open_file(path)?;
    match binlog::read_head(&mut input) {
        Ok(head) => Ok(Ok(head)),
        Err(binlog::BinlogError::Input(source)) => Err(read_error(path, source)),
        Err(error) => Ok(Err(error)),
    }
}

/// The digest of a whole file, its in-use bit taken as clear.
pub(super) fn digest_of(probe: &dyn Probe, path: &Path) -> Result<Digest, SurveyError> {
    const IN_USE_OFFSET: usize = 21;
    let mut input = probe.open_file(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut start = Vec::new();
    input.by_ref().take(64).read_to_end(&mut start).map_err(|source| read_error(path, source))?;
    if let Some(flags) = start.get_mut(IN_USE_OFFSET) {
        *flags &= !1;
    }
    hasher.update(&start);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(Digest::from(hasher.finalize())),
            Ok(count) => {
                hasher.update(&buffer[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(read_error(path, source)),
        }
    }
}

/// The offset after the last whole transaction of the file that a server was writing when it died.
fn good_end(probe: &dyn Probe, path: &Path) -> Result<u64, SurveyError> {
    let mut input = probe.open_file(path)?;
    match binlog::scan(&mut input, &mut |_| ControlFlow::Continue(())) {
        Ok(scan) => Ok(scan.good_end),
        Err(binlog::BinlogError::Input(source)) => Err(read_error(path, source)),
        Err(_) => Ok(0),
    }
}

/// Whether a file could not be read because it is not there.
fn is_gone(error: &SurveyError) -> bool {
    matches!(error, SurveyError::Probe(ProbeError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound)
}

fn read_error(path: &Path, source: io::Error) -> SurveyError {
    ProbeError::Io { action: "read", path: path.to_owned(), source }.into()
}
