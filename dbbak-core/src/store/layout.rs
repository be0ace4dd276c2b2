//! The one place that knows where things lie in a store.
//!
//! `docs/store-format.md` describes the tree. Everything here is a name: nothing is looked at.

use super::{Digest, KeyError, KeyPart, LockScope, StoreKey};
use crate::model::{BackupId, BinlogName, Stamp};
use std::str::FromStr;
use uuid::Uuid;

/// Added to the name of a file that is replaced: its previous generation.
const PREVIOUS: &str = ".prev";
/// Added to a stored binlog's name: its transaction index.
const TRANSACTIONS: &str = ".tx";
/// What the NFS client calls a removed file that someone still has open.
const NFS_LEFTOVER: &str = ".nfs";
/// The directories that are reserved: what lies in them is no orphan.
const RESERVED: [(&str, Reserved); 4] =
    [("locks", Reserved::Locks), ("logs", Reserved::Logs), ("history", Reserved::History), ("tmp", Reserved::Staged)];

/// A key from text that is known to be one.
fn known(text: impl Into<String>) -> StoreKey {
    StoreKey::new(text).expect("the layout's own names are store keys")
}

fn below(directory: &StoreKey, text: &str) -> StoreKey {
    directory.join(&known(text))
}

/// The store's own file: its format, its id, and what a program must know to read or write it.
pub fn store_file() -> StoreKey {
    known("dbbak.json")
}

/// The list of backups. A backup exists when it stands here.
pub fn manifest() -> StoreKey {
    known("manifest.json")
}

/// The directory of a backup.
pub fn backup(id: &BackupId) -> StoreKey {
    known(id.to_string())
}

/// The tree that the backup tool wrote.
pub fn raw(id: &BackupId) -> StoreKey {
    below(&backup(id), "raw")
}

/// A full's copy prepared by redo alone, which still takes incrementals.
pub fn prepared_redo(id: &BackupId) -> StoreKey {
    below(&backup(id), "prepared-redo")
}

/// A full's copy prepared to the end, which a server can start on.
pub fn prepared_final(id: &BackupId) -> StoreKey {
    below(&backup(id), "prepared-final")
}

/// The directory of what was recorded of the server beside its data.
pub fn server(id: &BackupId) -> StoreKey {
    below(&backup(id), "server")
}

/// The server's variables at the time of the backup.
pub fn server_variables(id: &BackupId) -> StoreKey {
    below(&server(id), "variables.json")
}

/// The numbers of the tablespaces that the server had when the backup had ended.
pub fn server_tablespaces(id: &BackupId) -> StoreKey {
    below(&server(id), "tablespaces.json")
}

/// The tables that had lost their tablespace on the server when it was backed up.
pub fn server_broken(id: &BackupId) -> StoreKey {
    below(&server(id), "broken.json")
}

/// What stood on the server when it was backed up and is in none of its files.
pub fn server_standing(id: &BackupId) -> StoreKey {
    below(&server(id), "standing.json")
}

/// The copy of one of the server's option files.
pub fn server_option_file(id: &BackupId, name: &KeyPart) -> StoreKey {
    server(id).child(name)
}

/// The list of a backup's files with their digests.
pub fn files(id: &BackupId) -> StoreKey {
    below(&backup(id), "files.json")
}

/// The facts about a backup.
pub fn meta(id: &BackupId) -> StoreKey {
    below(&backup(id), "meta.json")
}

/// The directory of the archived binlogs.
pub fn binlogs() -> StoreKey {
    known("binlogs")
}

/// The index of the archived binlogs: the newest entries, and the names of the segments with the older ones.
pub fn binlog_index() -> StoreKey {
    known("binlogs/index.json")
}

/// The directory of the index's segments.
pub fn binlog_segments() -> StoreKey {
    known("binlogs/index")
}

/// A segment of the index.
pub fn binlog_segment(name: &KeyPart) -> StoreKey {
    binlog_segments().child(name)
}

/// The name of the segment with this number and content. The digest keeps a segment that replaces another from taking
/// its name, since the previous generation of the index still names that.
pub fn segment_name(number: u64, content: &Digest) -> KeyPart {
    KeyPart::new(format!("{number:06}-{}.json", content.short())).expect("digits are a name")
}

/// An archived binlog.
pub fn binlog(stored_as: &KeyPart) -> StoreKey {
    binlogs().child(stored_as)
}

/// The transaction index of an archived binlog.
pub fn transactions(stored_as: &KeyPart) -> StoreKey {
    binlog(stored_as).with_suffix(TRANSACTIONS)
}

