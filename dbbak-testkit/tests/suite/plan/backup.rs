//! Golden plans of backups.

use super::{Case, story, text};
use dbbak_core::{config::Prepared, plan::BackupRequest, tools::Version};
use dbbak_testkit::history::{History, Product};
use insta::assert_snapshot;

const CHAINED: BackupRequest = BackupRequest::Incremental { base: None, differential: false };
const DIFFERENTIAL: BackupRequest = BackupRequest::Incremental { base: None, differential: true };

fn plan(product: Product, request: &BackupRequest) -> String {
    text(&Case::of(story(product)).backup(request).unwrap())
}

#[test]
fn full() {
    assert_snapshot!("full_mariadb_backup", plan(Product::Mariadb, &BackupRequest::Full));
    assert_snapshot!("full_xtrabackup_2_4", plan(Product::Mysql57, &BackupRequest::Full));
    assert_snapshot!("full_xtrabackup_8_0", plan(Product::Percona80, &BackupRequest::Full));
    assert_snapshot!("full_xtrabackup_8_4", plan(Product::Mysql84, &BackupRequest::Full));
}

#[test]
fn full_with_other_trees() {
    for (prepared, name) in
        [(Prepared::None, "full_raw_only"), (Prepared::Redo, "full_redo_only"), (Prepared::Final, "full_final_only")]
    {
        let mut case = Case::of(story(Product::Mysql84));
        case.config.prepared = prepared;
        assert_snapshot!(name, text(&case.backup(&BackupRequest::Full).unwrap()));
        let mut case = Case::of(story(Product::Mariadb));
        case.config.prepared = prepared;
        assert_eq!(dbbak_core::plan::check(&case.backup(&BackupRequest::Full).unwrap()), []);
    }
}

#[test]
fn full_in_a_local_store_moves_the_last_prepared_tree() {
    let mut case = Case::of(story(Product::Mysql84));
    case.config.scratch_dir = None;
    case.facts.filesystems.get_mut(dbbak_testkit::history::ROOT.as_ref() as &std::path::Path).unwrap().network = false;
    assert_snapshot!("full_local_store", text(&case.backup(&BackupRequest::Full).unwrap()));
}

#[test]
fn incremental() {
    assert_snapshot!("incremental_chained_mariadb", plan(Product::Mariadb, &CHAINED));
    assert_snapshot!("incremental_chained_xtrabackup", plan(Product::Mysql84, &CHAINED));
    assert_snapshot!("incremental_differential", plan(Product::Mysql84, &DIFFERENTIAL));
}

#[test]
fn a_taken_minute_gives_a_stamp_to_the_second() {
    let mut history = History::new(Product::Mariadb);
    history.at("02:00").full();
    let plan = Case::of(history).backup(&BackupRequest::Full).unwrap();
    assert!(text(&plan).starts_with("Plan: take full_2025-10-02T02-00-31Z with mariadb-backup\n"), "{}", text(&plan));
}

/// A series that came out after the tests is used as the last known one, and the plan says so.
#[test]
fn a_newer_series_is_a_warning() {
    let mut case = Case::of(story(Product::Mysql84));
    let newer = |version: &mut Version| *version = Version::new(26, version.minor, 0);
    newer(&mut case.facts.server.as_mut().unwrap().as_mut().unwrap().version);
    for tool in case.facts.tools.iter_mut().filter_map(|tool| tool.version.as_mut()) {
        newer(tool.version.as_mut().unwrap());
    }
    let plan = case.backup(&BackupRequest::Full).unwrap();
    let told = "MySQL 26.4 is newer than the series that dbbak is tested with; it is treated as 9.7";
    assert!(plan.warnings.iter().any(|warning| warning == told), "{:?}", plan.warnings);
}

/// MariaDB up to 10.11 has 5.5.5- before its version on the wire, and so do proxies in the variable.
#[test]
fn a_version_as_on_the_wire_is_of_the_same_series() {
    let mut case = Case::of(story(Product::Mariadb));
    for backup in &mut case.catalog.backups {
        let version = backup.entry.server.as_mut().and_then(|server| server.version.as_mut()).unwrap();
        *version = format!("5.5.5-{version}");
    }
    case.backup(&CHAINED).unwrap();
    case.restore(&super::exact("04:41")).unwrap();
}
