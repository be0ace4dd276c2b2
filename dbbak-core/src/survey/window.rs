//! Looks through a window of binlogs for what its plan must tell: statements that put files outside of a server's data directory, that
//! name what the private server may lack, or of which no log tells what came of them.

use super::{cut::unreadable, scanned};
use crate::{
    binlog::{Outside, Transaction, WindowLook, demands, may_put_files, puts_outside},
    facts::{DemandFact, OutsideFact, UntoldFact, UntoldOfWindow},
    model::{BinlogPosition, Need},
    store::{
        BinlogEntry, StoreReader, layout,
        transactions::{Kinds, MAX_STATEMENT, StoredRanges, TransactionIndex, TransactionsError},
    },
};
use std::{collections::BTreeSet, ops::ControlFlow};

/// How many of a kind are kept.
const KEPT: usize = 10;
/// Bytes of binlogs that are gone through, beside those whose index names a statement that must be told.
const BYTES: u64 = 256 << 20;
/// A statement of so many bytes may have been cut off where it was read whole (8 KiB are kept).
const SURELY_WHOLE: usize = (8 << 10) - 8;

/// What was found in a window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WindowFindings {
    /// Transactions that put files outside of the data directory, the first ones of them.
    pub outside: Vec<OutsideFact>,
    /// Transactions that name what the private server may lack, the first for each name.
    pub demands: Vec<DemandFact>,
    /// What no log tells.
    pub untold: UntoldOfWindow,
}

/// Looks through the transaction indexes of a window's binlogs, and through those binlogs of which they do not tell all. Each file comes
/// with the offsets that the window begins and ends at in it; `doubtful` says whether the private server may lack something.
///
/// What cannot be read here is not looked at: the run looks at each transaction again before it hands it on.
pub fn window(
    store: &dyn StoreReader,
    files: &[(&BinlogEntry, (u64, u64))],
    doubtful: &dyn Fn(Need, &str) -> bool,
) -> WindowFindings {
    window_within(store, files, doubtful, BYTES)
}

/// The same; of binlogs that have to be read for what no log tells at most so many bytes.
pub fn window_within(
    store: &dyn StoreReader,
    files: &[(&BinlogEntry, (u64, u64))],
    doubtful: &dyn Fn(Need, &str) -> bool,
    mut budget: u64,
) -> WindowFindings {
    let indexes: Vec<Indexed> = files.iter().map(|(file, _)| indexed(store, file, doubtful)).collect();
    // Only beside such a change it matters which tables were made without naming an engine.
    let plain = indexes.iter().any(|index| index.kinds.is_none_or(|kinds| kinds.meets(Kinds::PLAIN)));
    let mut looking =
        Looking { doubtful, found: WindowFindings::default(), look: WindowLook::default(), named: BTreeSet::new() };
    let most = budget;
    for ((file, span), index) in files.iter().zip(&indexes) {
        if unreadable(file) {
            looking.pass_over(file);
            continue;
        }
        let asked = match index.kinds {
            None => true,
            Some(kinds) => {
                kinds.meets(Kinds::OF_SESSION.with(Kinds::UNTOLD).with(Kinds::PLAIN))
                    || (plain && kinds.meets(Kinds::DDL))
            }
        };
        let wanted = index.texts == Texts::Told && looking.has_room();
        let within = asked && file.size <= budget;
        if within {
            budget -= file.size;
        } else if asked {
            looking.pass_over(file);
        }
        if wanted || within {
            looking.scan(store, file, *span, within);
        }
        let statements = index.kinds.is_some_and(|kinds| kinds.meets(Kinds::BY_STATEMENT));
        if statements && looking.found.untold.statements_from.is_none() {
            looking.first_statement(store, file, *span, most);
        }
    }
    looking.found
}

/// What an index says of a file before the file is read.
#[derive(Debug)]
struct Indexed {
    texts: Texts,
    /// `None`: it does not tell which statements were logged.
    kinds: Option<Kinds>,
}

/// What the texts in an index say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Texts {
    /// Nothing that must be told.
    Nothing,
    /// Something, or a text is not whole.
    Told,
    /// They cannot be read.
    Unknown,
}

fn indexed(store: &dyn StoreReader, file: &BinlogEntry, doubtful: &dyn Fn(Need, &str) -> bool) -> Indexed {
    let unknown = Indexed { texts: Texts::Unknown, kinds: None };
    if unreadable(file) { unknown } else { open(store, file, doubtful).ok().flatten().unwrap_or(unknown) }
}