/// The previous generation of a file that is replaced.
pub fn previous(key: &StoreKey) -> StoreKey {
    key.with_suffix(PREVIOUS)
}

/// The directory of the lock files.
pub fn locks() -> StoreKey {
    known("locks")
}

/// The file of a lock. A read lease has a file of its own for each owner.
pub fn lock(scope: LockScope, owner: Uuid) -> StoreKey {
    match scope {
        LockScope::Read => below(&locks(), &format!("read-{owner}.json")),
        LockScope::Backups | LockScope::Binlogs | LockScope::Prune => below(&locks(), &format!("{scope}.json")),
    }
}

/// A file of no meaning, given up where a full store is pruned: room for the locks.
pub fn reserve() -> StoreKey {
    below(&history(), "reserve")
}

/// Whether a place is the file of a read lease.
pub fn is_read_lease(key: &StoreKey) -> bool {
    key.parent() == Some(locks())
        && key.file_name().is_some_and(|name| name.starts_with("read-") && name.ends_with(".json"))
}

/// The file in which a lock's owner says that it lives, and which processes it has running.
pub fn heartbeat(owner: Uuid) -> StoreKey {
    below(&locks(), &format!("heartbeat-{owner}.json"))
}

/// The file that whoever takes over from a dead owner creates first.
pub fn takeover(dead: Uuid) -> StoreKey {
    below(&locks(), &format!("takeover-{dead}.json"))
}

/// The directory of the logs of past runs.
pub fn logs() -> StoreKey {
    known("logs")
}

/// The log of a run, or of one of its tools.
pub fn log(name: &KeyPart) -> StoreKey {
    logs().child(name)
}

/// The directory of the records of past runs.
pub fn history() -> StoreKey {
    known("history")
}

/// The record of a run.
pub fn history_record(name: &KeyPart) -> StoreKey {
    history().child(name)
}

/// The directory of files on their way to their names, and of trees on their way out.
pub fn tmp() -> StoreKey {
    known("tmp")
}

/// A file on its way to its name.
pub fn staged(id: Uuid) -> StoreKey {
    below(&tmp(), &format!("staged-{id}"))
}

/// A tree on its way out.
pub fn removed(id: Uuid) -> StoreKey {
    below(&tmp(), &format!("removed-{id}"))
}

/// What the name of an archived binlog says: `binlog_2025-10-02T14-00Z_mysql-bin.000123.gz`, with eight hex digits of
/// its digest after the original name (`..._mysql-bin.000123_1a2b3c4d.gz`) where other content has the plain name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StoredBinlog {
    /// The stamp of the file's first event.
    pub first: Stamp,
    /// The name that the server gave it.
    pub name: BinlogName,
    /// Eight hex digits of the content's digest, where the plain name was taken.
    pub digest: Option<String>,
    /// How it is coded, outermost last, with the dots: `.gz`; empty for none.
    pub coding: String,
}

/// A name that no archived binlog has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an archived binlog's name, like binlog_2025-10-02T14-00Z_mysql-bin.000123.gz: {text:?}")]
pub struct StoredBinlogError {
    /// The name as it was found.
    pub text: String,
}

impl StoredBinlog {
    /// The name in the store.
    ///
    /// # Errors
    ///
    /// When the name would be too long for a file system.
    pub fn stored_as(&self) -> Result<KeyPart, KeyError> {
        let StoredBinlog { first, name, digest, coding } = self;
        KeyPart::new(match digest {
            None => format!("binlog_{first}_{name}{coding}"),
            Some(digest) => format!("binlog_{first}_{name}_{digest}{coding}"),
        })
    }
}

impl FromStr for StoredBinlog {
    type Err = StoredBinlogError;

    fn from_str(text: &str) -> Result<Self, StoredBinlogError> {
        parse_stored(text).ok_or_else(|| StoredBinlogError { text: text.to_owned() })
    }
}

fn parse_stored(text: &str) -> Option<StoredBinlog> {
    let (first, rest) = text.strip_prefix("binlog_")?.split_once('_')?;
    let first = first.parse().ok()?;
    // The original name ends with its digits; a base name may hold dots, so they are looked for from the end.
    let mut end = rest.len();
    loop {
        let (stem, coding) = rest.split_at(end);
        if let Some((name, digest)) = parse_stem(stem) {
            let coding = coding.to_owned();
            return Some(StoredBinlog { first, name, digest, coding });
        }
        end = stem.rfind('.')?;
    }
}

