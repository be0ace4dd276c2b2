//! The field's words as types: stamps, LSNs, GTID sets, binlog names and positions, backup ids, timelines, targets.

mod backup_id;
mod binlog_name;
mod gtid;
mod gtid_mariadb;
mod gtid_mysql;
mod lsn;
mod stamp;
mod times;

pub use backup_id::{BackupId, BackupIdError, BackupKind};
pub use binlog_name::{BinlogCoordinates, BinlogName, BinlogNameError, BinlogPosition};
pub use gtid::{Gtid, GtidError, GtidSet};
pub use gtid_mariadb::MariadbGtidState;
pub use gtid_mysql::MysqlGtidSet;
pub use lsn::{Lsn, LsnError};
pub use stamp::{Stamp, StampError};
pub use times::{LogTime, LogTimeError};
