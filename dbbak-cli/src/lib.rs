//! The dbbak command-line tool as a library, so that embedders can reuse its executor.

mod duct_executor;
mod system_probe;

pub use duct_executor::DuctExecutor;
pub use system_probe::SystemProbe;
