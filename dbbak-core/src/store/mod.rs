//! The store of one replication group's backups and binlogs: reading it, locking it, and writing it under a lock.
//!
//! Whoever only reads holds a [`StoreReader`]. The write side exists only on the [`Session`] that [`Store::lock`]
//! returns, and each write first checks that the lock still holds. Contents are streams; only the few small files that
//! are replaced pass through memory. Where things lie is [`layout`]'s knowledge alone.

mod archived;
mod binlog_entry;
mod binlog_index;
mod codec;
mod digest;
mod encryption;
mod error;
mod file_list;
mod key;
pub mod layout;
pub mod local;
mod lock;
mod manifest;
mod mark;
mod meta;
mod salvage;
mod store_file;
mod sum;
pub mod transactions;

pub use archived::{codec_of, open_binlog};
pub use binlog_entry::{
    BinlogDamage, BinlogEnding, BinlogEntry, BinlogSource, DataState, PartialBinlog, TimePrecision,
    TransactionIndexFile,
};
pub use binlog_index::{BinlogIndex, EncodedIndex, SEGMENT_ENTRIES, SegmentRef};
use chrono::{DateTime, Utc};
pub use codec::{Codec, CodecError, Encoder};
pub use digest::{Digest, DigestError, HashingReader, HashingWriter};
pub use encryption::Encryption;
pub use error::{Access, Flaw, Operation, StoreError};
pub use file_list::{EntryKind, FileEntry, FileList};
pub use key::{KeyError, KeyFlaw, KeyPart, StoreKey};
pub use layout::{BackupPart, KeyClass, Reserved, StoredBinlog, StoredBinlogError, classify};
pub use local::LocalStore;
pub use lock::{LockHolder, LockRequest, LockScope, ProcessGroup, covers};
pub use manifest::{BackedUpServer, Manifest, ManifestEntry, PitrState};
pub use mark::{MarkAct, MarkChange};
pub use meta::{BackupMeta, BackupPaths, ToolRecord};
pub use salvage::{
    Salvaged, backup_dirs, binlog_files, described, described_later, salvage_index, salvage_manifest,
    salvage_store_file,
};
use std::{
    fmt::{self, Debug},
    io::{self, Read, Write},
    ops::Range,
    path::{Path, PathBuf},
};
pub use store_file::{FEATURES, FORMAT, StoreFile, sums_of};
pub use sum::Sums;

/// What a store says about one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// The place.
    pub key: StoreKey,
    /// Bytes of content; zero for a directory.
    pub size: u64,
    /// Whether it is a directory (in an object store: a prefix of other keys).
    pub is_prefix: bool,
    /// When the content was last changed, by the store's clock, where it tells. For people; it orders nothing.
    pub modified: Option<DateTime<Utc>>,
}

/// The read side of a store.
pub trait StoreReader: Debug + Send + Sync {
    /// The immediate children of a place, sorted by name. Below a place that is not there is nothing; only the store's
    /// root must exist.
    ///
    /// # Errors
    ///
    /// When the store cannot be read, a child's name is not UTF-8, or `prefix` is a file.
    fn list(&self, prefix: &StoreKey) -> Result<Vec<ObjectInfo>, StoreError>;

    /// The same by their places alone. A store that must look at each child to say more of it does not look here: an
    /// archive may hold a hundred thousand files.
    ///
    /// # Errors
    ///
    /// As [`StoreReader::list`].
    fn list_keys(&self, prefix: &StoreKey) -> Result<Vec<StoreKey>, StoreError> {
        Ok(self.list(prefix)?.into_iter().map(|info| info.key).collect())
    }

    /// What is at a place; `None` when nothing is.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn head(&self, key: &StoreKey) -> Result<Option<ObjectInfo>, StoreError>;

    /// Reads the content at a place, or the part of it that lies in `range` (bytes from its start). A range that ends
    /// past the content is cut. The reader's errors carry a [`StoreError`] (see [`StoreError::from_io`]).
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when nothing is there; others when the store cannot be read.
    fn open(&self, key: &StoreKey, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, StoreError>;

    /// The store as a real directory, which programs such as the backup tools need; object stores have none.
    fn local_dir(&self) -> Option<LocalDir>;

    /// The store in words, for messages: a path or an address without secrets.
    fn describe(&self) -> String;
}

/// A store that can be locked for writing.
pub trait Store: StoreReader {
    /// Takes several locks, all or none, in the order of [`LockScope`]. One scope given twice counts once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`] when someone else holds one and is not provably dead, or has not gone within the
    /// request's wait; [`StoreError::ChildrenAlive`] when a dead holder's children cannot be got rid of;
    /// [`StoreError::ReadOnly`] when no lock can be written.
    fn lock_many(&self, scopes: &[LockScope], request: &LockRequest) -> Result<Box<dyn Session>, StoreError>;

    /// Takes one lock.
    ///
    /// # Errors
    ///
    /// As [`Store::lock_many`].
    fn lock(&self, scope: LockScope, request: &LockRequest) -> Result<Box<dyn Session>, StoreError> {
        self.lock_many(&[scope], request)
    }

    /// Everyone who holds a lock or a read lease, dead or alive, ordered by scope and then by start.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn lock_holders(&self) -> Result<Vec<LockHolder>, StoreError>;

    /// Who holds a lock; of several read leases the oldest.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn lock_holder(&self, scope: LockScope) -> Result<Option<LockHolder>, StoreError> {
        let holders = self.lock_holders()?;
        Ok(holders.into_iter().find(|holder| holder.scope == scope))
    }
}

