//! What of a binlog is not safe as text for a client, in the events of both vendors.

use dbbak_core::binlog::{Accounts, PipeHazard, PipeSession, ShortTime, pipe_hazard};
use dbbak_testkit::binlog_writer::{BinlogWriter, RowChange, Vendor, event_type};

const TIME: u32 = 1_790_000_000;
const LOST: Accounts = Accounts::Lost { server_id: None };

fn writer(vendor: Vendor) -> BinlogWriter {
    let mut writer = BinlogWriter::new(vendor, true, TIME);
    match vendor {
        Vendor::Mariadb => writer.gtid_list(&"0-1-9".parse().unwrap()),
        Vendor::Mysql | Vendor::Mysql56 => writer.previous_gtids(&"".parse().unwrap()),
    };
    writer
}

fn found(writer: &BinlogWriter) -> Option<PipeHazard> {
    pipe_hazard(&mut writer.bytes(), (4, u64::MAX), &mut PipeSession::new(LOST)).unwrap()
}

/// An innocent transaction, and the place where the next event begins.
fn ordinary(writer: &mut BinlogWriter) -> u64 {
    writer.begin();
    writer.table_map(7, "my \"db\" */ `x`", "t\t#1 ж /*!*/;");
    writer.rows(RowChange::Insert, 7, &[(1, "a\n/*!*/;\n")], true);
    writer.xid(1);
    writer.query("d\nb", "create table `a\nb` (i int comment 'x /*!*/;\n\\! id')")
}

#[test]
fn names_of_tables_must_not_end_a_line() {
    for vendor in [Vendor::Mysql, Vendor::Mysql56, Vendor::Mariadb] {
        for (database, table) in [("a", "x\nDROP DATABASE v"), ("a\nb", "x"), ("a", "x\ry"), ("a", "x\u{0}y")] {
            let mut writer = writer(vendor);
            let at = ordinary(&mut writer);
            assert_eq!(found(&writer), None);
            writer.table_map(8, database, table);
            let end = writer.rows(RowChange::Insert, 8, &[(1, "a")], true);
            let hazard = found(&writer).unwrap();
            assert_eq!(hazard.at, at, "{hazard:?}");
            assert!(!hazard.problem.contains(|sign: char| sign.is_control()), "{hazard:?}");
            // Outside of the part that is replayed it does no harm.
            assert_eq!(pipe_hazard(&mut writer.bytes(), (4, at), &mut PipeSession::new(LOST)).unwrap(), None);
            assert_eq!(pipe_hazard(&mut writer.bytes(), (end, u64::MAX), &mut PipeSession::new(LOST)).unwrap(), None);
        }
    }
}

#[test]
fn statements_must_end_for_the_client_where_they_end() {
    let bad = "select 1 /*!99999 /*!*/;\nselect 2 into outfile '/tmp/x' /*!*/;\n*/";
    let mut mysql = writer(Vendor::Mysql);
    let at = ordinary(&mut mysql);
    mysql.query("a", bad);
    let hazard = found(&mysql).unwrap();
    assert_eq!((hazard.at, hazard.statement.as_deref()), (at, Some(bad)));

    let mut mariadb = writer(Vendor::Mariadb);
    let at = ordinary(&mut mariadb);
    mariadb.compressed_query("a", "select 1");
    assert_eq!(found(&mariadb), None);
    mariadb.compressed_query("a", bad);
    assert!(found(&mariadb).unwrap().at > at);
}

#[test]
fn compressed_transactions_are_looked_into() {
    for (table, safe) in [("t", true), ("t\nSELECT 1", false)] {
        let mut payload = BinlogWriter::payload(TIME);
        payload.begin();
        payload.table_map(7, "a", table);
        payload.rows(RowChange::Insert, 7, &[(1, "a")], true);
        payload.xid(1);
        let plain = payload.bytes();
        for compression in [0, 255] {
            let mut writer = writer(Vendor::Mysql);
            let at = ordinary(&mut writer);
            let packed = if compression == 0 { zstd::encode_all(plain, 3).unwrap() } else { plain.to_vec() };
            writer.transaction_payload(&packed, compression, plain.len() as u64);
            assert_eq!(found(&writer).map(|hazard| hazard.at), (!safe).then_some(at));
        }
        // One that cannot be opened may hold anything.
        let mut writer = writer(Vendor::Mysql);
        let at = ordinary(&mut writer);
        writer.transaction_payload(b"xxxx", 7, 4);
        assert_eq!(found(&writer).map(|hazard| hazard.at), Some(at));
    }
}

