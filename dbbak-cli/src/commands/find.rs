//! `dbbak find`.

use crate::{
    CommandError,
    args::{FindArgs, FindKind},
    context::Context,
    exit_code,
    messages::{Weight, say},
    output,
};
use dbbak_core::{
    catalog::Catalog,
    find::{FindRequest, Found, Hit, HitTable, LocalFind, Unsearched, find_archived, find_local},
    model::Printable,
    run::RunError,
    store::transactions::Kinds,
    tools::shell_quoted,
};
use serde_json::{Value, json};
use std::{fmt::Write as _, path::Path};

/// Tables of one transaction that are shown, at most.
const TABLES_SHOWN: usize = 10;

/// Characters of a statement that are shown.
const STATEMENT_SHOWN: usize = 300;

pub(super) fn run(context: &Context, args: &FindArgs, config: Option<&Path>) -> Result<u8, CommandError> {
    let request = request(args);
    let catalog = match (context.trusted(), &args.local) {
        (Ok(catalog), _) => Some(catalog),
        // A search among the server's own files does not need the store.
        (Err(error), Some(_)) => {
            say(
                Weight::Important,
                &format!("INCOMPLETE: the archive was not searched: {}", Printable(&error.to_string())),
            );
            None
        }
        (Err(error), None) => return Err(error.into()),
    };
    let mut found = match &catalog {
        Some(catalog) => find_archived(&context.store, catalog, &request).map_err(RunError::from)?,
        None => Found::default(),
    };
    let own = match &args.local {
        Some(dir) => {
            let local = LocalFind { dir, catalog: catalog.as_ref() };
            add_local(&mut found, find_local(&context.probe, &local, &request).map_err(RunError::from)?, args.limit);
            Own::Searched
        }
        None if args.archive_only => Own::LeftOut,
        None => search_own(context, catalog.as_ref(), &request, args.limit, &mut found),
    };
    let command = Command { config };
    if context.json {
        output::json(&as_json(&found, command))?;
    } else {
        output::text(&as_text(&found, command, context))?;
    }
    for line in incomplete(&found.unsearched) {
        say(Weight::Important, &format!("INCOMPLETE: {}", Printable(&line)));
    }
    if found.total == 0 {
        say(Weight::Important, &format!("nothing found in {}", output::count(found.searched, "binlog")));
    }
    if let Some(catalog) = &catalog {
        let weight = if found.total == 0 { Weight::Important } else { Weight::Detail };
        say(weight, &reach(catalog, &own));
    }
    let trusted = catalog.as_ref().is_some_and(|catalog| catalog.distrusted.is_empty());
    let complete = found.unsearched.is_empty() && trusted;
    Ok(if complete { exit_code::DONE } else { exit_code::INCOMPLETE })
}

/// What became of the server's binlogs that are not archived yet.
enum Own {
    /// They were searched too.
    Searched,
    /// The search was for the archive alone.
    LeftOut,
    /// They could not be searched.
    Unreadable(String),
}

/// Searches the server's own binlogs, where they can be found and read: right after an accident it stands there alone.
fn search_own(
    context: &Context,
    catalog: Option<&Catalog>,
    request: &FindRequest,
    limit: usize,
    found: &mut Found,
) -> Own {
    let dir = match context.planning().binlog_dir() {
        Ok(dir) => dir,
        Err(problem) => return Own::Unreadable(problem),
    };
    match find_local(&context.probe, &LocalFind { dir: &dir, catalog }, request) {
        Ok(local) => {
            add_local(found, local, limit);
            Own::Searched
        }
        Err(error) => Own::Unreadable(error.to_string()),
    }
}

