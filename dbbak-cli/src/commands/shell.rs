//! `dbbak completions` and `dbbak man`: what a shell and `man` want to know of the command line.

use crate::{
    CommandError,
    args::{Cli, CompletionsArgs, ManArgs},
    exit_code, output,
};
use clap::CommandFactory;

pub(super) fn completions(args: &CompletionsArgs) -> Result<u8, CommandError> {
    let mut bytes = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "dbbak", &mut bytes);
    output::text(&String::from_utf8_lossy(&bytes))?;
    Ok(exit_code::DONE)
}

/// The page of the program, or that of a command.
pub(super) fn man(args: &ManArgs) -> Result<u8, CommandError> {
    let mut root = Cli::command();
    root.build();
    let command = match &args.command {
        None => root,
        Some(name) => {
            let Some(found) = root.find_subcommand(name) else {
                return Err(CommandError::NoCommand { name: name.clone() });
            };
            found.clone().display_name(format!("dbbak-{name}"))
        }
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(CommandError::Output)?;
    output::text(&String::from_utf8_lossy(&page))?;
    Ok(exit_code::DONE)
}
