//! `dbbak demo`: the whole story on a private server.

mod server;
mod shop;
mod story;

use crate::{CommandError, args::DemoArgs, context::install_signals, exit_code};
use std::path::PathBuf;

/// Plays the story in a directory of its own, which is removed unless it is to be kept.
pub(super) fn run(args: &DemoArgs, json: bool) -> Result<u8, CommandError> {
    let parent = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let made = tempfile::Builder::new().prefix("dbbak-demo-").tempdir_in(&parent);
    let dir = made
        .map_err(|error| CommandError::Demo(format!("cannot create a directory in {}: {error}", parent.display())))?;
    let signal = install_signals();
    let told = story::Story { dir: dir.path(), signal }.tell();
    let kept: Option<PathBuf> = args.keep.then(|| dir.keep());
    let summary = told.map_err(|error| CommandError::Demo(error.to_string()))?;
    summary.print(kept.as_deref(), json)?;
    Ok(if summary.equal { exit_code::DONE } else { exit_code::DAMAGE })
}
