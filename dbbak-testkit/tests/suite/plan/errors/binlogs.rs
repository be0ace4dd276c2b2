//! No plan because of the target, or of the binlogs that the archive holds.

use super::*;

/// Row 3.
#[test]
fn future_target() {
    let expected = "the target 2025-10-02 05:06:00 UTC is in the future (now 2025-10-02 05:05:00 UTC)";
    restore(mysql(), &exact("05:06"), expected);
    restore(mysql(), &restore_to(Target::NoPitr { at: Some(at("05:06")) }), expected);
}

/// Row 24.
#[test]
fn beyond_the_binlogs() {
    restore(
        mysql(),
        &exact("04:55:00.000001"),
        "the target 2025-10-02 04:55:00.000001 UTC is not archived yet: binlogs reach up to 2025-10-02 04:55:00 UTC",
    );
    assert!(Case::of(mysql()).restore(&exact("04:55")).is_ok());
}

/// Row 22.
#[test]
fn gap() {
    let mut history = mysql();
    history.at("05:06").rotate().at("05:10").commit().at("05:15").rotate().ship().lose_binlog(4);
    restore(
        history.clone(),
        &exact("05:12"),
        "binlogs are missing between binlog.000003 and binlog.000005 (backup 2025-10-02T04-00Z)",
    );
    let Err(PlanError::BinlogGap { latest, .. }) = Case::of(history.clone()).restore(&exact("05:12")) else { panic!() };
    assert_eq!(latest, Some(at("04:55")));
    // The archive up to the gap is as good as ever.
    assert!(Case::of(history).restore(&exact("04:55")).is_ok());
}

/// Row 23.
#[test]
fn damaged_binlog() {
    let mut history = mysql();
    history.damage_binlog(3, 1);
    restore(
        history.clone(),
        &exact("04:45"),
        "binlog binlog.000003 is damaged after byte 500: checksum mismatch at byte 500",
    );
    assert!(Case::of(history).restore(&exact("04:30")).is_ok());
}

/// Row 20.
#[test]
fn coordinates_not_archived() {
    let mut history = History::new(Product::Mysql84);
    history.at("02:00").full();
    history.at("02:10").commit().at("02:20").rotate();
    let expected = "backup 2025-10-02T02-00Z stands in binlog binlog.000001, which is not in the archive";
    restore(history, &exact("02:15"), expected);
}

/// Row 21.
#[test]
fn ambiguous_binlog_name() {
    let mut history = mysql();
    history.at("05:06").reset();
    history.at("05:10").commit().rotate().at("05:20").commit().rotate().commit().rotate().ship();
    let mut case = Case::of(history);
    // The heads tell the two histories apart; a basic store has none.
    assert!(case.restore(&exact("04:41")).is_ok());
    case.catalog.backups.iter_mut().for_each(|backup| backup.entry.binlog_head = None);
    let request = RestoreRequest { backup: Some("2025-10-02T04-00Z".parse().unwrap()), ..exact("04:41") };
    refused(
        &case.restore(&request).unwrap_err(),
        "backup 2025-10-02T04-00Z stands in binlog binlog.000002, and the archive holds 2 different files of that name",
    );
}

#[test]
fn a_head_that_differs_is_another_file() {
    let mut case = Case::of(mysql());
    case.catalog.backups[2].entry.binlog_head = Some(Digest::of(b"another history"));
    let request = RestoreRequest { backup: Some("2025-10-02T04-00Z".parse().unwrap()), ..exact("04:41") };
    assert!(matches!(case.restore(&request), Err(PlanError::CoordinatesNotArchived { .. })));
}

/// Row 19.
#[test]
fn backup_without_pitr() {
    let mut history = History::new(Product::Mysql84);
    history.at("02:00").full();
    history.at("02:10").commit().at("02:20").rotate().ship();
    let mut case = Case::of(history);
    case.catalog.backups[0].entry.pitr = Some(PitrState::No("log_bin is off".into()));
    refused(
        &case.restore(&exact("02:15")).unwrap_err(),
        "backup 2025-10-02T02-00Z cannot start a point-in-time recovery: log_bin is off",
    );
    case.catalog.backups[0].entry.pitr = None;
    case.catalog.backups[0].entry.binlog = None;
    refused(
        &case.restore(&exact("02:15")).unwrap_err(),
        "backup 2025-10-02T02-00Z cannot start a point-in-time recovery: no binlog coordinates were recorded",
    );
}

#[test]
fn not_a_boundary() {
    let change = |facts: &mut Facts| facts.starts.iter_mut().for_each(|start| start.boundary = false);
    restore_where(change, "binlog.000002:500 lies inside a transaction or an event");
}

#[test]
fn nothing_to_ship_from() {
    let mut case = Case::of(mysql());
    case.facts.source = None;
    refused(
        &case.ship(&ShipRequest::default()).unwrap_err(),
        "the directory of the server's binlogs is not known: set binlog_source_dir",
    );
    if let Some(Ok(server)) = &mut case.facts.server {
        server.log_bin = false;
    }
    refused(&case.ship(&ShipRequest::default()).unwrap_err(), "the server writes no binlog (log_bin is off)");
}
