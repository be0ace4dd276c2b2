//! Decides whether one archived binlog follows another: by names, endings and GTID sets.

use super::Finding;
use crate::{
    model::{BinlogName, GtidSet, Lsn, MysqlGtidSet},
    store::{BinlogEnding, BinlogEntry, BinlogSource, DataState},
};

/// Without GTIDs: how many seconds may lie between the closing of a file and the beginning of the next. Both are stamped
/// by the session that rotates, with the same time, a made-up one too; a slow disk delays those of the server's own threads.
const ROTATION_SECONDS: i64 = 600;

/// Bytes of redo that a server may have counted, and not written when it died.
const UNWRITTEN: u64 = 1 << 20;

/// How an archived file stands to the next one of its timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Continuity {
    /// Nothing is missing between them.
    Follows,
    /// Nothing is missing between them, and something is to be told.
    Told(Finding),
    /// No replay may go from one to the other.
    Broken(Finding),
}

/// Decides whether a file follows another.
///
/// The name must be the one that the file before names (or the next number). Then the GTIDs that the next one says were
/// before it must be those up to the end of the file before. Where they are not, the names and the stamps of an orderly
/// rotation may still prove that the GTID state was changed by hand: MySQL's `gtid_purged` takes GTIDs of other servers,
/// MariaDB's `FLUSH BINARY LOGS DELETE_DOMAIN_ID` takes whole domains out. Everything else is a gap. So is a start of the server with data
/// that went back: GTIDs and names go on behind them.
pub fn continuity(file: &BinlogEntry, next: &BinlogEntry) -> Continuity {
    match by_log(file, next) {
        Continuity::Broken(finding) => Continuity::Broken(finding),
        found => match data_between((&file.name, file.data.as_ref()), file.ending, (&next.name, next.data.as_ref())) {
            Some(finding) if finding.is_gap() => Continuity::Broken(finding),
            Some(finding) => Continuity::Told(finding),
            None => found,
        },
    }
}

/// What is to be told of a server's data, as they were when one file was archived and when a later one was.
///
/// Where the file ended with the server, the next one was begun by a start. Else an LSN at the start that is another one tells of a start: cold
/// copies that were put back have the same again.
pub fn data_between(
    (after, one): (&BinlogName, Option<&DataState>),
    ending: Option<BinlogEnding>,
    (next, other): (&BinlogName, Option<&DataState>),
) -> Option<Finding> {
    // The very same: nobody saw the server's data with the later one.
    let (one, other) = (one?, other.filter(|other| one != Some(*other))?);
    let (after, next) = (after.clone(), next.clone());
    let ended = matches!(ending, Some(BinlogEnding::Stop | BinlogEnding::Crashed));
    // What a server wrote last may be lost with it, and was in no transaction that it confirmed.
    let lost = if ending == Some(BinlogEnding::Stop) { 0 } else { UNWRITTEN };
    let behind = |found: &Lsn| one.lsn.is_some_and(|reached| found.0.saturating_add(lost) < reached.0);
    let started = other.started.filter(|started| ended || one.started.is_some_and(|before| before != *started));
    let found = other.lsn.filter(behind).or(started.filter(behind));
    let others = one.born.zip(other.born).is_some_and(|(before, born)| before != born);
    match (found, one.lsn, other.born) {
        // A restore of this program makes files with an LSN of their own, and proves what they hold.
        (Some(found), Some(reached), _) if !(others && other.restored.is_some() && other.restored != one.restored) => {
            Some(Finding::DataWentBack { after, next, reached, found })
        }
        (_, _, Some(born)) if others => Some(Finding::OtherData { after, next, born }),
        _ => None,
    }
}

