//! Looks for statements of a window that put files outside of a server's data directory.

use super::{cut::unreadable, scanned};
use crate::{
    binlog::{Outside, may_put_files, puts_outside},
    facts::OutsideFact,
    model::BinlogPosition,
    store::{
        BinlogEntry, StoreReader, layout,
        transactions::{Kinds, MAX_STATEMENT, StoredRanges, TransactionIndex, TransactionsError},
    },
};
use std::ops::ControlFlow;

/// How many are kept.
const KEPT: usize = 10;
/// Bytes of binlogs without an index that are gone through.
const BYTES: u64 = 256 << 20;

/// Looks for such statements: in the transaction indexes, and in the binlogs of which these do not tell all. Each file comes with the
/// offsets that the window begins and ends at in it.
///
/// What cannot be read here is not looked at: the run looks at each transaction again before it hands it on.
pub fn outside(store: &dyn StoreReader, files: &[(&BinlogEntry, (u64, u64))]) -> Vec<OutsideFact> {
    let (mut found, mut budget) = (Vec::new(), BYTES);
    for (file, span) in files {
        let look = match (indexed(store, file), unreadable(file)) {
            (_, true) | (Ok(Some(false)), _) => false,
            (Ok(Some(true)), _) => true,
            // No index, or one that cannot be used.
            (Ok(None) | Err(_), _) if file.size <= budget => {
                budget -= file.size;
                true
            }
            _ => false,
        };
        if look {
            scan(store, file, *span, &mut found);
        }
        if found.len() >= KEPT {
            break;
        }
    }
    found
}

/// Whether a file's index names such a statement, or one that it does not hold whole; `None` without an index.
fn indexed(store: &dyn StoreReader, file: &BinlogEntry) -> Result<Option<bool>, TransactionsError> {
    let Some(tx) = &file.tx else { return Ok(None) };
    let key = layout::transactions(&file.stored_as);
    let index = TransactionIndex::open(StoredRanges::new(store, key, Some(tx.size)))?;
    if let Some(digest) = &file.digest {
        index.check_is_of(digest)?;
    }
    for (mut block, facts) in index.blocks().zip(&index.contents().blocks) {
        if !facts.kinds.meets(Kinds::DDL) {
            continue;
        }
        // A text may be cut in front of a character.
        let cut = |text: &str| text.len() + 4 > MAX_STATEMENT && may_put_files(text);
        let texts = block.texts()?;
        if texts.into_iter().flatten().any(|text| puts_outside(text).is_some() || cut(text)) {
            return Ok(Some(true));
        }
    }
    Ok(Some(false))
}

fn scan(store: &dyn StoreReader, file: &BinlogEntry, (start, stop): (u64, u64), found: &mut Vec<OutsideFact>) {
    let _ = scanned(store, file, &mut |transaction| {
        if transaction.end > stop || found.len() >= KEPT {
            return ControlFlow::Break(());
        }
        if let (true, Some(outside)) = (transaction.start >= start, &transaction.outside) {
            let (path, table) = match outside {
                Outside::Table(path) => (path.clone(), true),
                Outside::Tablespace(path) => (path.clone(), false),
                Outside::Unread => ("?".to_owned(), true),
            };
            let at = BinlogPosition { file: file.name.clone(), position: transaction.start };
            let gtid = transaction.gtid.as_ref().map(ToString::to_string);
            found.push(OutsideFact { at, gtid, path, table });
        }
        ControlFlow::Continue(())
    });
}
