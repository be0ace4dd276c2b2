//! `dbbak demo`.

use crate::{CommandError, args::DemoArgs, exit_code};

pub(super) fn run(_args: &DemoArgs, _json: bool) -> Result<u8, CommandError> {
    Ok(exit_code::BUG)
}