fn by_log(file: &BinlogEntry, next: &BinlogEntry) -> Continuity {
    let (after, then) = (file.name.clone(), next.name.clone());
    let expected = file.successor.clone().unwrap_or_else(|| file.name.successor());
    if next.name != expected {
        return Continuity::Broken(Finding::Gap { after, first_missing: expected, next: then });
    }
    let before: Option<GtidSet> = next.gtids_before.as_deref().and_then(|text| text.parse().ok());
    let known = file.gtids_before.as_ref().and_then(|_| file.gtids_at_end());
    let (Some(before), Some(known)) = (before, known) else { return without_gtids(file, next) };
    if before.is_empty() && known.is_empty() {
        return without_gtids(file, next);
    }
    let (missing, unknown) = (minus(&before, &known), minus(&known, &before));
    match (missing, unknown, file.partial.is_some()) {
        // Where numbers went back, a server that was put back can have come to the same ones: a rotation must bear witness, in which one session
        // stamps both files.
        (None, None, _) if file.went_back() && !rotated_into(file, next) => {
            let seconds = (next.first_event_time.at() - file.last_event_time.at()).num_seconds();
            Continuity::Broken(Finding::OtherTimes { after, next: then, seconds })
        }
        (None, None, false) => Continuity::Follows,
        (None, None, true) if every_transaction_has_a_gtid(file) => Continuity::Follows,
        (None, None, true) => Continuity::Broken(Finding::OpenEnd { file: after, next: then, missing: None }),
        (Some(missing), _, true) => {
            Continuity::Broken(Finding::OpenEnd { file: after, next: then, missing: Some(missing.to_string()) })
        }
        (missing, unknown, _) => {
            let text = |set: &Option<GtidSet>| set.as_ref().map(ToString::to_string).unwrap_or_default();
            let (added, removed) = (text(&missing), text(&unknown));
            if rotated_into(file, next) && by_hand(file, &before, missing.as_ref(), unknown.as_ref()) {
                return Continuity::Told(Finding::GtidStateChanged { after, next: then, added, removed });
            }
            Continuity::Broken(match unknown {
                Some(_) => Finding::OtherHistory { after, next: then, unknown: removed },
                None => Finding::GtidsMissing { after, next: then, missing: added },
            })
        }
    }
}

fn without_gtids(file: &BinlogEntry, next: &BinlogEntry) -> Continuity {
    let (after, then) = (file.name.clone(), next.name.clone());
    if file.partial.is_some() {
        return Continuity::Broken(Finding::OpenEnd { file: after, next: then, missing: None });
    }
    if let (Some(one), Some(other)) = (&file.source, &next.source)
        && same_server(one, other) == Some(false)
    {
        let (expected, found) = (server_text(one), server_text(other));
        return Continuity::Broken(Finding::Foreign { after, next: then, expected, found });
    }
    if file.ending == Some(BinlogEnding::Rotate) {
        let seconds = (next.first_event_time.at() - file.last_event_time.at()).num_seconds();
        if seconds.abs() > ROTATION_SECONDS {
            return Continuity::Broken(Finding::OtherTimes { after, next: then, seconds });
        }
    }
    Continuity::Follows
}

/// Whether a file's last event, an orderly rotation, and the next one's first event bear the same stamp. One session writes both.
fn rotated_into(file: &BinlogEntry, next: &BinlogEntry) -> bool {
    file.ending == Some(BinlogEnding::Rotate)
        && file.successor.as_ref() == Some(&next.name)
        && file.damaged.is_none()
        && file.last_event_time == next.first_event_time
}

/// Whether a person can have changed the GTID state so, with the logs left as they are.
fn by_hand(file: &BinlogEntry, before: &GtidSet, missing: Option<&GtidSet>, unknown: Option<&GtidSet>) -> bool {
    match (missing, unknown, before) {
        // A server's own transactions are in its own logs, or they are missing.
        (Some(GtidSet::Mysql(missing)), None, _) => {
            let own = file.source.as_ref().and_then(|source| source.uuid.as_deref());
            own.is_some_and(|own| missing.intervals().all(|(uuid, ..)| uuid.to_string() != own.to_ascii_lowercase()))
        }
        (None, Some(GtidSet::Mariadb(unknown)), GtidSet::Mariadb(before)) => {
            unknown.entries().all(|(domain, ..)| before.last_in(domain).is_none())
        }
        _ => false,
    }
}

/// Whether a file's transactions can be counted by their GTIDs; one without a GTID is in no set.
pub fn every_transaction_has_a_gtid(file: &BinlogEntry) -> bool {
    let added: Option<GtidSet> = file.gtids_added.as_deref().and_then(|text| text.parse().ok());
    match (added, file.transactions) {
        (Some(GtidSet::Mysql(added)), Some(transactions)) => added.count() >= transactions,
        (None, Some(transactions)) => transactions == 0,
        // MariaDB gives every transaction a GTID.
        _ => true,
    }
}

