//! Golden plans of backups.

use super::{Case, story, text};
use dbbak_core::{config::Prepared, plan::BackupRequest};
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