#[test]
fn variables_and_other_texts_are_looked_at() {
    let user_variable = |name: &str| {
        let mut writer = writer(Vendor::Mariadb);
        let mut body = (name.len() as u32).to_le_bytes().to_vec();
        body.extend_from_slice(name.as_bytes());
        body.push(1);
        writer.event(14, 0, &body);
        found(&writer).is_some()
    };
    assert!(!user_variable("a\n`'\"b") && user_variable("a\\") && user_variable("a\\`b"));
    let mut writer = writer(Vendor::Mysql);
    writer.incident("lost\nDROP DATABASE a");
    assert!(found(&writer).is_some());
}

/// A Query event of a client with a character set (the number of its collation).
fn of_charset(writer: &mut BinlogWriter, flags: u16, charset: Option<u16>, database: &str) {
    let mut status = Vec::new();
    if let Some(charset) = charset {
        status.push(4);
        for number in [charset, charset, 8] {
            status.extend_from_slice(&number.to_le_bytes());
        }
    }
    let mut body = vec![0; 8];
    body.extend_from_slice(&[u8::try_from(database.len()).unwrap(), 0, 0]);
    body.extend_from_slice(&u16::try_from(status.len()).unwrap().to_le_bytes());
    body.extend_from_slice(&status);
    body.extend_from_slice(database.as_bytes());
    body.extend_from_slice(b"\0insert into t values (@`\xc3\xbc`)");
    writer.event(event_type::QUERY, flags, &body);
}

fn user_variable(writer: &mut BinlogWriter, name: &str) {
    let mut body = u32::try_from(name.len()).unwrap().to_le_bytes().to_vec();
    body.extend_from_slice(name.as_bytes());
    body.push(1);
    writer.event(14, 0, &body);
}

/// A reader prints them before the statement's own character set: `é` would be the schema `Ã©` for a session in latin1.
#[test]
fn names_are_read_in_the_character_set_of_the_statement_before() {
    const LATIN1: Option<u16> = Some(8);
    const SUPPRESS_USE: u16 = 8;
    let told = |first: &[(u16, Option<u16>, &str)], variable: &str| {
        let mut writer = writer(Vendor::Mariadb);
        for (flags, charset, database) in first {
            of_charset(&mut writer, *flags, *charset, database);
        }
        user_variable(&mut writer, variable);
        found(&writer).map(|hazard| hazard.problem)
    };
    // The last one is binary, which leaves names as they are.
    for utf8 in [Some(33), Some(45), Some(255), Some(1057), Some(2304), Some(63)] {
        assert_eq!(told(&[(0, utf8, "é"), (0, LATIN1, "é"), (0, utf8, "é"), (0, utf8, "ж")], "ü"), None, "{utf8:?}");
    }
    assert_eq!(told(&[(0, None, "é"), (0, None, "ж")], "ü"), None);
    assert_eq!(told(&[(0, LATIN1, "a"), (SUPPRESS_USE, LATIN1, "é"), (0, LATIN1, "b")], "u"), None);
    let schema = told(&[(0, LATIN1, "a"), (0, Some(45), "é")], "u").unwrap();
    assert!(schema.starts_with("a schema's name") && schema.ends_with("statement before: é"), "{schema}");
    // The reader prints the name again behind a statement without one.
    assert!(told(&[(0, LATIN1, "é"), (SUPPRESS_USE, LATIN1, ""), (0, LATIN1, "é")], "u").is_some());
    assert!(told(&[(0, LATIN1, "a"), (0, Some(63), "é")], "u").is_some());
    // In swe7 signs of ASCII are letters.
    for collation in [10, 82, 1034] {
        assert!(told(&[(0, Some(collation), "a"), (0, Some(45), "a|b")], "u").is_some(), "{collation}");
        assert_eq!(told(&[(0, Some(collation), "a"), (0, Some(45), "ab_$9")], "u"), None);
    }
    let variable = told(&[(0, LATIN1, "é")], "ü").unwrap();
    assert!(variable.starts_with("a variable's name"), "{variable}");

    // The client's session goes on from file to file.
    let mut session = PipeSession::new(LOST);
    let mut first = writer(Vendor::Mysql);
    of_charset(&mut first, 0, LATIN1, "a");
    let mut second = writer(Vendor::Mysql);
    of_charset(&mut second, 0, LATIN1, "é");
    let mut look = |writer: &BinlogWriter| pipe_hazard(&mut writer.bytes(), (4, u64::MAX), &mut session).unwrap();
    assert_eq!(look(&first), None);
    assert!(look(&second).is_some());
}

