//! What can go wrong with a store.

use crate::beneath::is_link_error;

use super::{LockHolder, LockScope, ProcessGroup, StoreKey, Version};
use std::{fmt, io};

/// Why a store could not do what was asked; every variant names the place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// What was to be read is not there.
    #[error("{operation} {key}: not found")]
    NotFound {
        /// The place.
        key: StoreKey,
        /// What was tried.
        operation: Operation,
    },
    /// What was to be created is there already.
    #[error("{operation} {key}: already exists")]
    AlreadyExists {
        /// The place.
        key: StoreKey,
        /// What was tried.
        operation: Operation,
    },
    /// The store cannot be written: read-only file system or missing permission.
    #[error("{operation} {key}: the store is not writable")]
    ReadOnly {
        /// The place.
        key: StoreKey,
        /// What was tried.
        operation: Operation,
        /// What the system said.
        source: io::Error,
    },
    /// The store or the quota is full.
    #[error("{operation} {key}: no space left in the store")]
    NoSpace {
        /// The place.
        key: StoreKey,
        /// What was tried.
        operation: Operation,
        /// What the system said.
        source: io::Error,
    },
    /// A symbolic link stands there, or on the way to it: none below the store's root is followed.
    #[error("{operation} {key}")]
    Link {
        /// The place.
        key: StoreKey,
        /// What was tried.
        operation: Operation,
        /// Which one.
        source: io::Error,
    },
    /// Any other failure of the system.
    #[error("{operation} {key}")]
    Io {
        /// The place.
        key: StoreKey,
        /// What was tried.
        operation: Operation,
        /// What the system said.
        source: io::Error,
    },
    /// The store cannot do this at all, such as a real directory in an object store.
    #[error("{operation} {key}: not possible in {store}")]
    Unsupported {
        /// The place.
        key: StoreKey,
        /// What was tried.
        operation: Operation,
        /// The store's description.
        store: String,
    },
    /// A directory holds a name that cannot be handled, such as one that is not UTF-8.
    #[error("{directory} holds a name that is not UTF-8: {name:?}")]
    BadName {
        /// The directory.
        directory: StoreKey,
        /// The name, as far as it can be shown.
        name: String,
    },
    /// A file that is replaced was changed by someone else since it was read.
    #[error("{key} was changed since it was read: expected version {}, found {}", OrNone(.expected), OrNone(.found))]
    VersionConflict {
        /// The file.
        key: StoreKey,
        /// The version that was read; `None` when it was not to exist.
        expected: Option<Version>,
        /// The version that is there; `None` when there is none.
        found: Option<Version>,
    },
    /// The lock that the session stands on belongs to someone else or to nobody now.
    #[error("the {scope} lock was lost{}", LostTo(.holder))]
    LeaseLost {
        /// What the lock covered.
        scope: LockScope,
        /// Who holds it now.
        holder: Option<Box<LockHolder>>,
    },
    /// Someone else holds the lock.
    #[error("the {scope} lock is held by {holder}")]
    Locked {
        /// What the lock covers.
        scope: LockScope,
        /// Who holds it.
        holder: Box<LockHolder>,
    },
    /// The holder of a lock is dead, but processes that it started are not.
    #[error("the {scope} lock's holder is dead, but its process groups {} are still running: {holder}", Groups(.groups))]
    ChildrenAlive {
        /// What the lock covers.
        scope: LockScope,
        /// The dead holder.
        holder: Box<LockHolder>,
        /// The groups that are still there.
        groups: Vec<ProcessGroup>,
    },
    /// The session's locks do not cover the place that was to be written.
    #[error("{operation} {key}: not covered by the locks held ({})", Scopes(.held))]
    NotCovered {
        /// The place.
        key: StoreKey,
        /// What was tried.
        operation: Operation,
        /// What the session's locks cover.
        held: Vec<LockScope>,
    },
    /// A file of the store does not hold what it must.
    #[error("{key} is damaged{}: {flaw}", InEntry(.entry))]
    Damaged {
        /// The file.
        key: StoreKey,
        /// The entry in it, where one is at fault.
        entry: Option<String>,
        /// What is wrong.
        flaw: Flaw,
    },
    /// The store was written by a newer program that asks for more than this one knows.
    #[error("{key} asks for what this program does not know, for {access}: {}", .needs.join(", "))]
    TooNew {
        /// The store's own file.
        key: StoreKey,
        /// Reading or writing.
        access: Access,
        /// What it asks for: a format number or the names of features.
        needs: Vec<String>,
    },
}

/// What is wrong with a file of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// It is no JSON, or not of the expected shape.
    #[error("{0}")]
    Syntax(String),
    /// Its content is not what was recorded when it was written.
    #[error("digest {found}, expected {expected}")]
    Digest {
        /// What was recorded.
        expected: String,
        /// What was computed.
        found: String,
    },
    /// The sum that the store promises for every entry is missing.
    #[error("no sum")]
    NoSum,
    /// A field contradicts another, or a count is wrong.
    #[error("{0}")]
    Contradiction(String),
    /// A file that must stand there is missing.
    #[error("missing")]
    Missing,
}

/// What was tried on a place in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Listing a directory.
    List,
    /// Asking whether something is there, and what.
    Head,
    /// Opening for reading.
    Open,
    /// Reading.
    Read,
    /// Making the staged file that is published later.
    Stage,
    /// Writing a staged file.
    Write,
    /// Forcing to the disk.
    Sync,
    /// Closing a file that was written.
    Close,
    /// Giving a staged file its name.
    Publish,
    /// Replacing a file's content.
    Replace,
    /// Keeping the previous generation of a replaced file.
    KeepPrevious,
    /// Creating a directory.
    CreateDir,
    /// Removing.
    Remove,
    /// Taking, keeping or releasing a lock.
    Lock,
}

