//! `dbbak check`.

use crate::{CommandError, context::Context, exit_code};

pub(super) fn run(_context: &Context) -> Result<u8, CommandError> {
    Ok(exit_code::BUG)
}