/// Up to where the search could see.
fn reach(catalog: &Catalog, own: &Own) -> String {
    let timelines = catalog.timelines();
    let newest = timelines.iter().filter_map(|timeline| {
        let last = timeline.files.last()?;
        Some((last.reach()?, last.name.to_string()))
    });
    let archive = match newest.max() {
        Some((reach, file)) => format!("the archive reaches up to {reach} UTC ({file})"),
        None => "the archive holds no binlogs".to_owned(),
    };
    match own {
        Own::Searched => format!("{archive}; the binlogs that are not archived yet were searched too"),
        Own::LeftOut => format!("{archive}; what came later was not searched"),
        Own::Unreadable(problem) => {
            format!("{archive}; what came later was not searched: {}", Printable(problem))
        }
    }
}

fn request(args: &FindArgs) -> FindRequest {
    let kind = |kind: &FindKind| match kind {
        FindKind::Insert => Kinds::INSERT,
        FindKind::Update => Kinds::UPDATE,
        FindKind::Delete => Kinds::DELETE,
        FindKind::Drop => Kinds::DROP,
        FindKind::Truncate => Kinds::TRUNCATE,
        FindKind::Alter => Kinds::ALTER,
        FindKind::Create => Kinds::CREATE,
        FindKind::Rename => Kinds::RENAME,
        FindKind::Ddl => Kinds::DDL,
    };
    FindRequest {
        tables: args.table.clone(),
        kinds: args.kind.iter().map(kind).fold(Kinds::NONE, Kinds::with),
        since: args.since.map(|time| time.at),
        until: args.until.map(|time| time.at),
        min_rows: args.min_rows,
        statement: args.statement.clone(),
        gtid: args.gtid.clone(),
        timeline: args.timeline.clone(),
        limit: Some(args.limit).filter(|limit| *limit > 0),
    }
}

/// What is not archived yet is newer than what is.
fn add_local(found: &mut Found, local: Found, limit: usize) {
    found.total += local.total;
    found.searched += local.searched;
    found.unsearched.extend(local.unsearched);
    found.hits.splice(0..0, local.hits);
    if limit > 0 {
        found.hits.truncate(limit);
    }
}

/// The command line that the shown commands begin with.
#[derive(Debug, Clone, Copy)]
struct Command<'a> {
    config: Option<&'a Path>,
}

impl Command<'_> {
    fn restore(self, hit: &Hit) -> String {
        let mut line = "dbbak".to_owned();
        if let Some(config) = self.config {
            let _ = write!(line, " --config-path {}", shell_quoted(&config.to_string_lossy()));
        }
        for argument in hit.restore_point.arguments() {
            let _ = write!(line, " {}", shell_quoted(&argument));
        }
        line
    }
}

fn as_json(found: &Found, command: Command<'_>) -> Value {
    let hit = |hit: &Hit| {
        let mut value = json!(hit);
        if let Value::Object(members) = &mut value {
            members.insert("restore_command".into(), json!(command.restore(hit)));
        }
        value
    };
    json!({
        "version": 1, "total": found.total, "order": "newest first", "searched": found.searched,
        "unsearched": found.unsearched, "hits": found.hits.iter().map(hit).collect::<Vec<_>>(),
    })
}

fn as_text(found: &Found, command: Command<'_>, context: &Context) -> String {
    let mut text = String::new();
    let shown = found.hits.len();
    if shown == 0 && found.total == 0 {
        return text;
    }
    let transactions = if found.total == 1 { "transaction" } else { "transactions" };
    let searched = output::count(found.searched, "binlog");
    let _ = write!(text, "{} {transactions} found in {searched}", found.total);
    let _ = match (shown as u64) < found.total {
        true => writeln!(text, "; the newest {shown}, newest first (--limit 0 shows all). Times are UTC."),
        false => writeln!(text, ", newest first. Times are UTC."),
    };
    if found.hits.iter().any(|hit| !hit.committed_at) {
        text.push_str("\"or later\": the log does not tell when it was committed, only when its statement began.\n");
    }
    for hit in &found.hits {
        text.push('\n');
        show(&mut text, hit, command, context);
    }
    text
}

