//! What `mysqlbinlog -v` and `mariadb-binlog -v` print of a log, read as the oracle for our own reading. It shares no code with
//! dbbak's reader.

use std::collections::BTreeMap;

const WELL_FORMED: &str = "the text of a binlog as the tool prints it";

/// One transaction as the vendor's tool shows it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its GTID, empty where it has none.
    pub gtid: String,
    /// Offset of its first event.
    pub start: u64,
    /// Offset after its last event.
    pub end: u64,
    /// The newest stamp of its events, seconds since 1970: the tool's time zone must have been UTC.
    pub newest: u32,
    /// Original and immediate commit.
    pub commit: Option<(u64, u64)>,
    /// Inserts, updates and deletes by `database.table`.
    pub rows: BTreeMap<String, [u64; 3]>,
}

/// A whole log as the vendor's tool shows it.
#[derive(Debug, Default)]
pub struct Reading {
    /// The transactions, without one that is not whole.
    pub transactions: Vec<Shown>,
    /// Offsets of events, in order.
    pub events: Vec<u64>,
    /// The set before the file, as printed.
    pub previous: Option<String>,
    /// The next file of a Rotate event; `Stop` for a Stop event.
    pub ending: Option<String>,
}

/// Reads the text of a whole log.
///
/// # Panics
///
/// When the text is none that these tools print.
pub fn read(text: &str) -> Reading {
    let mut reading = Reading::default();
    let mut open: Option<Shown> = None;
    let mut at = 0;
    let mut last_end = 0;
    // The newest stamp of events that belong to the open transaction only if it goes on behind them.
    let mut pending = 0;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(offset) = line.strip_prefix("# at ") {
            at = offset.trim().parse().expect(WELL_FORMED);
            // Events inside a compressed transaction are shown at the offset after it.
            if reading.events.last() != Some(&at) {
                reading.events.push(at);
            }
            continue;
        }
        if let Some(change) = line.strip_prefix("### ") {
            let verbs = ["INSERT INTO ", "UPDATE ", "DELETE FROM "];
            let found = verbs.iter().enumerate().find_map(|(kind, verb)| Some((kind, change.strip_prefix(verb)?)));
            if let Some((kind, table)) = found {
                let table = table.split(' ').next().expect(WELL_FORMED).replace('`', "");
                open.as_mut().expect(WELL_FORMED).rows.entry(table).or_default()[kind] += 1;
            }
            continue;
        }
        if let Some(gtid) = line.strip_prefix("SET @@SESSION.GTID_NEXT= '") {
            let gtid = gtid.split('\'').next().expect(WELL_FORMED);
            if let Some(open) = open.as_mut().filter(|_| gtid != "AUTOMATIC" && gtid != "ANONYMOUS") {
                open.gtid = gtid.to_owned();
            }
            continue;
        }
        let Some((_, event)) = line.split_once(" end_log_pos ").filter(|_| line.starts_with('#')) else {
            continue;
        };
        let end: u64 = event.split_whitespace().next().expect(WELL_FORMED).parse().expect(WELL_FORMED);
        let stamp = stamp_of(line);
        // After the checksum, where there is one.
        let what = match event.split_once(" CRC32 0x") {
            Some((_, rest)) => rest.split_once(char::is_whitespace).map_or("", |(_, what)| what).trim(),
            None => event.split_once(char::is_whitespace).map_or("", |(_, what)| what).trim(),
        };
        if let Some(rest) = what.strip_prefix("GTID").or_else(|| what.strip_prefix("Anonymous_GTID")) {
            reading.transactions.extend(open.take());
            pending = 0;
            let mut shown = Shown { start: at, newest: stamp, ..Shown::default() };
            let field = |name: &str| -> Option<u64> {
                rest.split_whitespace().find_map(|field| field.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
            };
            if let Some(length) = field("transaction_length") {
                shown.end = at + length;
                shown.commit = field("original_committed_timestamp").zip(field("immediate_commit_timestamp"));
            } else {
                shown.gtid = rest.split_whitespace().next().expect(WELL_FORMED).to_owned();
            }
            open = Some(shown);
        } else if what.starts_with("Previous-GTIDs") {
            let mut set = String::new();
            while let Some(more) = lines.next_if(|line| !line.starts_with("# at ")) {
                set.push_str(more.trim_start_matches(['#', ' ']));
            }
            reading.previous = Some(if set.contains(':') { set } else { String::new() });
        } else if let Some(list) = what.strip_prefix("Gtid list [") {
            let mut list = list.to_owned();
            while !list.contains(']') {
                list.push_str(lines.next().expect(WELL_FORMED).trim_start_matches(['#', ' ']));
            }
            reading.previous = Some(list.split(']').next().expect(WELL_FORMED).to_owned());
        } else if let Some(rest) = what.strip_prefix("Rotate to ") {
            reading.ending = Some(rest.split_whitespace().next().expect(WELL_FORMED).to_owned());
        } else if what.starts_with("Stop") {
            reading.ending = Some("Stop".to_owned());
        } else if let Some(open) = open.as_mut().filter(|open| open.commit.is_none()) {
            // MariaDB tells no length: a group ends with the last event of these kinds before the next one.
            if ["Xid", "XID", "Query"].iter().any(|kind| what.starts_with(kind)) {
                open.end = end;
                open.newest = open.newest.max(pending).max(stamp);
            } else {
                pending = pending.max(stamp);
            }
        }
        last_end = last_end.max(end);
    }
    reading.transactions.extend(open);
    // The tool prints the good part of a cut or damaged log: its last transaction may be incomplete.
    reading.transactions.retain(|shown| shown.end > 0 && shown.end <= last_end);
    reading
}

/// The stamp of an event's line: `#261121  6:23:20 server id ...`.
fn stamp_of(line: &str) -> u32 {
    let mut fields = line[1..].split_whitespace();
    let (date, time) = (fields.next().expect(WELL_FORMED), fields.next().expect(WELL_FORMED));
    let parsed = chrono::NaiveDateTime::parse_from_str(&format!("{date} {time}"), "%y%m%d %H:%M:%S");
    parsed.expect(WELL_FORMED).and_utc().timestamp().try_into().expect(WELL_FORMED)
}