fn parse_stem(stem: &str) -> Option<(BinlogName, Option<String>)> {
    // `BinlogName` takes the last component of a path; a stored name has none.
    let name = |text: &str| text.parse::<BinlogName>().ok().filter(|name| name.as_str() == text);
    if let Some(name) = name(stem) {
        return Some((name, None));
    }
    let (stem, digest) = stem.rsplit_once('_')?;
    let is_digest = digest.len() == 8 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    Some((name(stem).filter(|_| is_digest)?, Some(digest.to_owned())))
}

/// What a place in a store is, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyClass {
    /// The store's root.
    Root,
    /// The store's own file.
    StoreFile,
    /// The list of backups.
    Manifest,
    /// A backup's directory, or something in it.
    Backup {
        /// Which backup.
        id: BackupId,
        /// Which part of it.
        part: BackupPart,
    },
    /// The directory of the archived binlogs.
    Binlogs,
    /// The index of the archived binlogs.
    BinlogIndex,
    /// The directory of the index's segments.
    BinlogSegments,
    /// A segment of the index.
    BinlogSegment(KeyPart),
    /// An archived binlog.
    Binlog(KeyPart),
    /// The transaction index of the archived binlog of this name.
    Transactions(KeyPart),
    /// The previous generation of a file that is replaced.
    Previous(StoreKey),
    /// A reserved directory, or something in it.
    Reserved(Reserved),
    /// What an NFS client left of a removed file that someone has open; it goes by itself.
    NfsLeftover,
    /// Nothing that the layout knows.
    Unknown,
}

/// A part of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BackupPart {
    /// The backup's directory itself.
    Directory,
    /// The tree that the tool wrote, or something in it.
    Raw,
    /// The copy prepared by redo alone, or something in it.
    PreparedRedo,
    /// The copy prepared to the end, or something in it.
    PreparedFinal,
    /// What was recorded of the server.
    Server,
    /// The list of files.
    Files,
    /// The facts.
    Meta,
    /// Nothing that the layout knows.
    Unknown,
}

/// A reserved directory: what lies in it is no orphan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reserved {
    /// Lock files.
    Locks,
    /// Logs of past runs.
    Logs,
    /// Records of past runs.
    History,
    /// Files on their way to their names, and trees on their way out.
    Staged,
}

/// Says what a place is, by its name alone.
pub fn classify(key: &StoreKey) -> KeyClass {
    let parts: Vec<&str> = key.parts().collect();
    if parts.last().is_some_and(|name| name.starts_with(NFS_LEFTOVER)) {
        return KeyClass::NfsLeftover;
    }
    match parts.as_slice() {
        [] => KeyClass::Root,
        ["dbbak.json"] => KeyClass::StoreFile,
        ["manifest.json"] => KeyClass::Manifest,
        ["dbbak.json.prev"] => KeyClass::Previous(store_file()),
        ["manifest.json.prev"] => KeyClass::Previous(manifest()),
        ["binlogs"] => KeyClass::Binlogs,
        ["binlogs", "index.json"] => KeyClass::BinlogIndex,
        ["binlogs", "index.json.prev"] => KeyClass::Previous(binlog_index()),
        ["binlogs", "index"] => KeyClass::BinlogSegments,
        ["binlogs", "index", name] if name.ends_with(".json") => {
            part(name).map_or(KeyClass::Unknown, KeyClass::BinlogSegment)
        }
        ["binlogs", name] => classify_binlog(name),
        [first, rest @ ..] => {
            if let Some((_, reserved)) = RESERVED.iter().find(|(name, _)| name == first) {
                return KeyClass::Reserved(*reserved);
            }
            match first.parse() {
                Ok(id) => KeyClass::Backup { id, part: classify_part(rest) },
                Err(_) => KeyClass::Unknown,
            }
        }
    }
}

fn part(name: &str) -> Option<KeyPart> {
    KeyPart::new(name).ok()
}

fn classify_binlog(name: &str) -> KeyClass {
    // A `.tx` that is rebuilt is replaced, so it may have a previous generation.
    if let Some(current) = name.strip_suffix(PREVIOUS)
        && current.strip_suffix(TRANSACTIONS).is_some_and(|binlog| parse_stored(binlog).is_some())
    {
        return KeyClass::Previous(below(&binlogs(), current));
    }
    if let Some(binlog) = name.strip_suffix(TRANSACTIONS)
        && parse_stored(binlog).is_some()
    {
        return part(binlog).map_or(KeyClass::Unknown, KeyClass::Transactions);
    }
    match parse_stored(name) {
        Some(_) => part(name).map_or(KeyClass::Unknown, KeyClass::Binlog),
        None => KeyClass::Unknown,
    }
}