/// The write side of a store: a guard over the locks it stands on, which it gives back when it goes.
///
/// Each write checks first that the locks still hold ([`StoreError::LeaseLost`]) and that they cover the place
/// ([`StoreError::NotCovered`]): `binlogs/` needs [`LockScope::Binlogs`]; `logs/`, `history/` and `tmp/` need any lock;
/// `locks/` is closed; everything else needs [`LockScope::Backups`]. Missing parent directories are made.
pub trait Session: StoreReader {
    /// What the session's locks cover.
    fn scopes(&self) -> &[LockScope];

    /// Starts a new file, which appears whole under its name when it is committed, and never replaces one.
    ///
    /// # Errors
    ///
    /// [`StoreError::AlreadyExists`] when something is at the place (looked at again by the commit).
    fn publish(&self, key: &StoreKey) -> Result<Box<dyn Publish>, StoreError>;

    /// Replaces a small file at once, if it is still what was read; `None` creates it. The generation before is kept
    /// beside it as `KEY.prev`. Replacing a content with itself changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::VersionConflict`] when the file is not what was expected.
    fn replace(&self, key: &StoreKey, expected: Option<&Version>, bytes: &[u8]) -> Result<Version, StoreError>;

    /// Makes a new, empty directory for a tool to write into and returns its real path.
    ///
    /// # Errors
    ///
    /// [`StoreError::AlreadyExists`] when something is there; [`StoreError::Unsupported`] without a
    /// [`LocalDir`].
    fn create_dir(&self, key: &StoreKey) -> Result<PathBuf, StoreError>;

    /// Forces a whole tree that a tool wrote to the disk: every file, every directory, and the directory's own name.
    ///
    /// # Errors
    ///
    /// The first failure, naming the file; [`StoreError::Unsupported`] without a [`LocalDir`].
    fn sync_tree(&self, key: &StoreKey) -> Result<(), StoreError>;

    /// Gives what a tool has written below a place to the store's owner, where this is root and that is another user. What cannot be given
    /// away stays root's.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`].
    fn settle_owner(&self, _key: &StoreKey) -> Result<(), StoreError> {
        Ok(())
    }

    /// Removes a file; one that is not there counts as removed.
    ///
    /// # Errors
    ///
    /// When it cannot be removed.
    fn remove(&self, key: &StoreKey) -> Result<(), StoreError>;

    /// Removes everything at and below a place, which vanishes at once where the store can do that.
    ///
    /// # Errors
    ///
    /// When something in it cannot be removed.
    fn remove_tree(&self, key: &StoreKey) -> Result<(), StoreError>;

    /// Checks that the locks still hold. Every write does so itself.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`] when one does not.
    fn check_lease(&self) -> Result<(), StoreError>;

    /// Notes process groups that the holder has running now, beside those noted before that still live: whoever takes over
    /// from a dead holder makes sure first that they are gone.
    ///
    /// # Errors
    ///
    /// When the note cannot be written.
    fn note_children(&self, groups: &[ProcessGroup]) -> Result<(), StoreError>;

    /// Gives the locks back. Dropping the session does the same, silently.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`] when a lock was not held any more; others when the lock's file cannot be removed.
    fn release(self: Box<Self>) -> Result<(), StoreError>;
}

/// A new file on its way into a store. Dropped without a commit, it is as if it had never been.
///
/// The writer's errors carry a [`StoreError`] (see [`StoreError::from_io`]).
pub trait Publish: Write + Debug + Send {
    /// Forces the content to the disk and gives it its name, which no other content has.
    ///
    /// # Errors
    ///
    /// [`StoreError::AlreadyExists`] when something took the name meanwhile; [`StoreError::LeaseLost`] when the
    /// session's lock did not last until here.
    fn commit(self: Box<Self>) -> Result<ObjectInfo, StoreError>;

    /// Throws the content away.
    ///
    /// # Errors
    ///
    /// When the staged content cannot be removed.
    fn abort(self: Box<Self>) -> Result<(), StoreError>;
}

/// The version of a small file that is replaced: the digest of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version(pub Digest);

impl Version {
    /// The version that a content makes.
    pub fn of(bytes: &[u8]) -> Self {
        Version(Digest::of(bytes))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.short())
    }
}

/// A store as a real directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalDir {
    root: PathBuf,
}

impl LocalDir {
    /// The store whose root is this directory.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        LocalDir { root: root.into() }
    }

    /// The store's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The real path of a place.
    pub fn path(&self, key: &StoreKey) -> PathBuf {
        let mut path = self.root.clone();
        path.extend(key.parts());
        path
    }
}

/// Reads a small file that may be replaced meanwhile, with the version that [`Session::replace`] expects; `None` when
/// it is not there.
///
/// # Errors
///
/// When the store cannot be read.
pub fn read_version(reader: &dyn StoreReader, key: &StoreKey) -> Result<Option<(Vec<u8>, Version)>, StoreError> {
    // Another machine's replacement pulls the file away under a reader on NFS; the next open finds the new one.
    let mut attempts_left = 3;
    loop {
        attempts_left -= 1;
        let mut bytes = Vec::new();
        let read = reader.open(key, None).and_then(|mut content| {
            content.read_to_end(&mut bytes).map_err(|source| StoreError::from_io(key, Operation::Read, source))
        });
        match read {
            Ok(_) => {
                let version = Version::of(&bytes);
                return Ok(Some((bytes, version)));
            }
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(StoreError::Io { source, .. })
                if attempts_left > 0 && source.kind() == io::ErrorKind::StaleNetworkFileHandle => {}
            Err(error) => return Err(error),
        }
    }
}
