//! The dbbak command-line tool as a library, so that embedders can reuse its executor, probe and reporter.

pub mod args;
mod cli_reference;
mod closed_paths;
mod command_error;
mod commands;
mod config_path;
mod context;
mod duct_executor;
mod examples;
pub mod exit_code;
mod hints;
mod messages;
mod old_files;
mod output;
mod page_file;
mod plan_hints;
mod space_lack;
mod system_probe;
mod terminal;
pub mod times;

pub use cli_reference::cli_reference;
pub use command_error::CommandError;
pub use commands::{main, timeline_page, timeline_text};
pub use duct_executor::DuctExecutor;
pub use space_lack::SpaceLack;
pub use system_probe::SystemProbe;
pub use terminal::TerminalReporter;