/// A client commits what is printed of a sequence's row.
#[test]
fn numbers_of_a_sequence_are_no_part_of_a_clients_transaction() {
    const SEQUENCE: [u8; 8] = [8, 8, 8, 8, 8, 8, 1, 8];
    let of = |types: &[u8], begin: &dyn Fn(&mut BinlogWriter), rest: &dyn Fn(&mut BinlogWriter)| {
        let mut writer = writer(Vendor::Mariadb);
        writer.mariadb_gtid(0, 10, 0);
        begin(&mut writer);
        writer.table_map_of(7, "shop", "s", types, &[]);
        rest(&mut writer);
        writer.xid(1);
        // Another transaction.
        writer.mariadb_gtid(0, 11, 0);
        writer.table_map(8, "shop", "t");
        writer.xid(2);
        found(&writer).map(|hazard| hazard.problem)
    };
    let nothing = |_: &mut BinlogWriter| ();
    let table = |writer: &mut BinlogWriter| {
        writer.table_map(8, "shop", "t");
    };
    let again = |writer: &mut BinlogWriter| {
        writer.table_map_of(7, "shop", "s", &SEQUENCE, &[]);
    };
    let statement = |writer: &mut BinlogWriter| {
        writer.query("shop", "insert into e values (1)");
    };
    let commit = |writer: &mut BinlogWriter| {
        writer.query("shop", "COMMIT");
    };
    for (begin, rest) in [
        (&nothing as &dyn Fn(&mut BinlogWriter), &table as &dyn Fn(&mut BinlogWriter)),
        (&table, &nothing),
        (&statement, &nothing),
        (&nothing, &statement),
        (&nothing, &again),
    ] {
        assert!(of(&SEQUENCE, begin, rest).unwrap().contains("of the sequence s"));
        // MariaDB 11.5 and later have sequences of other types.
        assert!(of(&[1, 1, 1, 1, 8, 8, 1, 8], begin, rest).is_some());
        assert_eq!(of(&[8, 8, 8, 8, 8, 8, 8, 8], begin, &nothing), None);
    }
    assert_eq!(of(&SEQUENCE, &nothing, &nothing), None);
    assert_eq!(of(&SEQUENCE, &nothing, &commit), None);
}

/// MySQL's client takes `DELIMITER`, which its reader prints at the end, for a statement while its character set is binary.
#[test]
fn mysqls_client_must_know_the_delimiter_at_the_end() {
    for (vendor, hazard) in [(Vendor::Mysql, true), (Vendor::Mariadb, false)] {
        let mut writer = writer(vendor);
        of_charset(&mut writer, 0, Some(8), "a");
        let at = writer.offset();
        of_charset(&mut writer, 0, Some(63), "a");
        let same = writer.offset();
        of_charset(&mut writer, 0, Some(63), "a");
        let found = |writer: &BinlogWriter, span| {
            pipe_hazard(&mut writer.bytes(), span, &mut PipeSession::new(LOST)).unwrap().map(|hazard| hazard.at)
        };
        assert_eq!(found(&writer, (4, at)), None);
        assert_eq!(found(&writer, (4, u64::MAX)), hazard.then_some(at));
        assert_eq!(found(&writer, (same, u64::MAX)), hazard.then_some(same));
        of_charset(&mut writer, 0, Some(45), "a");
        assert_eq!(found(&writer, (4, u64::MAX)), None, "it has another one at the end");
    }
}

