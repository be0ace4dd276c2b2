//! What dbbak knows of other programs: their names and versions, the arguments that they take, the text and the files
//! that they leave.
//!
//! Nothing here runs a program, reads a file or knows the time: argument builders return [`CommandSpec`] values, and
//! parsers take bytes. The formats and rules were read off real programs and their sources; each item names its own.

mod answers;
mod applier;
mod backup_argv;
mod backup_cnf;
mod backup_files;
mod catch_up;
mod channels;
mod checkpoints;
mod client;
mod clone;
mod command;
mod coordinates;
mod dump;
mod dump_findings;
mod encryption;
mod event_owner;
mod examine;
mod extra_options;
mod feeder;
mod frm;
mod hexdump;
mod holdings;
mod info;
mod initialise;
mod keyring_file;
mod known_series;
mod launch;
mod login;
mod mysqlbinlog;
mod mysqld;
mod names;
mod persisted;
mod plugins;
mod prepare_options;
mod recorded;
mod remote_clone;
mod remote_reader;
mod run_as;
mod secrets;
mod settings;
mod standing;
mod stderr_scan;
mod success;
mod tablespace_ids;
mod tablespaces;
mod ties;
mod tool;
mod version_line;

pub use answers::{
    AnswerError, BinaryLog, BinlogStatus, EngineUse, Grants, ReplicaStatus, Row, Table, parse_binary_logs,
    parse_binlog_status, parse_clock, parse_engines, parse_grants, parse_replica_status, parse_status, parse_table,
    parse_variables,
};
pub use applier::{Applier, ApplierStatus, parse_applier_status, parse_worker_failures};
pub use backup_argv::{BackupCommand, BackupSeries, PrepareCommand, supports_server};
pub use backup_cnf::{BackupCnf, parse_backup_cnf};
pub use backup_files::{BackupFileError, FrmKind, MetadataFile, consumed_deltas, frm_kind};
pub use catch_up::{ChannelStatus, SourceLogin, ask_channels, forget_channel, parse_channels, stop_channels, wait_for};
pub use channels::{HELD_CHANNELS, HeldChannel, forget_channels, parse_held_channels, parse_status_of_channels};
pub use checkpoints::{BackupType, Checkpoints, parse_checkpoints};
pub use client::{Client, ClientError, Dialect, Query, parse_client_error};
pub use clone::{
    CloneSession, CloneStatus, UnclonedTable, parse_clone_plugin, parse_clone_sessions, parse_clone_status,
    parse_uncloned,
};
pub use command::{
    Arg, CommandError, CommandSpec, MASK, QueryCommand, Secret, Stdin, account_query, help_query, namespace_query,
    shell_quoted, version_query,
};
pub use coordinates::{GaleraInfo, SlaveInfo, SourcePosition, parse_binlog_info, parse_galera_info, parse_slave_info};
pub use dump::{DumpCommand, DumpError, DumpFacts, DumpScan, DumpWay};
pub use dump_findings::{DumpFinding, DumpFindingKind, parse_dump_findings};
pub use encryption::{
    EncryptedSpaces, encrypted_logs, encrypts_tables, is_component_config, key_plugin, names_keyring, parse_encrypted,
    parse_keyring,
};
pub use event_owner::{OwnedEvent, ask_owned_events, give_events, give_grants, parse_owned_events, take_server_id};
pub use examine::{
    ALL_TABLES, CheckRow, CheckSays, CheckWay, PERSISTED, SET_DURABILITY, ShutdownLog, TableName, ask_prepared,
    check_statement, judge_shutdown, parse_check_row, parse_durability, parse_prepared, parse_tables,
};
pub use feeder::FeederCommand;
pub use frm::{FRM_HEAD, TEXT_FRM, TableFiles, files_of_frm, is_frm, is_innodb_frm, parts_of_par};
pub use hexdump::{HexdumpError, parse_hexdump};
pub use holdings::{Held, Holdings};
pub use info::{BackupInfo, parse_info};
pub use initialise::InitialiseCommand;
pub use keyring_file::{keyring_of, with_keyring};
pub use known_series::{UntestedSeries, untested_series};
pub use launch::Launch;
pub use login::Login;
pub use mysqlbinlog::{ReaderError, ReaderFailure, ReplayReader, StreamReader, judge_binlog_reader};
pub use mysqld::{
    MAX_SOCKET_PATH, PrivateServerCommand, RelayReplay, carried_settings, encryption_settings, format_settings,
};
pub use names::{SERVER_DIRS, names_for};
pub use persisted::{JOINS_AT_START, LeftOut, Persisted, out_of_group, without_paths, without_secrets};
pub use plugins::{
    ACTIVE_PLUGINS, ASK_PLUGINS, ActivePlugins, COMPONENTS, INSTALLED_PLUGINS, LOADABLE_FUNCTIONS, is_barred,
    parse_libraries, plugin_options,
};
pub use prepare_options::{PrepareOptions, key_options, key_variables, prepare_options};
pub use recorded::RecordedCommand;
pub use remote_clone::{Account, parse_account, parse_clone_progress, remote_clone_statements};
pub use remote_reader::{RemoteReader, delivered_size, judge_head_reader};
pub use run_as::{RunAs, Screen};
pub use secrets::{is_secret_name, is_secret_option, masked, masked_file, masked_statement, shown_value};
pub use settings::{
    CHANNELS, Fate, Row as SettingRow, ToldSetting, fate_of, rows as setting_rows, told_settings, unknown_settings,
};
pub use standing::{
    BY_TRANSACTION, ForeignEvent, Standing, give_back_events, lost_prepared, may_be_lost, parse_foreign_events, xa_name,
};
pub use stderr_scan::{FailureClass, StderrScan, classify_failure};
pub use success::{Exit, Expected, RunEnd, ToolRunError, judge_backup_run};
pub use tablespace_ids::{
    PAGE_HEAD, TablespaceIds, parse_tablespaces_asked, table_of_tablespace, tablespace_of_meta, tablespace_of_page,
};
pub use tablespaces::{ExternalTablespace, TablespaceType, parse_isl, parse_tablespaces};
pub use ties::{inward_index, is_log_index, is_tie};
pub use tool::{Family, Flavor, ToolKind, ToolRole, ToolVersion, Version, VersionError};
pub use version_line::{parse_server_version, parse_version};

/// The bytes of a file below `fixtures/`.
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests read the repository's own fixtures")]
fn fixture(path: &str) -> Vec<u8> {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(path);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
