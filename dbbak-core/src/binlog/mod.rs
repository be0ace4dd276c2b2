//! Reader of the binary log format of MySQL and MariaDB: pure, over any input.

mod ddl;
mod error;
mod format;
mod gtid_events;
mod gtid_lists;
mod head;
mod header;
mod reader;
mod source;
mod statement;

pub use ddl::{DdlKind, DmlKind};
pub use error::{BinlogError, Damage, DamageKind};
pub use format::{ChecksumAlgorithm, LogFlavor};
pub use head::{FileHead, read_head};
pub use statement::XaId;