fn show(text: &mut String, hit: &Hit, command: Command<'_>, context: &Context) {
    let bound = if hit.committed_at { "" } else { " or later" };
    let local = context.offset().map(|offset| hit.time.at().with_timezone(&offset).format(" (local %H:%M:%S %:z)"));
    let local = local.map(|local| local.to_string()).unwrap_or_default();
    let _ = write!(text, "{}{bound}{local}  {}:{}", hit.time, hit.file, hit.start);
    if let Some(gtid) = &hit.gtid {
        let _ = write!(text, "  GTID {gtid}");
    }
    match &hit.timeline {
        Some(timeline) => {
            let _ = writeln!(text, "  timeline {timeline}");
        }
        None => text.push('\n'),
    }
    for table in hit.tables.iter().take(TABLES_SHOWN) {
        let _ = writeln!(text, "    {}", done(table));
    }
    match hit.tables.len().saturating_sub(TABLES_SHOWN) {
        0 if hit.more_tables => text.push_str("    and tables that the index does not list\n"),
        0 => {}
        more => {
            let _ = writeln!(text, "    and {more} more tables (--json shows them)");
        }
    }
    match (hit.ends, &hit.xa) {
        ("xa prepare", Some(xa)) => {
            let _ = writeln!(text, "    prepares {xa}: it takes effect with XA COMMIT");
        }
        ("xa commit", Some(xa)) => {
            let _ = writeln!(text, "    commits {xa}, which was prepared before");
        }
        ("xa rollback", Some(xa)) => {
            let _ = writeln!(text, "    rolls back {xa}, which was prepared before");
        }
        ("rollback", _) => text.push_str("    rolled back\n"),
        ("incident", _) => text.push_str("    the server lost changes here\n"),
        ("payload", _) => text.push_str("    compressed in a way that cannot be looked into\n"),
        _ => {}
    }
    if let Some(statement) = &hit.statement {
        let _ = writeln!(text, "    {}", Printable(&one_line(statement)));
    }
    if !hit.archived {
        text.push_str("    not archived yet: `dbbak ship-binlogs --flush --exec` archives it, then\n");
    }
    let _ = writeln!(text, "    restore to just before it:\n      {}", command.restore(hit));
}

/// What is done to a table: `shop.orders: insert 3 rows, delete 1 row`.
fn done(table: &HitTable) -> String {
    let database = Printable(&table.database);
    let name = if table.table.is_empty() {
        format!("{database}.*")
    } else {
        format!("{database}.{}", Printable(&table.table))
    };
    let what: Vec<String> = table
        .kinds
        .iter()
        .map(|kind| {
            let rows = match *kind {
                "insert" => table.inserts,
                "update" => table.updates,
                "delete" => table.deletes,
                _ => return (*kind).to_owned(),
            };
            match (rows, table.counted) {
                (0, _) => format!("{kind} (rows not counted in the log)"),
                (1, true) => format!("{kind} 1 row"),
                (rows, true) => format!("{kind} {rows} rows"),
                (rows, false) => format!("{kind} {rows} rows or more"),
            }
        })
        .collect();
    if what.is_empty() { name } else { format!("{name}: {}", what.join(", ")) }
}

fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(STATEMENT_SHOWN) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// What could not be searched, the files without an index in one line.
fn incomplete(unsearched: &[Unsearched]) -> Vec<String> {
    let (missing, others): (Vec<_>, Vec<_>) = unsearched.iter().partition(|file| file.missing);
    let mut lines = Vec::new();
    if let (Some(first), Some(last)) = (missing.first(), missing.last()) {
        let (have, range) = match missing.len() {
            1 => ("1 binlog has".to_owned(), first.file.to_string()),
            count => (format!("{count} binlogs have"), format!("{} to {}", first.file, last.file)),
        };
        lines.push(format!(
            "{have} no transaction index and could not be searched ({range}); `dbbak reindex --exec` makes it"
        ));
    }
    let place = |file: &Unsearched| file.timeline.as_ref().map(|id| format!(" of timeline {id}")).unwrap_or_default();
    lines.extend(others.iter().map(|file| format!("{}{}: {}", file.file, place(file), file.problem)));
    lines
}
