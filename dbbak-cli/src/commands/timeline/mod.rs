//! `dbbak timeline`.

mod bars;
mod html;
mod text;
mod words;

pub use html::page;
pub use text::text;

use super::code_of;
use crate::{CommandError, args::TimelineArgs, context::Context, output, page_file};
use dbbak_core::{catalog::timeline_report, clock::Clock, survey};
use std::io::IsTerminal;

pub(super) fn run(context: &Context, args: &TimelineArgs) -> Result<u8, CommandError> {
    let catalog = context.trusted()?;
    let crossings = survey::crossings(&context.store, &catalog);
    let report = timeline_report(&catalog, &crossings, context.clock.now());
    if let Some(path) = &args.html {
        let page = html::page(&report, &context.root().display().to_string());
        page_file::write(path, &page)?;
    }
    if context.json {
        output::json(&report)?;
    } else if let Some(path) = &args.html {
        output::text(&format!("{}\n", path.display()))?;
    } else {
        let wished = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let colored = wished && std::io::stdout().is_terminal();
        let text = text::text(&report, colored);
        if colored { output::painted(&text)? } else { output::text(&text)? }
    }
    Ok(code_of(&catalog.distrusted))
}
