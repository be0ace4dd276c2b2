//! Properties of `dbbak_core::tools`: no text makes a parser panic, and what is printed can be read back.

use dbbak_core::tools::{
    CommandSpec, MetadataFile, RecordedCommand, StderrScan, ToolRole, consumed_deltas, frm_kind, judge_binlog_reader,
    masked, parse_backup_cnf, parse_binary_logs, parse_binlog_info, parse_binlog_status, parse_checkpoints,
    parse_client_error, parse_clock, parse_engines, parse_galera_info, parse_grants, parse_info, parse_isl,
    parse_replica_status, parse_server_version, parse_slave_info, parse_table, parse_tablespaces, parse_variables,
    parse_version, shell_quoted,
};
use proptest::prelude::*;

/// Texts that look like those that the parsers read, broken in any way.
fn nearly() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "backup_type = ",
        "incremental",
        "\n",
        "to_lsn = ",
        "from_lsn = ",
        "12",
        "\t",
        "mysql-bin.000001",
        "'",
        "\"",
        ",",
        ";",
        "binlog_pos = filename '",
        "CHANGE MASTER ",
        "MASTER_LOG_POS=",
        "SET GLOBAL gtid_purged=",
        "\\",
        "[mysqld]",
        "=",
        "GRANT ",
        " ON *.* TO ",
        "IDENTIFIED BY '",
        "(",
        ")",
        "ERROR 1045 (",
        "at line ",
        ": ",
        "Ver ",
        " Distrib ",
        "8.0.35",
        "-",
        "é",
        "xtrabackup version ",
        "was not found at",
        "{\"version\":2",
        "\0",
        "GTID of the last change '",
    ];
    prop::collection::vec(prop_oneof![prop::sample::select(WORDS).prop_map(str::to_owned), ".{0,6}"], 0..24)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in nearly(), bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        for bytes in [text.as_bytes(), &bytes[..]] {
            let _ = (parse_checkpoints(bytes), parse_info(bytes), parse_binlog_info(bytes), parse_slave_info(bytes));
            let _ = (parse_galera_info(bytes), parse_backup_cnf(bytes).map(|cnf| cnf.paths_outside()));
            let _ = (parse_tablespaces(bytes), parse_isl(bytes), frm_kind(bytes));
        }
        let _ = (parse_table(&text), parse_variables(&text), parse_binary_logs(&text), parse_binlog_status(&text));
        let _ = (parse_replica_status(&text), parse_clock(&text), parse_engines(&text), parse_grants(&text));
        let _ = (parse_client_error(&text), parse_server_version(&text, &text), RecordedCommand::parse(&text));
        for role in ToolRole::ALL {
            let _ = parse_version(role, &text);
        }
        let _ = (StderrScan::of(&text).cause(), masked(&text), consumed_deltas(text.lines()));
        let _ = (judge_binlog_reader(dbbak_core::tools::Exit::Code(0), &text, false), MetadataFile::Info.select(&[&text]));
    }

    #[test]
    fn a_printed_command_is_read_back(dir in "[^\0]{0,20}", other in "[^\0]{0,20}") {
        let spec = CommandSpec::new("/usr/bin/x").option("--target-dir", &dir).arg(other).option("--incremental-basedir", &dir);
        let read = RecordedCommand::parse(&spec.to_string());
        prop_assert_eq!(read.option("target-dir"), Some(dir.as_str()));
        prop_assert_eq!(read.option("incremental-basedir"), Some(dir.as_str()));
    }

    #[test]
    fn a_quoted_word_holds_no_bare_space(text in ".{0,30}") {
        let quoted = shell_quoted(&text);
        prop_assert!(quoted.starts_with('\'') || (quoted == text.as_str() && !text.contains(char::is_whitespace)));
    }

    #[test]
    fn no_hash_survives_in_a_grant(hash in "[0-9A-F]{8,40}", user in "[a-z]{1,8}") {
        let line = format!("GRANT USAGE ON *.* TO `{user}`@`%` IDENTIFIED BY PASSWORD '*{hash}'");
        prop_assert!(!masked(&line).contains(&hash));
    }
}
