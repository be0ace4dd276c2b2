//! Hides secrets: the one list of what is one, for variables, option files, command lines, statements and tools' output.
//!
//! A name that speaks of a credential is secret unless it stands among those that only speak of one: what is not known is
//! hidden.

mod names;
mod statement;
mod text;

pub use names::{is_secret_name, is_secret_option, shown_value};
pub use statement::masked_statement;
pub use text::{masked, masked_file};
