//! The binlog reader shim, over binlogs made by hand.

use super::{Bench, exit, run, text};
use dbbak_core::tools::{
    Exit, Login, ReaderError, ReaderFailure, ReplayReader, StreamReader, ToolRole, judge_binlog_reader, parse_version,
    version_query,
};
use dbbak_testkit::shim::{Done, Effect, Scenario, Series, ShimTool};
use std::path::PathBuf;

/// A binlog with a format description and events of these types, checksums as the server writes them.
fn binlog(kinds: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xfe, 0x62, 0x69, 0x6e];
    // Version, server version, creation time, header length, the lengths of all types, checksum algorithm.
    let mut body = vec![0; 2 + 50 + 4 + 1 + 40];
    body[0] = 4;
    body[56] = 19;
    body.push(1);
    push(&mut bytes, 15, &body);
    for kind in kinds {
        push(&mut bytes, *kind, b"some body");
    }
    bytes
}

fn push(bytes: &mut Vec<u8>, kind: u8, body: &[u8]) {
    let length = u32::try_from(19 + body.len() + 4).unwrap();
    let end = u32::try_from(bytes.len()).unwrap() + length;
    let mut event = vec![0, 0, 0, 0, kind];
    event.extend(7_u32.to_le_bytes());
    event.extend(length.to_le_bytes());
    event.extend(end.to_le_bytes());
    event.extend([0, 0]);
    event.extend(body);
    event.extend(crc32fast::hash(&event).to_le_bytes());
    bytes.extend(event);
}

struct Setup {
    bench: Bench,
    family: dbbak_core::tools::Family,
}

impl Setup {
    fn of(series: Series) -> Self {
        Setup::with(&Scenario::of(series))
    }

    fn with(scenario: &Scenario) -> Self {
        let family = if scenario.series.is_mariadb() {
            dbbak_core::tools::Family::Mariadb
        } else {
            dbbak_core::tools::Family::Mysql
        };
        Setup { bench: Bench::new(scenario), family }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.bench.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Standard output, and the judgement.
    fn read(&self, files: &[PathBuf], start: u64, stop: Option<u64>) -> (String, Result<(), ReaderError>) {
        let reader = ReplayReader {
            program: self.bench.shims.reader.clone(),
            family: self.family,
            files: files.to_vec(),
            start,
            stop,
            local_load: None,
            exclude_gtids: None,
        };
        let output = run(&reader.build().unwrap());
        (text(&output.stdout), judge_binlog_reader(exit(&output), &text(&output.stderr), false))
    }

    fn failure(&self, files: &[PathBuf], start: u64, stop: Option<u64>) -> Option<(Exit, ReaderFailure)> {
        self.read(files, start, stop).1.err().map(|error| (error.exit, error.failure))
    }
}

const MYSQL: &[u8] = &[35, 33, 2, 30, 16];
const MARIADB: &[u8] = &[163, 162, 160, 23, 16];

#[test]
fn prints_the_window_over_several_files() {
    for (series, kinds) in [(Series::Xtrabackup84, MYSQL), (Series::Mariadb1011, MARIADB)] {
        let setup = Setup::of(series);
        let bytes = binlog(kinds);
        let files = [setup.file("a.000001", &bytes), setup.file("a.000002", &bytes)];
        let first = 4 + 19 + 98 + 4;
        let (out, judged) = setup.read(&files, first, Some(first + 32));
        assert_eq!(judged, Ok(()), "{series:?}");
        // All but the format description of the first file, which always comes; of the second one event more.
        assert_eq!(out.matches("# at ").count(), 6 + 2, "{out}");
    }
}

#[test]
fn is_silent_past_the_end_and_loud_inside_an_event() {
    for (series, kinds) in [(Series::Xtrabackup84, MYSQL), (Series::Mariadb1011, MARIADB)] {
        let setup = Setup::of(series);
        let file = [setup.file("a.000001", &binlog(kinds))];
        let (out, judged) = setup.read(&file, 99_999, None);
        assert_eq!((out.contains("# at "), judged), (false, Ok(())));
        assert_eq!(setup.failure(&file, 5, None), Some((Exit::Code(1), ReaderFailure::BadEvent)));
        let missing = [setup.bench.path("nowhere.000001")];
        assert_eq!(setup.failure(&missing, 4, None), Some((Exit::Code(1), ReaderFailure::NoSuchFile)));
    }
    let setup = Setup::of(Series::Mariadb1011);
    let file = [setup.file("a.000001", &binlog(MARIADB))];
    assert_eq!(setup.failure(&file, 4, Some(99_999)), Some((Exit::Code(0), ReaderFailure::EndNotReached)));
}

#[test]
fn damage_ends_with_status_0_where_the_file_is_in_use() {
    for (series, kinds) in [(Series::Xtrabackup84, MYSQL), (Series::Mariadb1011, MARIADB)] {
        let setup = Setup::of(series);
        let good = binlog(kinds);
        let mut flipped = good.clone();
        let last = flipped.len() - 6;
        flipped[last] ^= 1;
        let cut = &good[..good.len() - 3];
        let in_use = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes[21] |= 1;
            bytes
        };
        let failure = |bytes: &[u8]| setup.failure(&[setup.file("a.000001", bytes)], 4, None);
        assert_eq!(failure(&flipped), Some((Exit::Code(1), ReaderFailure::Checksum)), "{series:?}");
        assert_eq!(failure(cut), Some((Exit::Code(1), ReaderFailure::Truncated)), "{series:?}");
        assert_eq!(failure(&in_use(cut)), Some((Exit::Code(0), ReaderFailure::Truncated)), "{series:?}");
        let status = if series.is_mariadb() { 0 } else { 1 };
        assert_eq!(failure(&in_use(&flipped)), Some((Exit::Code(status), ReaderFailure::Checksum)), "{series:?}");
        assert_eq!(failure(&in_use(&good)), None);
    }
}

