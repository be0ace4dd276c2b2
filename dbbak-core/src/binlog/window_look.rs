//! Looks at the transactions of a window, one after the other, for what no log tells of them.

use super::{DefaultEngines, EarlierTemporaries, Transaction, Untold};

/// What is known of a window as far as it was looked at, in log order.
#[derive(Debug)]
pub struct WindowLook {
    engines: DefaultEngines,
    /// `None`: a part of the window was not looked at, and a session may have made a temporary table there.
    temporaries: Option<EarlierTemporaries>,
}

impl Default for WindowLook {
    fn default() -> Self {
        WindowLook { engines: DefaultEngines::default(), temporaries: Some(EarlierTemporaries::default()) }
    }
}

impl WindowLook {
    /// Takes the next transaction; tells what the log does not say of it.
    pub fn see(&mut self, transaction: &Transaction) -> Option<Untold> {
        let temporary = self.temporaries.as_mut().and_then(|all| all.see(transaction));
        temporary.or(self.engines.see(transaction)).or(transaction.untold)
    }

    /// A part of the window is passed over, in which nothing is known of.
    pub fn pass_over(&mut self) {
        *self = WindowLook { engines: DefaultEngines::default(), temporaries: None };
    }
}