/// A Query event of a session whose account matters, as servers write it.
fn invoked(text: &str) -> BinlogWriter {
    let mut writer = writer(Vendor::Mariadb);
    let status = b"\x0b\x03app\x09localhost";
    let mut body = vec![0; 8];
    body.extend_from_slice(&[1, 0, 0]);
    body.extend_from_slice(&(status.len() as u16).to_le_bytes());
    body.extend_from_slice(status);
    body.extend_from_slice(b"a\0");
    body.extend_from_slice(text.as_bytes());
    writer.event(event_type::QUERY, 0, &body);
    writer
}

#[test]
fn statements_that_go_by_who_ran_them_are_not_for_another_account() {
    for text in ["ALTER EVENT e DISABLE", "create role r1", "alter user current_user() identified by 'x'"] {
        let writer = invoked(text);
        let hazard = found(&writer).unwrap();
        assert!(hazard.problem.contains("app@localhost"), "{hazard:?}");
        assert_eq!(
            pipe_hazard(&mut writer.bytes(), (4, u64::MAX), &mut PipeSession::new(Accounts::Kept)).unwrap(),
            None
        );
    }
    for text in [
        "CREATE DEFINER=`app`@`localhost` EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1",
        "CREATE OR REPLACE ALGORITHM=UNDEFINED DEFINER=`app`@`localhost` SQL SECURITY DEFINER VIEW v AS select 1",
    ] {
        assert_eq!(found(&invoked(text)), None);
    }
}

#[test]
fn an_event_of_another_server_is_not_for_a_client() {
    for text in [
        "CREATE DEFINER=`app`@`localhost` EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1",
        "ALTER /*M! DEFINER='a TABLE */ EVENT e DISABLE",
    ] {
        let mut writer = writer(Vendor::Mysql);
        writer.query("a", text);
        let look = |server_id| {
            let mut session = PipeSession::new(Accounts::Lost { server_id });
            pipe_hazard(&mut writer.bytes(), (4, u64::MAX), &mut session).unwrap()
        };
        assert_eq!(look(Some(writer.server_id)), None);
        assert_eq!(look(None), None);
        let hazard = look(Some(writer.server_id + 1)).unwrap();
        assert!(hazard.problem.contains("makes or changes an event of server 1,"), "{hazard:?}");
    }
}

/// Readers of MariaDB before 10.11.18 and 11.8.6 print `.000123` as `.123`.
#[test]
fn a_time_that_begins_with_zeros_is_told() {
    let short = |status: &[u8], compressed| {
        let mut writer = writer(Vendor::Mariadb);
        let at = ordinary(&mut writer);
        let end = writer.query_of(status, "a", b"INSERT INTO t VALUES (NOW(6))", compressed);
        let mut session = PipeSession::new(LOST);
        assert_eq!(pipe_hazard(&mut writer.bytes(), (4, u64::MAX), &mut session).unwrap(), None);
        let found = session.short_time();
        assert_eq!(pipe_hazard(&mut writer.bytes(), (4, at), &mut session).unwrap(), None);
        assert_eq!(session.short_time(), None, "it is behind what is replayed");
        (found, at, end)
    };
    let mode = [1, 0, 0, 0, 0, 0, 0, 0, 0];
    for compressed in [false, true] {
        let (found, at, end) = short(&[&mode[..], &[128, 123, 0, 0]].concat(), compressed);
        assert_eq!(found, Some(ShortTime { at, end, seconds: TIME, microseconds: 123 }));
    }
    // 100,000, none, and a time that does not matter.
    for status in [&[128, 0xa0, 0x86, 1][..], &[128, 0, 0, 0], &mode] {
        assert_eq!(short(status, false).0, None, "{status:?}");
    }
}
