//! Looks at each transaction of a window for what no log tells of it, says what the plan has not said, and keeps all of it for the report.

use super::{Event, Reporter};
use crate::{
    binlog::{Transaction, WindowLook},
    model::{BinlogName, BinlogPosition},
    plan::{Told, UntoldFact, UntoldOfWindow, statements, told_of},
};

/// What was found in a window so far.
#[derive(Debug, Default)]
pub(super) struct UntoldLook {
    look: WindowLook,
    found: UntoldOfWindow,
}

impl UntoldLook {
    /// Takes the next transaction of the window, which stands in this file; `skipped`: it is left out.
    pub(super) fn see(
        &mut self,
        told: &Told,
        (file, transaction): (&BinlogName, &Transaction),
        skipped: bool,
        reporter: &dyn Reporter,
    ) {
        let what = self.look.see(transaction);
        if skipped {
            return;
        }
        let at = || BinlogPosition { file: file.clone(), position: transaction.start };
        if transaction.by_statement && self.found.statements_from.is_none() {
            let at = at();
            if !told.statements {
                reporter.report(&Event::Warning { text: &statements(&at) });
            }
            self.found.statements_from = Some(at);
        }
        let Some(what) = what.filter(|what| told.matters.holds(*what)) else { return };
        let fact = UntoldFact::of(at(), transaction, what);
        if self.found.keeps(what) && !told.transactions.contains(&fact.at) {
            reporter.report(&Event::Warning { text: &told_of(&fact) });
        }
        self.found.add(fact);
    }

    /// All that was found.
    pub(super) fn found(&self) -> &UntoldOfWindow {
        &self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binlog::{EndKind, TransactionTime, Untold};
    use std::sync::Mutex;

    #[derive(Debug, Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Reporter for Heard {
        fn report(&self, event: &Event<'_>) {
            if let Event::Warning { text } = event {
                self.0.lock().unwrap().push((*text).to_owned());
            }
        }

        fn interrupted(&self) -> Option<i32> {
            None
        }
    }

    fn transaction(start: u64, untold: Option<Untold>) -> Transaction {
        Transaction {
            gtid: None,
            start,
            end: start + 10,
            time: TransactionTime::default(),
            tables: Vec::new(),
            more_tables: false,
            statement: None,
            end_kind: EndKind::Commit,
            has_rows: false,
            compressed: false,
            xa: None,
            error_code: 0,
            taken_back: false,
            plain_commit: false,
            server_id: 1,
            session: None,
            outside: None,
            untold,
            by_statement: true,
            renames_variable: false,
        }
    }

    #[test]
    fn what_the_plan_has_not_said_is_said() {
        let file: BinlogName = "b.000001".parse().unwrap();
        let heard = Heard::default();
        let mut look = UntoldLook::default();
        let told = Told { transactions: vec![BinlogPosition { file: file.clone(), position: 20 }], ..Told::default() };
        for (start, untold, skipped) in [
            (10, Some(Untold::Values), true),
            (20, Some(Untold::Values), false),
            (30, Some(Untold::EarlierTemporary), false),
            (40, None, false),
        ] {
            look.see(&told, (&file, &transaction(start, untold)), skipped, &heard);
        }
        let found = look.found();
        assert_eq!(found.statements_from, Some(BinlogPosition { file, position: 20 }));
        assert_eq!((found.count, found.transactions[1].at.position), (2, 30));
        let heard = heard.0.into_inner().unwrap();
        assert_eq!(heard.len(), 2, "{heard:?}");
        assert!(heard[0].contains("from b.000001:20 on") && heard[1].contains("at b.000001:30"), "{heard:?}");
    }
}
