//! Puts a stopped server's data directory into a store as a full that is prepared: a base for replays without a backup tool.

use crate::server::{Server, ServerError, Vendor, copy_tree};
use dbbak_core::tools::Query;
use serde_json::{Map, Value, json};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The stamp of the planted full.
pub const PLANTED_TS: &str = "2026-01-02T03-04Z";

/// Stops a server, plants its data directory into a store that `dbbak init` has yet to take over, and starts the server
/// again. Returns the copy.
///
/// # Errors
///
/// When the server does not stop or start, or a file cannot be written.
pub fn plant_full(server: &mut Server, store: &Path) -> Result<PathBuf, PlantError> {
    let vendor = server.options().vendor;
    let old = "SHOW MASTER STATUS";
    let at = match vendor {
        Vendor::Mariadb => server.try_sql(old)?,
        // MySQL 8.0 has the old words alone, 8.4 the new ones alone.
        Vendor::Mysql => server.try_sql("SHOW BINARY LOG STATUS").or_else(|_| server.try_sql(old))?,
    };
    let at = at.into_iter().next().unwrap_or_default();
    let field = |number: usize| at.get(number).cloned().unwrap_or_default();
    let gtid = match vendor {
        Vendor::Mariadb => server.value("SELECT @@GLOBAL.gtid_binlog_pos"),
        Vendor::Mysql => field(4).split_whitespace().collect(),
    };
    let mut binlog = json!({"file": field(0), "position": field(1).parse::<u64>().unwrap_or_default()});
    if !gtid.is_empty() {
        binlog["gtid"] = gtid.into();
    }
    let mut rows = server.try_sql("SHOW GLOBAL VARIABLES")?;
    rows.extend(server.try_sql(Query::SysdateIsNow.sql())?);
    let variables = rows.into_iter();
    let variables: Map<String, Value> =
        variables.filter_map(|row| Some((row.first()?.clone(), row.get(1)?.clone().into()))).collect();
    let version = server.value("SELECT VERSION()");
    server.stop()?;
    let full = store.join(format!("full_{PLANTED_TS}"));
    let tree = full.join("prepared-final");
    fs::create_dir_all(full.join("server"))?;
    copy_tree(server.datadir(), &tree)?;
    // A restored server has an identity of its own.
    match fs::remove_file(tree.join("auto.cnf")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    fs::write(full.join("server/variables.json"), Value::from(variables).to_string())?;
    let (engine, flavor) = match vendor {
        Vendor::Mariadb => ("mariadb-backup", "mariadb"),
        Vendor::Mysql => ("xtrabackup", "mysql"),
    };
    let entry = json!([{
        "type": "full", "ts": PLANTED_TS, "base": null, "size": 1, "ended_at": "2026-01-02T03:05:00Z", "binlog": binlog,
        "engine": engine, "server": {"version": version, "flavor": flavor}, "from_lsn": 0, "to_lsn": 1,
    }]);
    let meta = json!({
        "type": "full", "ts": PLANTED_TS,
        "paths": {"raw": null, "prepared_redo": null, "prepared_final": format!("full_{PLANTED_TS}/prepared-final")},
        "xtrabackup": {"cmd": "cp", "lsn_start": 0, "lsn_end": 1},
    });
    fs::write(full.join("meta.json"), meta.to_string())?;
    fs::write(store.join("manifest.json"), entry.to_string())?;
    server.restart()?;
    Ok(tree)
}

/// Why nothing was planted.
#[derive(Debug, thiserror::Error)]
pub enum PlantError {
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A file could not be written.
    #[error("cannot write the planted backup")]
    Io(#[from] io::Error),
}
