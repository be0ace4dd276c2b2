//! Golden plans of backups.

use super::{Case, story, text};
use dbbak_core::{
    config::Prepared,
    model::TreeName,
    plan::{BackupRequest, check},
    probe::PathState,
    tools::Version,
};
use dbbak_testkit::history::{History, Product, SCRATCH};
use insta::assert_snapshot;
use std::path::Path;

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

/// The chain is applied on a copy as a restore would do it; what cannot be looked at, or has no room, is not tried, and told.
#[test]
fn an_incremental_on_trial() {
    let trial = |product| {
        let mut case = Case::of(story(product));
        case.config.try_incrementals = true;
        case.facts.stored = case.history.restore_facts(&case.catalog, None).stored;
        case
    };
    assert_snapshot!("incremental_tried_mariadb", text(&trial(Product::Mariadb).backup(&CHAINED).unwrap()));
    assert_snapshot!("incremental_tried_xtrabackup", text(&trial(Product::Mysql84).backup(&CHAINED).unwrap()));
    let mut from_raw = trial(Product::Mysql84);
    for stored in from_raw.facts.stored.values_mut() {
        stored.trees.retain(|tree, _| *tree == TreeName::Raw);
    }
    assert_snapshot!("incremental_tried_from_raw", text(&from_raw.backup(&DIFFERENTIAL).unwrap()));

    let mut small = trial(Product::Mysql84);
    small.facts.filesystems.get_mut(Path::new(SCRATCH)).unwrap().free = 19_999;
    let mut unseen = trial(Product::Mysql84);
    unseen.facts.stored.clear();
    let mut closed = trial(Product::Mysql84);
    let state = PathState::Directory { empty: false, mode: 0o755, owner: 0, writable: false };
    closed.facts.paths.insert(SCRATCH.into(), state);
    let cases = [(small, "20000 are needed"), (unseen, "could not be looked at"), (closed, "is not writable")];
    for (case, said) in cases {
        let plan = case.backup(&CHAINED).unwrap();
        assert!(plan.trial.is_none());
        assert!(plan.incomplete.iter().any(|line| line.contains(said)), "{:?}", plan.incomplete);
        assert_eq!(check(&plan), []);
    }
    assert!(trial(Product::Mysql84).backup(&BackupRequest::Full).unwrap().trial.is_none());
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