fn open(
    store: &dyn StoreReader,
    file: &BinlogEntry,
    doubtful: &dyn Fn(Need, &str) -> bool,
) -> Result<Option<Indexed>, TransactionsError> {
    let Some(tx) = &file.tx else { return Ok(None) };
    let key = layout::transactions(&file.stored_as);
    let index = TransactionIndex::open(StoredRanges::new(store, key, Some(tx.size)))?;
    if let Some(digest) = &file.digest {
        index.check_is_of(digest)?;
    }
    let kinds = Some(index.contents().kinds).filter(|kinds| kinds.meets(Kinds::TELLS_STATEMENTS));
    for (mut block, facts) in index.blocks().zip(&index.contents().blocks) {
        if !facts.kinds.meets(Kinds::DDL) {
            continue;
        }
        // A text may be cut in front of a character.
        let cut = |text: &str| text.len() + 4 > MAX_STATEMENT;
        let told = |text: &str| {
            puts_outside(text).is_some()
                || (cut(text) && may_put_files(text))
                || demands(text, !cut(text)).needs().any(|(need, name)| doubtful(need, &name))
        };
        if block.texts()?.into_iter().flatten().any(told) {
            return Ok(Some(Indexed { texts: Texts::Told, kinds }));
        }
    }
    Ok(Some(Indexed { texts: Texts::Nothing, kinds }))
}

struct Looking<'a> {
    doubtful: &'a dyn Fn(Need, &str) -> bool,
    found: WindowFindings,
    look: WindowLook,
    named: BTreeSet<(Need, String)>,
}

impl Looking<'_> {
    fn has_room(&self) -> bool {
        self.found.outside.len() < KEPT || self.found.demands.len() < KEPT
    }

    /// A file is not looked at for what no log tells.
    fn pass_over(&mut self, file: &BinlogEntry) {
        self.look.pass_over();
        self.found.untold.unseen_from.get_or_insert_with(|| file.name.clone());
    }

    /// Goes through a file; `untold`: also for what no log tells.
    fn scan(&mut self, store: &dyn StoreReader, file: &BinlogEntry, (start, stop): (u64, u64), untold: bool) {
        let _ = scanned(store, file, &mut |transaction| {
            if transaction.end > stop {
                return ControlFlow::Break(());
            }
            if transaction.start >= start {
                let at = BinlogPosition { file: file.name.clone(), position: transaction.start };
                self.statement(&at, transaction);
                if untold {
                    self.untold(at, transaction);
                }
            }
            ControlFlow::Continue(())
        });
    }

    /// Finds the first logged statement of a file that has one: in the window, or before it.
    fn first_statement(&mut self, store: &dyn StoreReader, file: &BinlogEntry, (start, stop): (u64, u64), most: u64) {
        let first = &mut self.found.untold.statements_from;
        if file.size > most {
            *first = Some(BinlogPosition { file: file.name.clone(), position: start });
            return;
        }
        let _ = scanned(store, file, &mut |transaction| {
            if transaction.end > stop {
                return ControlFlow::Break(());
            }
            if transaction.start < start || !transaction.by_statement {
                return ControlFlow::Continue(());
            }
            *first = Some(BinlogPosition { file: file.name.clone(), position: transaction.start });
            ControlFlow::Break(())
        });
    }

    fn statement(&mut self, at: &BinlogPosition, transaction: &Transaction) {
        let gtid = || transaction.gtid.as_ref().map(ToString::to_string);
        if let Some(outside) = transaction.outside.as_ref().filter(|_| self.found.outside.len() < KEPT) {
            let (path, table) = match outside {
                Outside::Table(path) => (path.clone(), true),
                Outside::Tablespace(path) => (path.clone(), false),
                Outside::Unread => ("?".to_owned(), true),
            };
            self.found.outside.push(OutsideFact { at: at.clone(), gtid: gtid(), path, table });
        }
        // One that failed at its source made nothing.
        let Some(text) = transaction.statement.as_deref().filter(|_| transaction.error_code == 0) else { return };
        if self.found.demands.len() >= KEPT {
            return;
        }
        for (need, name) in demands(text, text.len() < SURELY_WHOLE).needs() {
            if (self.doubtful)(need, &name) && self.named.insert((need, name.to_ascii_uppercase())) {
                self.found.demands.push(DemandFact { at: at.clone(), gtid: gtid(), need, name });
            }
        }
    }

    fn untold(&mut self, at: BinlogPosition, transaction: &Transaction) {
        let untold = &mut self.found.untold;
        if transaction.by_statement {
            untold.statements_from.get_or_insert_with(|| at.clone());
        }
        if let Some(what) = self.look.see(transaction) {
            untold.add(UntoldFact::of(at, transaction, what));
        }
    }
}