/// Reading or writing a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reading.
    Read,
    /// Writing.
    Write,
}

impl StoreError {
    /// Sorts what the system said into the variant that callers match on.
    ///
    /// An error that carries a [`StoreError`] already, as those of the store's own readers and writers do, gives it back.
    pub fn from_io(key: &StoreKey, operation: Operation, source: io::Error) -> Self {
        let key = key.clone();
        let source = match source.downcast::<StoreError>() {
            Ok(inner) => return inner,
            Err(source) => source,
        };
        match source.kind() {
            _ if is_link_error(&source) => StoreError::Link { key, operation, source },
            io::ErrorKind::NotFound => StoreError::NotFound { key, operation },
            io::ErrorKind::AlreadyExists => StoreError::AlreadyExists { key, operation },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::NoSpace { key, operation, source },
            io::ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly { key, operation, source },
            io::ErrorKind::PermissionDenied if operation.writes() => StoreError::ReadOnly { key, operation, source },
            _ => StoreError::Io { key, operation, source },
        }
    }

    /// The error as an [`io::Error`] of the fitting kind, for use inside `Read` and `Write`; the text is kept.
    pub fn into_io(self) -> io::Error {
        let kind = match &self {
            StoreError::NotFound { .. } => io::ErrorKind::NotFound,
            StoreError::AlreadyExists { .. } => io::ErrorKind::AlreadyExists,
            StoreError::ReadOnly { source, .. }
            | StoreError::NoSpace { source, .. }
            | StoreError::Link { source, .. }
            | StoreError::Io { source, .. } => source.kind(),
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, self)
    }

    /// The place at fault, where there is one.
    pub fn key(&self) -> Option<&StoreKey> {
        match self {
            StoreError::NotFound { key, .. }
            | StoreError::AlreadyExists { key, .. }
            | StoreError::ReadOnly { key, .. }
            | StoreError::NoSpace { key, .. }
            | StoreError::Link { key, .. }
            | StoreError::Io { key, .. }
            | StoreError::Unsupported { key, .. }
            | StoreError::BadName { directory: key, .. }
            | StoreError::VersionConflict { key, .. }
            | StoreError::NotCovered { key, .. }
            | StoreError::Damaged { key, .. }
            | StoreError::TooNew { key, .. } => Some(key),
            StoreError::LeaseLost { .. } | StoreError::Locked { .. } | StoreError::ChildrenAlive { .. } => None,
        }
    }
}

impl Operation {
    /// Whether the operation changes the store.
    fn writes(self) -> bool {
        !matches!(self, Operation::List | Operation::Head | Operation::Open | Operation::Read)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Operation::List => "list",
            Operation::Head => "look at",
            Operation::Open => "open",
            Operation::Read => "read",
            Operation::Stage => "stage",
            Operation::Write => "write",
            Operation::Sync => "sync",
            Operation::Close => "close",
            Operation::Publish => "publish",
            Operation::Replace => "replace",
            Operation::KeepPrevious => "keep the previous generation of",
            Operation::CreateDir => "create the directory",
            Operation::Remove => "remove",
            Operation::Lock => "lock with",
        })
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Access::Read => "reading",
            Access::Write => "writing",
        })
    }
}

struct OrNone<'a>(&'a Option<Version>);

impl fmt::Display for OrNone<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(version) => version.fmt(f),
            None => f.write_str("none"),
        }
    }
}

struct LostTo<'a>(&'a Option<Box<LockHolder>>);

impl fmt::Display for LostTo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(holder) => write!(f, " to {holder}"),
            None => Ok(()),
        }
    }
}

struct InEntry<'a>(&'a Option<String>);

impl fmt::Display for InEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(entry) => write!(f, " at {entry}"),
            None => Ok(()),
        }
    }
}

struct Groups<'a>(&'a [ProcessGroup]);

impl fmt::Display for Groups<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for group in self.0 {
            write!(f, "{separator}{}", group.pgid)?;
            separator = ", ";
        }
        Ok(())
    }
}

struct Scopes<'a>(&'a [LockScope]);

impl fmt::Display for Scopes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for scope in self.0 {
            write!(f, "{separator}{scope}")?;
            separator = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> StoreKey {
        "binlogs/index.json".parse().unwrap()
    }

    #[test]
    fn sorts_what_the_system_says() {
        let of = |operation, kind: io::ErrorKind| StoreError::from_io(&key(), operation, kind.into());
        assert!(matches!(of(Operation::Sync, io::ErrorKind::QuotaExceeded), StoreError::NoSpace { .. }));
        assert!(matches!(of(Operation::Stage, io::ErrorKind::PermissionDenied), StoreError::ReadOnly { .. }));
        assert!(matches!(of(Operation::Open, io::ErrorKind::PermissionDenied), StoreError::Io { .. }));
        assert_eq!(of(Operation::Open, io::ErrorKind::NotFound).to_string(), "open binlogs/index.json: not found");
    }

    #[test]
    fn survives_the_way_through_an_io_error() {
        let error = StoreError::from_io(&key(), Operation::Write, io::ErrorKind::StorageFull.into());
        let wrapped = error.into_io();
        assert_eq!(wrapped.kind(), io::ErrorKind::StorageFull);
        let elsewhere = StoreKey::root();
        let unwrapped = StoreError::from_io(&elsewhere, Operation::Read, wrapped);
        assert_eq!(unwrapped.to_string(), "write binlogs/index.json: no space left in the store");
    }

    #[test]
    fn stays_small_enough_to_return() {
        assert!(size_of::<StoreError>() <= 128, "{}", size_of::<StoreError>());
    }
}
