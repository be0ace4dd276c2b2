//! What `dbbak timeline` says of histories: windows, holes, and what would close them; as text, as JSON, as a page.

mod page;

use chrono::TimeDelta;
use dbbak_core::catalog::{TimelineReport, timeline_report};
use dbbak_testkit::history::{History, Product, at};
use insta::assert_snapshot;

fn report(history: &History) -> TimelineReport {
    timeline_report(&history.catalog(), &[], history.now)
}

/// The report's text; no line may be longer than a terminal of 80 columns.
fn text(history: &History) -> String {
    let text = dbbak_cli::timeline_text(&report(history), false);
    for line in text.lines() {
        assert!(line.chars().count() <= 80 && !line.ends_with(' '), "{line:?}");
    }
    text
}

/// A night with everything that goes wrong: a full, a lost binlog, a full that opens a new window, a damaged binlog, a
/// server that died and one that was restored in its place.
fn night() -> History {
    let mut history = History::new(Product::Mysql84);
    history.at("01:00").full();
    for hour in 1..=9 {
        history.at(&format!("{hour:02}:20")).commit().commit();
        if hour == 3 {
            history.incremental();
        }
        history.at(&format!("{hour:02}:50")).commit().rotate().ship();
        if hour == 6 {
            history.at("06:55").full();
        }
    }
    history.lose_binlog(5);
    history.at("10:10").commit().at("10:30").rescue().replace_by(1);
    history.at("10:45").full();
    history.at("11:00").commit().at("11:20").rotate().ship().at("11:45");
    history
}

/// A history without a hole but the one at its end.
fn quiet(product: Product) -> History {
    let mut history = History::new(product);
    history.at("02:00").full();
    history.at("02:10").commit().at("03:00").incremental();
    history.at("03:10").commit().at("03:20").rotate().ship().at("03:32");
    history
}

#[test]
fn a_quiet_night() {
    assert_snapshot!("quiet", text(&quiet(Product::Mariadb)));
}

#[test]
fn a_bad_night() {
    assert_snapshot!("night", text(&night()));
}

#[test]
fn a_damaged_binlog() {
    let mut history = quiet(Product::Mysql84);
    history.at("04:00").commit().at("04:10").commit().at("04:20").rotate().ship().damage_binlog(2, 1);
    assert_snapshot!("damaged", text(&history));
}

#[test]
fn nothing_to_restore() {
    assert_snapshot!("empty", text(&History::new(Product::Mysql84)));
    let mut history = History::new(Product::Mysql84);
    history.at("02:00").full();
    history.at("02:30");
    assert_snapshot!("no_binlogs", text(&history));
    history.incremental();
    let full = history.backups[0].id.ts;
    history.lose_backup(full).at("03:00");
    assert_snapshot!("no_full", text(&history));
}

#[test]
fn weeks_with_a_hole_of_an_hour() {
    let mut history = History::new(Product::Mariadb);
    history.at("01:00").full();
    for day in 0..20 {
        for _ in 0..4 {
            history.wait(TimeDelta::hours(6)).commit().rotate().ship();
        }
        if day % 5 == 4 {
            history.full();
        }
    }
    history.wait(TimeDelta::minutes(10)).commit().rotate().ship();
    let number = history.files.last().unwrap().name.number() - 1;
    history.wait(TimeDelta::hours(1)).commit().rotate().ship();
    history.lose_binlog(number + 1).full();
    history.wait(TimeDelta::hours(3)).commit().rotate().ship();
    assert_snapshot!("weeks", text(&history));
}

#[test]
fn colors_are_for_terminals() {
    let colored = dbbak_cli::timeline_text(&report(&night()), true);
    assert!(colored.contains("\u{1b}[31mHOLE") && !text(&night()).contains('\u{1b}'));
    let plain: String = colored.split('\u{1b}').map(|part| part.split_once('m').map_or(part, |part| part.1)).collect();
    assert_eq!(plain.replace('m', ""), text(&night()).replace('m', ""));
}

#[test]
fn the_report_as_json() {
    let report = report(&night());
    let value = serde_json::to_value(&report).unwrap();
    assert_eq!(value["version"], 1);
    assert_eq!(value["lag_seconds"], 25 * 60);
    assert_eq!(value["windows"].as_array().unwrap().len(), report.windows.len());
    assert_eq!(value["findings"][0]["finding"], "gap");
    assert_eq!(serde_json::from_value::<TimelineReport>(value).unwrap(), report);
}

#[test]
fn a_window_ends_where_the_latest_restore_does() {
    for history in [night(), quiet(Product::Mariadb), quiet(Product::Mysql57)] {
        let report = report(&history);
        let newest = report.windows.iter().map(|window| window.until).max().unwrap();
        assert!(history.now > newest && at("00:00") < newest);
        // Restore without a target aims at it, floored; `list` shows it.
        let catalog = history.catalog();
        let reaches = catalog
            .backups
            .iter()
            .filter_map(|backup| catalog.reach(backup.coordinates().ok()?, backup.entry.binlog_head.as_ref()));
        assert_eq!(reaches.map(|reach| reach.at()).max(), Some(newest));
    }
}

/// A hundred thousand binlogs with two hundred holes: the report and the page stay small.
#[test]
fn a_hundred_thousand_binlogs() {
    let mut history = History::new(Product::Mysql84);
    for _ in 0..200 {
        history.full();
        for _ in 0..5 {
            history.wait(TimeDelta::minutes(1)).commit().rotate();
        }
        history.ship();
    }
    let catalog = history.catalog();
    let template = catalog.binlogs[0].clone();
    let uuid = "00000000-0000-4000-8000-000000000000";
    let binlogs = (0..100_000_u32).filter(|number| number % 500 != 499).map(|number| {
        let opened = 1_759_363_200 + number * 60;
        let time = |seconds| dbbak_core::model::LogTime::from_seconds(opened + seconds);
        dbbak_core::store::BinlogEntry {
            name: format!("binlog.{:06}", number + 1).parse().unwrap(),
            head: None,
            first_event_time: time(0),
            last_event_time: time(60),
            last_transaction_time: Some(time(30)),
            reaches: Some(time(60)),
            gtids_before: Some(if number == 0 { String::new() } else { format!("{uuid}:1-{number}") }),
            gtids_added: Some(format!("{uuid}:{}", number + 1)),
            successor: Some(format!("binlog.{:06}", number + 2).parse().unwrap()),
            ..template.clone()
        }
    });
    let mut catalog = catalog.clone();
    catalog.binlogs = binlogs.collect();
    let began = std::time::Instant::now();
    let report = timeline_report(&catalog, &[], at("00:00") + TimeDelta::days(70));
    let page = dbbak_cli::timeline_page(&report, "/backup");
    println!("report and page of {} binlogs: {:?}, {} bytes", catalog.binlogs.len(), began.elapsed(), page.len());
    assert_eq!(report.timelines[0].pieces.len(), 200);
    assert_eq!(report.findings.len(), 199);
    assert!(page.len() < 100_000, "{}", page.len());
    assert!(dbbak_cli::timeline_text(&report, false).lines().count() < 200);
}