/// What one set holds and the other lacks; `None`: nothing. Of MariaDB the last GTID of each domain and server stands for
/// all before it.
pub fn minus(one: &GtidSet, other: &GtidSet) -> Option<GtidSet> {
    let rest = match (one, other) {
        (GtidSet::Mysql(one), GtidSet::Mysql(other)) => GtidSet::Mysql(one.subtract(other)),
        (GtidSet::Mysql(one), _) => GtidSet::Mysql(one.subtract(&MysqlGtidSet::default())),
        (GtidSet::Mariadb(one), other) => {
            let mut rest = crate::model::MariadbGtidState::default();
            for (domain, server, seq) in one.entries() {
                let held = matches!(other, GtidSet::Mariadb(other) if other.contains(domain, server, seq));
                if !held {
                    rest.insert(domain, server, seq);
                }
            }
            GtidSet::Mariadb(rest)
        }
    };
    (!rest.is_empty()).then_some(rest)
}

/// Whether two records are of one server; `None`: they do not tell. A UUID says it, else the `server_id`.
pub fn same_server(one: &BinlogSource, other: &BinlogSource) -> Option<bool> {
    match (&one.uuid, &other.uuid) {
        (Some(one), Some(other)) => Some(one.eq_ignore_ascii_case(other)),
        _ => Some(one.server_id? == other.server_id?),
    }
}