fn classify_part(rest: &[&str]) -> BackupPart {
    match rest {
        [] => BackupPart::Directory,
        ["raw", ..] => BackupPart::Raw,
        ["prepared-redo", ..] => BackupPart::PreparedRedo,
        ["prepared-final", ..] => BackupPart::PreparedFinal,
        ["server", ..] => BackupPart::Server,
        ["files.json"] => BackupPart::Files,
        ["meta.json"] => BackupPart::Meta,
        _ => BackupPart::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str) -> KeyClass {
        classify(&text.parse().unwrap())
    }

    #[test]
    fn names_the_documented_tree() {
        let base: Stamp = "2025-10-02T02-00Z".parse().unwrap();
        let id = BackupId::incremental("2025-10-03T02-00Z".parse().unwrap(), base);
        assert_eq!(raw(&id).as_str(), "incr_2025-10-03T02-00Z_from_2025-10-02T02-00Z/raw");
        let id = BackupId::full(base);
        for (key, text) in [
            (prepared_redo(&id), "full_2025-10-02T02-00Z/prepared-redo"),
            (prepared_final(&id), "full_2025-10-02T02-00Z/prepared-final"),
            (server_variables(&id), "full_2025-10-02T02-00Z/server/variables.json"),
            (files(&id), "full_2025-10-02T02-00Z/files.json"),
            (meta(&id), "full_2025-10-02T02-00Z/meta.json"),
            (previous(&binlog_index()), "binlogs/index.json.prev"),
            (lock(LockScope::Prune, Uuid::nil()), "locks/prune.json"),
            (lock(LockScope::Read, Uuid::nil()), "locks/read-00000000-0000-0000-0000-000000000000.json"),
        ] {
            assert_eq!(key.as_str(), text);
        }
    }

    #[test]
    fn reads_stored_binlog_names_back() {
        for text in [
            "binlog_2025-10-02T14-00Z_mysql-bin.000123.gz",
            "binlog_2025-10-02T14-00-37Z_mysql-bin.000123",
            "binlog_2025-10-02T14-00Z_host_a.b-bin.1000000_0123abcd.zst.age",
        ] {
            let stored: StoredBinlog = text.parse().unwrap();
            assert_eq!(stored.stored_as().unwrap().as_str(), text);
        }
        let stored: StoredBinlog = "binlog_2025-10-02T14-00Z_host_a.b-bin.1000000_0123abcd.zst.age".parse().unwrap();
        assert_eq!((stored.name.base(), stored.digest.as_deref()), ("host_a.b-bin", Some("0123abcd")));
        assert_eq!(stored.coding, ".zst.age");
        for text in [
            "binlog_2025-10-02_mysql-bin.000123.gz",
            "binlog_2025-10-02T14-00Z_mysql-bin.gz",
            "binlog_2025-10-02T14-00Z_mysql-bin.000123_0123ABCD.gz",
            "mysql-bin.000123",
        ] {
            assert!(text.parse::<StoredBinlog>().is_err(), "{text}");
        }
    }

    #[test]
    fn knows_every_place_by_its_name() {
        let id = BackupId::full("2025-10-02T02-00Z".parse().unwrap());
        let stored = KeyPart::new("binlog_2025-10-02T14-00Z_mysql-bin.000123.gz").unwrap();
        assert_eq!(class(""), KeyClass::Root);
        for (key, part) in [
            (backup(&id), BackupPart::Directory),
            (raw(&id).join_text("db/t.ibd").unwrap(), BackupPart::Raw),
            (server_variables(&id), BackupPart::Server),
            (files(&id), BackupPart::Files),
            (backup(&id).join_text("else").unwrap(), BackupPart::Unknown),
        ] {
            assert_eq!(classify(&key), KeyClass::Backup { id, part });
        }
        assert_eq!(classify(&binlog(&stored)), KeyClass::Binlog(stored.clone()));
        assert_eq!(classify(&transactions(&stored)), KeyClass::Transactions(stored.clone()));
        assert_eq!(classify(&previous(&transactions(&stored))), KeyClass::Previous(transactions(&stored)));
        assert_eq!(classify(&previous(&manifest())), KeyClass::Previous(manifest()));
        let segment = segment_name(7, &Digest::of(b""));
        assert_eq!(classify(&binlog_segment(&segment)), KeyClass::BinlogSegment(segment));
        assert_eq!(classify(&heartbeat(Uuid::nil())), KeyClass::Reserved(Reserved::Locks));
        assert_eq!(classify(&staged(Uuid::nil())), KeyClass::Reserved(Reserved::Staged));
        assert_eq!(class("binlogs/.nfs0001"), KeyClass::NfsLeftover);
        assert_eq!(class("binlogs/notes.txt"), KeyClass::Unknown);
        assert_eq!(class("lost+found"), KeyClass::Unknown);
    }
}
