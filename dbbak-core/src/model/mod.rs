//! The field's words as types: stamps, LSNs, GTID sets, binlog names and positions, backup ids, timelines, targets.

mod backup_id;
mod binlog_name;
mod donor;
mod gtid;
mod gtid_mariadb;
mod gtid_mysql;
mod lsn;
mod need;
mod owner;
mod printable;
mod restored;
mod source;
mod stamp;
mod target;
mod times;
mod tree_name;

pub use backup_id::{BackupId, BackupIdError, BackupKind};
pub use binlog_name::{BinlogCoordinates, BinlogName, BinlogNameError, BinlogPosition, BinlogPositionError};
pub use donor::Donor;
pub(crate) use gtid::readable_gtids;
pub use gtid::{Gtid, GtidError, GtidSet};
pub use gtid_mariadb::MariadbGtidState;
pub use gtid_mysql::MysqlGtidSet;
pub use lsn::{Lsn, LsnError};
pub use need::Need;
pub use owner::{OwnerName, OwnerNameError};
pub use printable::Printable;
pub use restored::{RestoredFact, RestoredMark};
pub use source::{SourceAddress, SourceAddressError};
pub use stamp::{Stamp, StampError};
pub use target::{Goal, Target, TimeError, floor_time, parse_time};
pub use times::{LogTime, LogTimeError};
pub use tree_name::TreeName;
