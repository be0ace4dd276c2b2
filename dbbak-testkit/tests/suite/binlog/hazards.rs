//! What of a binlog is not safe as text for a client, in the events of both vendors.

use dbbak_core::binlog::{Accounts, PipeHazard, pipe_hazard};
use dbbak_testkit::binlog_writer::{BinlogWriter, RowChange, Vendor, event_type};

const TIME: u32 = 1_790_000_000;

fn writer(vendor: Vendor) -> BinlogWriter {
    let mut writer = BinlogWriter::new(vendor, true, TIME);
    match vendor {
        Vendor::Mariadb => writer.gtid_list(&"0-1-9".parse().unwrap()),
        Vendor::Mysql | Vendor::Mysql56 => writer.previous_gtids(&"".parse().unwrap()),
    };
    writer
}

fn found(writer: &BinlogWriter) -> Option<PipeHazard> {
    pipe_hazard(&mut writer.bytes(), (4, u64::MAX), Accounts::Lost { server_id: None }).unwrap()
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
            assert_eq!(pipe_hazard(&mut writer.bytes(), (4, at), Accounts::Lost { server_id: None }).unwrap(), None);
            assert_eq!(
                pipe_hazard(&mut writer.bytes(), (end, u64::MAX), Accounts::Lost { server_id: None }).unwrap(),
                None
            );
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
        assert_eq!(pipe_hazard(&mut writer.bytes(), (4, u64::MAX), Accounts::Kept).unwrap(), None);
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
    let mut writer = writer(Vendor::Mysql);
    writer.query("a", "CREATE DEFINER=`app`@`localhost` EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1");
    let look = |server_id| pipe_hazard(&mut writer.bytes(), (4, u64::MAX), Accounts::Lost { server_id }).unwrap();
    assert_eq!(look(Some(writer.server_id)), None);
    assert_eq!(look(None), None);
    let hazard = look(Some(writer.server_id + 1)).unwrap();
    assert!(hazard.problem.contains("makes or changes an event of server 1,"), "{hazard:?}");
}
