//! No plan because of the backups that the store holds.

use super::*;

/// Row 1.
#[test]
fn no_full() {
    restore(History::new(Product::Mariadb), &exact("00:00"), "the store holds no full backup");
    let case = Case::of(History::new(Product::Mariadb));
    assert_eq!(case.backup(&INCREMENTAL), Err(PlanError::NoFull));
}

/// Rows 8 and 17.
#[test]
fn no_full_before() {
    restore(
        mysql(),
        &exact("01:00"),
        "no full backup ended at or before 2025-10-02 01:00:00 UTC; the oldest ended 2025-10-02 02:00:31 UTC",
    );
    let floored = restore_to(Target::Time { at: at("02:10"), exact: false });
    restore(
        mysql(),
        &floored,
        "no full backup ended at or before 2025-10-02 02:00:00 UTC; the oldest ended 2025-10-02 02:00:31 UTC",
    );
    let none = restore_to(Target::NoPitr { at: Some(at("02:00:30")) });
    assert!(matches!(Case::of(mysql()).restore(&none), Err(PlanError::NoFullBefore { .. })));
}

/// Row 2.
#[test]
fn unknown_backup() {
    let ts = "2025-10-02T03-59Z".parse().unwrap();
    let request = RestoreRequest { backup: Some(ts), ..restore_to(Target::Latest) };
    let Err(PlanError::UnknownBackup { nearest, .. }) = Case::of(mysql()).restore(&request) else { panic!() };
    assert_eq!(nearest[0].to_string(), "2025-10-02T04-00Z");
    let request = BackupRequest::Incremental { base: Some(ts), differential: false };
    backup_where(&request, |_| {}, "the store holds no backup 2025-10-02T03-59Z");
}

#[test]
fn not_a_full() {
    let base = Some("2025-10-02T03-00Z".parse().unwrap());
    let request = BackupRequest::Incremental { base, differential: true };
    backup_where(&request, |_| {}, "backup 2025-10-02T03-00Z is an incremental on the full 2025-10-02T02-00Z");
}

/// Rows 13 and 18.
#[test]
fn missing_parent() {
    let mut history = mysql();
    history.lose_backup("2025-10-02T03-00Z".parse().unwrap());
    let expected = "backup 2025-10-02T04-00Z was taken on 2025-10-02T03-00Z, which the store does not hold";
    let request = RestoreRequest { backup: Some("2025-10-02T04-00Z".parse().unwrap()), ..exact("04:41") };
    restore(history.clone(), &request, expected);
    refused(&Case::of(history.clone()).backup(&INCREMENTAL).unwrap_err(), expected);
    // Without a backup being named, the full before the hole will do.
    assert!(Case::of(history).restore(&exact("04:41")).is_ok());
}

/// Row 13: an incremental whose parent hangs on another full than it says itself.
#[test]
fn links_that_lead_to_another_full() {
    let mut history = mysql();
    history.at("05:10").full();
    let other = history.backups.last().unwrap().id.ts;
    let incremental = &mut history.backups[2];
    incremental.id = dbbak_core::model::BackupId::incremental(incremental.id.ts, other);
    let request = RestoreRequest { backup: Some(incremental.id.ts), ..exact("04:41") };
    let error = Case::of(history).restore(&request).unwrap_err();
    assert!(matches!(error, PlanError::MissingParent { parent: Some(parent), .. } if parent == other), "{error}");
}

/// Row 9: the only full that is left ended later than it is now, by this machine's clock.
#[test]
fn no_usable_backup_by_now() {
    let mut history = mysql();
    for ts in ["2025-10-02T02-00Z", "2025-10-02T03-00Z", "2025-10-02T04-00Z"] {
        history.lose_backup(ts.parse().unwrap());
    }
    history.at("05:10").full();
    let mut case = Case::of(history);
    for target in [Target::Latest, Target::End] {
        assert!(case.restore(&restore_to(target)).is_ok());
    }
    case.now = at("05:09");
    for target in [Target::Latest, Target::End] {
        let error = case.restore(&restore_to(target)).unwrap_err();
        assert!(matches!(error, PlanError::NoFullBefore { .. }), "{error}");
    }
}

/// Rows 14 and 18.
#[test]
fn broken_chain() {
    let mut history = mysql();
    history.backups[2].from_lsn = Lsn(7);
    let end = history.backups[1].to_lsn;
    let request = RestoreRequest { backup: Some("2025-10-02T04-00Z".parse().unwrap()), ..exact("04:41") };
    let expected =
        format!("backup 2025-10-02T04-00Z starts at LSN 7, but its parent 2025-10-02T03-00Z ends at LSN {end}");
    restore(history, &request, &expected);
}

/// Row 15.
#[test]
fn ambiguous_parent_in_a_basic_store() {
    let mut case = Case::of(mysql());
    let mut entries: Vec<_> = case.catalog.backups.iter().map(|backup| backup.entry.clone()).collect();
    entries.iter_mut().for_each(|entry| entry.parent = None);
    // Nothing was written between the full and the first incremental, so that both end at one LSN.
    (entries[1].to_lsn, entries[2].from_lsn) = (entries[0].to_lsn, entries[0].to_lsn);
    let basic = |entries, commands: &[_]| {
        let binlogs = case.history.index();
        dbbak_core::catalog::Catalog::from_parts(None, Some(ROOT.into()), entries, commands, binlogs, [].into())
    };
    let request = RestoreRequest { backup: Some("2025-10-02T04-00Z".parse().unwrap()), ..exact("04:41") };
    let with_command = Some(format!("xtrabackup --backup --incremental-basedir={ROOT}/full_2025-10-02T02-00Z/raw"));
    let told = basic(entries.clone(), &[None, with_command.clone(), with_command]);
    case.catalog = basic(entries.clone(), &[]);
    refused(
        &case.restore(&request).unwrap_err(),
        "backup 2025-10-02T04-00Z does not say which backup it was taken on, and 2 end at the LSN it starts at",
    );
    case.catalog = told;
    assert!(case.restore(&request).is_ok());
    entries[2].from_lsn = Some(Lsn(7));
    let binlogs = case.history.index();
    case.catalog = dbbak_core::catalog::Catalog::from_parts(None, Some(ROOT.into()), entries, &[], binlogs, [].into());
    refused(
        &case.restore(&request).unwrap_err(),
        "backup 2025-10-02T04-00Z was taken on an unknown parent, which the store does not hold",
    );
}

/// Row 16.
#[test]
fn backup_after_target() {
    let request = RestoreRequest { backup: Some("2025-10-02T04-00Z".parse().unwrap()), ..exact("03:41") };
    restore(
        mysql(),
        &request,
        "backup 2025-10-02T04-00Z ended 2025-10-02 04:00:31 UTC, after the target 2025-10-02 03:41:00 UTC",
    );
}

#[test]
fn stamp_taken() {
    let mut history = History::new(Product::Mysql84);
    history.at("02:00").full();
    let mut second = history.backups[0].clone();
    second.id = dbbak_core::model::BackupId::full("2025-10-02T02-00-31Z".parse().unwrap());
    history.backups.push(second);
    let error = Case::of(history).backup(&BackupRequest::Full).unwrap_err();
    refused(&error, "the stamp 2025-10-02T02-00-31Z is taken");
}
