//! What `mysqlbinlog -v` and `mariadb-binlog -v` print of a log, read as the oracle for our own reading.

use std::collections::BTreeMap;

/// One transaction as the vendor's tool shows it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) gtid: String,
    pub(super) start: u64,
    pub(super) end: u64,
    /// Original and immediate commit.
    pub(super) commit: Option<(u64, u64)>,
    /// Inserts, updates and deletes by `database.table`.
    pub(super) rows: BTreeMap<String, [u64; 3]>,
}

/// A whole log as the vendor's tool shows it.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) transactions: Vec<Shown>,
    /// Offsets of events, in order.
    pub(super) events: Vec<u64>,
    /// The set before the file, as printed.
    pub(super) previous: Option<String>,
    /// The next file of a Rotate event; `Stop` for a Stop event.
    pub(super) ending: Option<String>,
}

pub(super) fn read(text: &str) -> Reading {
    let mut reading = Reading::default();
    let mut open: Option<Shown> = None;
    let mut at = 0;
    let mut last_end = 0;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(offset) = line.strip_prefix("# at ") {
            at = offset.trim().parse().unwrap();
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
                let table = table.split(' ').next().unwrap().replace('`', "");
                open.as_mut().unwrap().rows.entry(table).or_default()[kind] += 1;
            }
            continue;
        }
        if let Some(gtid) = line.strip_prefix("SET @@SESSION.GTID_NEXT= '") {
            let gtid = gtid.split('\'').next().unwrap();
            if let Some(open) = open.as_mut().filter(|_| gtid != "AUTOMATIC" && gtid != "ANONYMOUS") {
                open.gtid = gtid.to_owned();
            }
            continue;
        }
        let Some((_, event)) = line.split_once(" end_log_pos ").filter(|_| line.starts_with('#')) else {
            continue;
        };
        let end: u64 = event.split_whitespace().next().unwrap().parse().unwrap();
        // After the checksum, where there is one.
        let what = match event.split_once(" CRC32 0x") {
            Some((_, rest)) => rest.split_once(char::is_whitespace).map_or("", |(_, what)| what).trim(),
            None => event.split_once(char::is_whitespace).map_or("", |(_, what)| what).trim(),
        };
        if let Some(rest) = what.strip_prefix("GTID").or_else(|| what.strip_prefix("Anonymous_GTID")) {
            reading.transactions.extend(open.take());
            let mut shown = Shown { start: at, ..Shown::default() };
            let field = |name: &str| -> Option<u64> {
                rest.split_whitespace().find_map(|field| field.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
            };
            if let Some(length) = field("transaction_length") {
                shown.end = at + length;
                shown.commit = field("original_committed_timestamp").zip(field("immediate_commit_timestamp"));
            } else {
                shown.gtid = rest.split_whitespace().next().unwrap().to_owned();
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
                list.push_str(lines.next().unwrap().trim_start_matches(['#', ' ']));
            }
            reading.previous = Some(list.split(']').next().unwrap().to_owned());
        } else if let Some(rest) = what.strip_prefix("Rotate to ") {
            reading.ending = Some(rest.split_whitespace().next().unwrap().to_owned());
        } else if what.starts_with("Stop") {
            reading.ending = Some("Stop".to_owned());
        } else if let Some(open) = open.as_mut().filter(|open| open.commit.is_none()) {
            // MariaDB tells no length: a group ends with the last event of these kinds before the next one.
            if what.starts_with("Xid") || what.starts_with("Query") {
                open.end = end;
            }
        }
        last_end = last_end.max(end);
    }
    reading.transactions.extend(open);
    // The tool prints the good part of a cut or damaged log: its last transaction may be incomplete.
    reading.transactions.retain(|shown| shown.end > 0 && shown.end <= last_end);
    reading
}
