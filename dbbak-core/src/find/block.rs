//! Searches one block of a transaction index, reading no more columns than the question needs.

use super::{FindRequest, request::Done};
use crate::{
    model::LogTime,
    store::transactions::{Block, Kinds, TransactionsError},
    survey::LogClock,
};

/// How the times of a block lie to those that are asked for.
enum Span {
    /// None of them fits.
    Outside,
    /// All of them fit.
    Inside,
    /// Each must be looked at.
    Across,
}

/// The transactions of a block that fit, by their places in it. `clock` has seen everything before the block.
pub(super) fn search(
    request: &FindRequest,
    block: &mut Block<'_>,
    clock: LogClock,
) -> Result<Vec<u32>, TransactionsError> {
    let span = span(request, block, clock);
    if matches!(span, Span::Outside) || !request.wants_kinds(block.facts.kinds) {
        return Ok(Vec::new());
    }
    let mut rows: Vec<u32> = match &request.gtid {
        Some(gtid) => block.rows_with(gtid)?,
        None => (0..block.facts.count as u32).collect(),
    };
    if request.asks_changes() && !rows.is_empty() {
        fit_changes(request, block, &mut rows)?;
    }
    if matches!(span, Span::Across) && !rows.is_empty() {
        let mut clock = clock;
        let fits: Vec<bool> = block.times()?.iter().map(|time| request.wants_time(clock.time_of(time).0)).collect();
        rows.retain(|row| fits.get(*row as usize).copied().unwrap_or(false));
    }
    if request.statement.is_some() && !rows.is_empty() {
        let texts = block.texts()?;
        rows.retain(|row| request.wants_statement(texts.get(*row as usize).copied().flatten()));
    }
    Ok(rows)
}

fn fit_changes(request: &FindRequest, block: &mut Block<'_>, rows: &mut Vec<u32>) -> Result<(), TransactionsError> {
    let tables = block.tables()?;
    let wanted: Vec<bool> = tables.iter().map(|(database, table)| request.wants_table(database, table)).collect();
    let unlisted = block.facts.kinds.meets(Kinds::UNLISTED);
    if !request.tables.is_empty() && !unlisted && !wanted.contains(&true) {
        rows.clear();
        return Ok(());
    }
    let changes = block.changes()?;
    // What is known apart from the tables matters where something is not listed, or where a definition names no table.
    let forms = match unlisted || (request.tables.is_empty() && request.kinds.meets(Kinds::DDL)) {
        true => block.form_kinds(&changes)?,
        false => Vec::new(),
    };
    rows.retain(|row| {
        let row = *row as usize;
        let done = changes.of(row).map(|change| Done {
            table: wanted.get(change.table).copied().unwrap_or(false),
            kinds: change.kinds,
            rows: change.rows,
            counted: change.counted,
        });
        request.wants_changes(forms.get(row).copied().unwrap_or(Kinds::NONE), done)
    });
    Ok(())
}

/// How the times of a block lie to those that are asked for, by what the directory says.
fn span(request: &FindRequest, block: &Block<'_>, clock: LogClock) -> Span {
    if request.since.is_none() && request.until.is_none() {
        return Span::Inside;
    }
    let facts = block.facts;
    let mut times = Vec::with_capacity(4);
    if facts.committed < facts.count {
        // A running maximum: never before what came before the block, never after its newest stamp.
        let stamp = |seconds: u32| {
            let mut clock = clock;
            clock.time_of(&crate::binlog::TransactionTime { header_max: seconds, ..Default::default() }).0
        };
        times.extend([stamp(facts.min_stamp), stamp(facts.max_stamp)]);
    }
    if facts.committed > 0 {
        // A commit time that no calendar has counts as the stamp does.
        match (LogTime::from_micros(facts.min_commit), LogTime::from_micros(facts.max_commit)) {
            (Some(first), Some(last)) => times.extend([first, last]),
            _ => return Span::Across,
        }
    }
    let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) else { return Span::Outside };
    let outside =
        request.since.is_some_and(|since| last.at() < since) || request.until.is_some_and(|until| first.at() >= until);
    match (outside, request.wants_time(*first) && request.wants_time(*last)) {
        (true, _) => Span::Outside,
        (false, true) => Span::Inside,
        (false, false) => Span::Across,
    }
}