fn server_text(source: &BinlogSource) -> String {
    let id = source.server_id.map_or("unknown".to_owned(), |id| id.to_string());
    match &source.uuid {
        Some(uuid) => format!("server {id} ({uuid})"),
        None => format!("server {id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::PartialBinlog;
    use crate::{
        catalog::sample::{file, lettered, partial},
        model::{LogTime, Lsn},
    };

    fn said(one: &BinlogEntry, next: &BinlogEntry) -> String {
        match continuity(one, next) {
            Continuity::Follows => "follows".to_owned(),
            Continuity::Told(finding) => format!("told: {}", lettered(&finding.to_string())),
            Continuity::Broken(finding) => format!("broken: {}", lettered(&finding.to_string())),
        }
    }

    fn pair(one: (Option<&str>, &str), next: Option<&str>) -> (BinlogEntry, BinlogEntry) {
        (file("t1", 1, 3, one.0, one.1), file("t1", 1, 4, next, ""))
    }

    fn skewed(mut pair: (BinlogEntry, BinlogEntry), seconds: u32) -> (BinlogEntry, BinlogEntry) {
        pair.1.first_event_time = LogTime::from_seconds(1_759_413_600 + 4 * 60 + seconds);
        pair
    }

    #[test]
    fn gtids_and_names_decide() {
        let cases = [
            (pair((Some("A:1-5"), "A:6-9"), Some("A:1-9")), "follows"),
            (pair((Some(""), "0-1-9"), Some("0-1-9")), "follows"),
            (pair((Some("0-1-5"), ""), Some("0-1-5")), "follows"),
            (
                pair((Some("A:1-5"), "A:6-9"), Some("A:1-12")),
                "broken: bin.000004 follows bin.000003 by name, but transactions are missing between them: A:10-12",
            ),
            (
                pair((Some("A:1-5"), "A:6-9"), Some("A:1-7")),
                "broken: bin.000004 follows bin.000003 by name, but belongs to another history: it does not know A:8-9",
            ),
            (
                pair((Some("A:1-5"), "A:6-9"), Some("")),
                "broken: bin.000004 follows bin.000003 by name, but belongs to another history: it does not know A:1-9",
            ),
            // `SET GLOBAL gtid_purged = '+B:1-100'`, which makes MySQL rotate.
            (
                pair((Some("A:1-5"), "A:6-9"), Some("A:1-9,B:1-100")),
                "told: the GTID state was changed by hand between bin.000003 and bin.000004: B:1-100 came without a transaction",
            ),
            // `FLUSH BINARY LOGS DELETE_DOMAIN_ID = (7)`.
            (
                pair((Some("0-1-5"), "7-1-2,0-1-9"), Some("0-1-9")),
                "told: the GTID state was changed by hand between bin.000003 and bin.000004: 7-1-2 was taken out",
            ),
            (
                pair((Some("0-1-5"), "0-1-9"), Some("0-1-12")),
                "broken: bin.000004 follows bin.000003 by name, but transactions are missing between them: 0-1-12",
            ),
        ];
        for ((one, next), expected) in cases {
            assert_eq!(said(&one, &next), expected);
        }
    }

    /// `SET gtid_seq_no` below the server's last one, in the file and at its beginning.
    #[test]
    fn numbers_that_go_back_are_one_history() {
        for (before, added, last, next_before) in [
            ("", "0-1-9", "0-1-3", "0-1-3"),
            ("0-1-3", "0-1-5", "0-1-5", "0-1-5"),
            ("0-1-9,1-2-4", "0-1-3", "0-1-3", "1-2-4,0-1-3"),
        ] {
            let (mut one, next) = pair((Some(before), added), Some(next_before));
            one.gtids_last = Some(last.into());
            assert_eq!(said(&one, &next), "follows", "{before} {added}");
            // A server that was put back to an earlier place does not know what came last.
            let (mut one, next) = pair((Some(before), added), Some("0-1-2"));
            one.gtids_last = Some(last.into());
            assert!(said(&one, &next).contains("belongs to another history"), "{}", said(&one, &next));
        }
    }

    /// A server that was put back to a place before its numbers went back can have come to the same ones. Its log goes on at another time than the rotation.
    #[test]
    fn equal_numbers_that_went_back_need_an_orderly_rotation_as_witness() {
        for (seconds, begin) in [(0, "follows"), (1, "broken: ")] {
            let (mut one, next) = skewed(pair((Some("0-1-5"), "0-1-8"), Some("0-1-5")), seconds);
            one.gtids_last = Some("0-1-5".into());
            assert!(said(&one, &next).starts_with(begin), "{}", said(&one, &next));
        }
        // Ended in another way, or saved from a dead server, it has no witness.
        let (mut one, next) = pair((Some("0-1-5"), "0-1-8"), Some("0-1-5"));
        one.gtids_last = Some("0-1-5".into());
        one.ending = Some(BinlogEnding::Stop);
        assert!(said(&one, &next).starts_with("broken: "), "{}", said(&one, &next));
        one.partial = Some(PartialBinlog { last_good: 400, unknown: Default::default() });
        assert!(said(&one, &next).starts_with("broken: "), "{}", said(&one, &next));
    }

    #[test]
    fn a_state_changed_by_hand_needs_an_orderly_rotation_as_witness() {
        // After a reset that nobody saw, the number of the next file was reached again: nothing but the stamps tells.
        let (one, next) = skewed(pair((Some("A:1-5"), "A:6-9"), Some("A:1-9,B:1-100")), 1);
        assert!(said(&one, &next).starts_with("broken: "), "{}", said(&one, &next));
        let (mut one, next) = pair((Some("A:1-5"), "A:6-9"), Some("A:1-9,B:1-100"));
        one.ending = Some(BinlogEnding::Crashed);
        assert!(said(&one, &next).starts_with("broken: "));
    }

    #[test]
    fn a_skewed_stamp_orders_nothing() {
        for seconds in [0, 86_400] {
            let (one, next) = skewed(pair((Some("A:1-5"), "A:6-9"), Some("A:1-9")), seconds);
            assert_eq!(said(&one, &next), "follows");
        }
        // Without GTIDs the rotating session stamps both ends, with a made-up time too.
        let (mut one, mut next) = skewed(pair((None, ""), None), 86_400);
        one.last_event_time = next.first_event_time;
        assert_eq!(said(&one, &next), "follows");
        next.first_event_time = LogTime::from_seconds(1_759_413_600 + 4 * 60 + 2 * 86_400);
        assert_eq!(
            said(&one, &next),
            "broken: bin.000004 follows bin.000003 by name, but was begun 86400 seconds after that was closed"
        );
    }

    #[test]
    fn names_and_servers() {
        let (one, mut next) = pair((None, ""), None);
        next.name = "bin.000007".parse().unwrap();
        assert_eq!(said(&one, &next), "broken: bin.000004 to bin.000006 were never archived");
        next.name = "bin.000005".parse().unwrap();
        assert_eq!(said(&one, &next), "broken: bin.000004 was never archived");
        next.name = "other.000001".parse().unwrap();
        assert_eq!(said(&one, &next), "broken: files between bin.000003 and other.000001 were never archived");
        let stranger = file("t1", 2, 4, None, "");
        let expected =
            "broken: bin.000004 follows bin.000003 by name, but was written by server 2 (B), not by server 1 (A)";
        assert_eq!(said(&one, &stranger), expected);
        // Where the GTIDs agree, another `server_id` is no other history.
        let (one, next) = pair((Some(""), "0-1-9"), Some("0-1-9"));
        let renamed = BinlogEntry { source: file("t1", 2, 4, Some("0-1-9"), "").source, ..next };
        assert_eq!(said(&one, &renamed), "follows");
    }

    #[test]
    fn the_end_of_an_open_file_must_be_proven() {
        let case = |before: (Option<&str>, &str), next: Option<&str>| {
            let (one, next) = pair(before, next);
            said(&partial(one), &next)
        };
        assert_eq!(case((Some("A:1-4"), "A:5-9"), Some("A:1-9")), "follows");
        assert_eq!(
            case((Some("A:1-4"), "A:5-9"), Some("A:1-11")),
            "broken: bin.000003 was archived while open, and A:10-11 before bin.000004 was not archived"
        );
        let nothing =
            "broken: bin.000003 was archived while open, and nothing tells what came after that and before bin.000004";
        assert_eq!(case((None, ""), None), nothing);
        assert_eq!(case((Some(""), ""), Some("")), nothing);
        // Five transactions, and four GTIDs: those without one are in no set.
        assert_eq!(case((Some("A:1-5"), "A:6-9"), Some("A:1-9")), nothing);
    }

    #[test]
    fn data_that_are_others_are_told_and_data_that_went_back_break_it() {
        let data = |born: Option<u32>, lsn: u64, started: Option<u64>| {
            let born = born.map(|seconds| LogTime::from_seconds(seconds).at());
            Some(DataState { born, lsn: Some(Lsn(lsn)), started: started.map(Lsn), ..DataState::default() })
        };
        let with = |ending: BinlogEnding, one: Option<DataState>, other: Option<DataState>| {
            let (mut file, mut next) = pair((Some(""), "0-1-9"), Some("0-1-9"));
            (file.ending, file.data, next.data) = (Some(ending), one, other);
            said(&file, &next)
        };
        let stopped = |one, other| with(BinlogEnding::Stop, one, other);
        assert_eq!(stopped(data(Some(1), 50, Some(1)), data(Some(1), 90, Some(60))), "follows");
        let told = "told: the server's data files are others from bin.000004 on (made 1970-01-01T00:00:02Z) than up to bin.000003: if older data were \
                    put back beside their binlogs, they lack what the log holds before that";
        assert_eq!(stopped(data(Some(1), 50, Some(1)), data(Some(2), 90, Some(60))), told);
        let broken = "broken: bin.000004 follows bin.000003 by name, but the server's data went back between them, from LSN 50 to 49: they lack \
                      what the log holds before that";
        assert_eq!(stopped(data(Some(1), 50, None), data(Some(1), 49, None)), broken);
        assert_eq!(stopped(data(None, 50, None), data(Some(1), 49, None)), broken);
        assert_eq!(with(BinlogEnding::Crashed, data(Some(1), 50, None), data(Some(1), 49, None)), "follows");
        assert_eq!(stopped(data(Some(1), 50, Some(1)), data(Some(1), 50, Some(1))), "follows");
        // Cold copies have the LSN at their start again; what was counted and not written is lost with a server that dies.
        assert!(stopped(data(Some(1), 50, Some(10)), data(Some(1), 90, Some(10))).starts_with("broken: "));
        let died = |lsn, started| {
            with(BinlogEnding::Crashed, data(Some(1), 8_000_000, Some(10)), data(Some(1), lsn, Some(started)))
        };
        assert_eq!(died(9_000_000, 7_999_000), "follows");
        assert!(died(9_000_000, 10).starts_with("broken: "));
        // A rotation is in one run of the server, but where the file that followed it was lost with that.
        let rotated = |lsn, started| {
            with(BinlogEnding::Rotate, data(Some(1), 8_000_000, Some(10)), data(Some(1), lsn, Some(started)))
        };
        assert_eq!(rotated(9_000_000, 10), "follows");
        assert!(rotated(9_000_000, 20).starts_with("broken: "));
        // Copies that lack what the log holds, and a restore of this program.
        let copies = |restored: Option<u128>| {
            let other = data(Some(2), 20, Some(10))
                .map(|data| DataState { restored: restored.map(uuid::Uuid::from_u128), ..data });
            stopped(data(Some(1), 50, Some(1)), other)
        };
        assert!(copies(None).starts_with("broken: ") && copies(Some(7)).starts_with("told: "));
        assert_eq!(stopped(None, data(Some(1), 49, None)), "follows");
    }
}