#[test]
fn refuses_what_is_no_binlog_of_its_vendor() {
    let mysql = Setup::of(Series::Xtrabackup84);
    let failure = |setup: &Setup, bytes: &[u8]| setup.failure(&[setup.file("a.000001", bytes)], 4, None);
    assert_eq!(failure(&mysql, b""), Some((Exit::Code(1), ReaderFailure::NotABinlog)));
    assert_eq!(failure(&mysql, b"some text"), Some((Exit::Code(1), ReaderFailure::NotABinlog)));
    assert_eq!(failure(&mysql, b"\xfdbin0000"), Some((Exit::Code(1), ReaderFailure::Encrypted)));
    assert_eq!(failure(&mysql, &binlog(MARIADB)), Some((Exit::Code(1), ReaderFailure::NotABinlog)));
    // MariaDB's reader goes on with MySQL's log, and has lost the GTIDs.
    let mariadb = Setup::of(Series::Mariadb1011);
    assert_eq!(failure(&mariadb, &binlog(MYSQL)), Some((Exit::Code(0), ReaderFailure::NotABinlog)));
}

#[test]
fn copies_a_servers_binlogs() {
    let setup = Setup::of(Series::Mariadb1011);
    let server = setup.bench.shims.dir.join("server-binlogs");
    std::fs::create_dir(&server).unwrap();
    std::fs::create_dir(setup.bench.path("copies")).unwrap();
    let mut open = binlog(MARIADB);
    open[21] |= 1;
    std::fs::write(server.join("a.000001"), binlog(MARIADB)).unwrap();
    std::fs::write(server.join("a.000002"), &open).unwrap();
    let stream = |first: &str| StreamReader {
        program: setup.bench.shims.reader.clone(),
        family: setup.family,
        login: Login::Defaults,
        first: first.parse().unwrap(),
        dir: setup.bench.path("copies"),
        connection_server_id: 1,
        never_stop: false,
    };
    let output = run(&stream("a.000001").build().unwrap());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(std::fs::read(setup.bench.path("copies/a.000002")).unwrap(), binlog(MARIADB), "the in-use bit is gone");
    let output = run(&stream("a.000009").build().unwrap());
    let judged = judge_binlog_reader(exit(&output), &text(&output.stderr), false);
    assert_eq!(judged.unwrap_err().failure, ReaderFailure::NoSuchFile);
}

#[test]
fn prints_half_and_fails_as_scripted() {
    let effect = Effect::Exit { code: 1, stderr: "ERROR: Could not read entry".into(), done: Done::Half };
    let setup = Setup::with(&Scenario::of(Series::Mariadb1011).fail(ShimTool::Reader, "", 2, effect));
    let file = [setup.file("a.000001", &binlog(MARIADB))];
    let (whole, judged) = setup.read(&file, 4, None);
    assert_eq!(judged, Ok(()));
    let (half, judged) = setup.read(&file, 4, None);
    assert!(half.len() < whole.len() && whole.starts_with(&half) && judged.is_err());
}

#[test]
fn prints_its_version() {
    for (series, known) in [
        (Series::Xtrabackup80, true),
        (Series::Mariadb118, true),
        // MariaDB 10.11 and MySQL 5.7 print a number of their own; the latter does not even tell the vendor.
        (Series::Mariadb1011, false),
    ] {
        let bench = Bench::new(&Scenario::of(series));
        let output = run(version_query(&bench.shims.reader).spec());
        let version = parse_version(ToolRole::BinlogReader, &text(&output.stdout)).unwrap();
        assert_eq!((version.version.is_some(), version.kind.family()), (known, Setup::of(series).family), "{series:?}");
    }
    let bench = Bench::new(&Scenario::of(Series::Xtrabackup24));
    let output = run(version_query(&bench.shims.reader).spec());
    assert!(parse_version(ToolRole::BinlogReader, &text(&output.stdout)).is_err());
}
