//! Words that the errors of plans are made of.

use super::whereabouts::TimelineSpan;
use crate::{catalog::Finding, model::BinlogName, tools::ToolRole};
use chrono::{DateTime, Utc};

/// Spans of time, one behind the other.
pub(super) fn spans(spans: &[TimelineSpan]) -> String {
    if spans.is_empty() {
        return "none".into();
    }
    spans.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A moment as plans and errors print it.
pub(crate) fn utc(at: &DateTime<Utc>) -> String {
    let format = if at.timestamp_subsec_micros() == 0 { "%Y-%m-%d %H:%M:%S UTC" } else { "%Y-%m-%d %H:%M:%S%.6f UTC" };
    at.format(format).to_string()
}

/// A gap in words.
pub(super) fn gap(after: &BinlogName, finding: Option<&Finding>) -> String {
    match finding {
        Some(Finding::Gap { next, .. }) => format!("binlogs are missing between {after} and {next}"),
        Some(finding) => finding.to_string(),
        None => format!("binlogs are missing between {after} and the target"),
    }
}

/// A tool, with the programs that it may be.
pub(super) fn role_name(role: ToolRole) -> &'static str {
    match role {
        ToolRole::Backup => "backup tool (xtrabackup or mariadb-backup)",
        ToolRole::BinlogReader => "binlog reader (mysqlbinlog or mariadb-binlog)",
        ToolRole::Client => "client (mysql or mariadb)",
        ToolRole::Server => "server program (mysqld or mariadbd)",
        ToolRole::Dump => "dump program (mysqldump or mariadb-dump)",
    }
}
