//! Reads and writes the metadata files of a backup in the form of each series.

use super::Refusal;
use dbbak_testkit::shim::{Coordinates, Series, run::Invocation};
use std::{fs, io, path::Path};

/// The checkpoints file.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) backup_type: String,
    pub(crate) from_lsn: u64,
    pub(crate) to_lsn: u64,
    pub(crate) last_lsn: u64,
}

/// The name of a metadata file as this tool writes it.
pub(crate) fn own_name(call: &Invocation, what: &str) -> String {
    let prefix = if call.scenario.series.has_new_names() { "mariadb_backup" } else { "xtrabackup" };
    format!("{prefix}_{what}")
}

pub(crate) fn checkpoints_name(call: &Invocation) -> String {
    own_name(call, "checkpoints")
}

/// Reads the checkpoints file under the names that this tool knows: a tool with the new names knows the old ones too.
pub(crate) fn read_checkpoints(call: &Invocation, dir: &Path) -> io::Result<Result<State, Refusal>> {
    let names: &[&str] = if call.scenario.series.has_new_names() {
        &["mariadb_backup_checkpoints", "xtrabackup_checkpoints"]
    } else {
        &["xtrabackup_checkpoints"]
    };
    let text = names.iter().find_map(|name| fs::read_to_string(dir.join(name)).ok());
    let state = text.and_then(|text| {
        let value = |key: &str| {
            text.lines().find_map(|line| {
                let (found, value) = line.split_once(" = ")?;
                (found == key).then(|| value.to_owned())
            })
        };
        Some(State {
            backup_type: value("backup_type")?,
            from_lsn: value("from_lsn")?.parse().ok()?,
            to_lsn: value("to_lsn")?.parse().ok()?,
            last_lsn: value("last_lsn").and_then(|text| text.parse().ok()).unwrap_or_default(),
        })
    });
    // Messages of MariaDB's tool say the old name in all its versions.
    let path = format!("{}//xtrabackup_checkpoints", dir.display());
    Ok(state.ok_or_else(|| Refusal {
        lines: vec![
            format!("[00] 2026-11-21 03:00:00 Error: cannot open {path}"),
            format!("[00] 2026-11-21 03:00:00 error: failed to read metadata from {path}"),
        ],
        code: 1,
    }))
}

pub(crate) fn write_checkpoints(call: &Invocation, dir: &Path, state: &State) -> io::Result<()> {
    let State { backup_type, from_lsn, to_lsn, last_lsn } = state;
    let head =
        format!("backup_type = {backup_type}\nfrom_lsn = {from_lsn}\nto_lsn = {to_lsn}\nlast_lsn = {last_lsn}\n");
    let rest = match call.scenario.series {
        Series::Xtrabackup24 => format!("compact = 0\nrecover_binlog_info = 0\nflushed_lsn = {to_lsn}\n"),
        Series::Xtrabackup80 | Series::Xtrabackup84 => {
            format!("flushed_lsn = {to_lsn}\nredo_memory = 0\nredo_frames = 0\n")
        }
        Series::Mariadb1011 | Series::Mariadb118 => "recover_binlog_info = 0\n".to_owned(),
    };
    fs::write(dir.join(checkpoints_name(call)), head + &rest)
}

/// The info file; its times are local times without a zone, so that they can be anything.
pub(crate) fn info_text(call: &Invocation, state: &State, binlog: Option<&Coordinates>) -> String {
    let series = call.scenario.series;
    let (tool, version) = (&call.scenario.tool_version, &call.scenario.server_version);
    let name = if series.is_mariadb() { "mariadb-backup" } else { "xtrabackup" };
    let binlog = binlog.map_or_else(String::new, |at| {
        let gtid = at.gtid.as_ref().map_or_else(String::new, |gtid| format!(", GTID of the last change '{gtid}'"));
        format!("filename '{}', position '{}'{gtid}", at.file, at.position)
    });
    let flavor = if series == Series::Xtrabackup84 { "server_flavor = MySQL Community Server - GPL\n" } else { "" };
    let tail = match series {
        Series::Xtrabackup24 => "compact = N\ncompressed = N\nencrypted = N\n",
        Series::Xtrabackup80 => "compressed = N\nencrypted = N\n",
        Series::Xtrabackup84 => "compressed = N\nencrypted = N\nlock_ddl_type = ON\nbackup_size = 4096\n",
        Series::Mariadb1011 | Series::Mariadb118 => "compressed = N\n",
    };
    let incremental = if state.from_lsn > 0 { "Y" } else { "N" };
    format!(
        "uuid = 1cc3b193-e54c-11f1-bac3-02fc00000001\nname = \ntool_name = {name}\ntool_command = {}\n\
         tool_version = {tool}\nibbackup_version = {tool}\nserver_version = {version}\n{flavor}\
         start_time = 2020-01-01 00:00:00\nend_time = 2020-01-01 00:00:01\nlock_time = 0\nbinlog_pos = {binlog}\n\
         innodb_from_lsn = {}\ninnodb_to_lsn = {}\npartial = N\nincremental = {incremental}\nformat = file\n{tail}",
        call.args.join(" "),
        state.from_lsn,
        state.to_lsn,
    )
}

/// The binlog info file: with a third field where there are GTIDs.
pub(crate) fn binlog_info_text(at: &Coordinates) -> String {
    let gtid = at.gtid.as_ref().map_or_else(String::new, |gtid| format!("\t{gtid}"));
    format!("{}\t{}{gtid}\n", at.file, at.position)
}

/// `backup-my.cnf`.
pub(crate) fn cnf_text(call: &Invocation) -> String {
    let uuid = call.scenario.server_uuid.as_ref().filter(|_| call.scenario.series != Series::Xtrabackup24);
    let uuid = uuid.map_or_else(String::new, |uuid| format!("server_uuid={uuid}\n"));
    format!(
        "# This options file was generated by innobackupex.\n\n[mysqld]\ninnodb_checksum_algorithm=crc32\n\
         innodb_data_file_path=ibdata1:12M:autoextend\ninnodb_page_size=16384\ninnodb_undo_directory=./\n{uuid}"
    )
}
