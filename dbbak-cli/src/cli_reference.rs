//! Renders the command line as Markdown, for `docs/cli-reference.md`.

use crate::args::Cli;
use clap::{Arg, Command, CommandFactory};
use std::fmt::Write;

/// The whole reference. A test compares it with `docs/cli-reference.md`.
pub fn cli_reference() -> String {
    let mut root = Cli::command();
    root.build();
    let mut text = String::from(
        "# Command line\n\nThis page is generated from the program's own definitions; do not edit it. To rewrite it:\n\
         `DBBAK_UPDATE=1 cargo test -p dbbak-testkit --test suite tidy`.\n\n",
    );
    let _ = writeln!(text, "{}\n", about(&root));
    text.push_str("## Options of every command\n\n");
    options(&mut text, root.get_arguments().filter(|arg| !is_built_in(arg)));
    text.push_str("## Commands\n\n| command | does |\n|---|---|\n");
    let commands = || root.get_subcommands().filter(|command| command.get_name() != "help");
    for command in commands() {
        let short = command.get_about().map(ToString::to_string).unwrap_or_default();
        let name = command.get_name();
        let _ = writeln!(text, "| [`{name}`](#{}) | {} |", anchor(name), escaped(&short));
    }
    for command in commands() {
        section(&mut text, command);
    }
    text
}

fn section(text: &mut String, command: &Command) {
    let name = command.get_name();
    let _ = write!(text, "\n## dbbak {name}\n\n{}\n\n", about(command));
    let own = || command.get_arguments().filter(|arg| !arg.is_global_set() && !is_built_in(arg));
    let words: Vec<String> = own().map(usage).collect();
    let _ = write!(text, "    {}\n\n", format!("dbbak {name} {}", words.join(" ")).trim_end());
    options(text, own());
    if let Some(examples) = command.get_after_help() {
        let lines: Vec<String> = examples.to_string().lines().skip(1).map(|line| format!("  {line}")).collect();
        let _ = write!(text, "\nExamples:\n\n{}\n", lines.join("\n"));
    }
}

fn options<'a>(text: &mut String, args: impl Iterator<Item = &'a Arg>) {
    let mut rows = String::new();
    for arg in args {
        let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
        let default: Vec<String> =
            arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
        let default = match default.as_slice() {
            [] => String::new(),
            _ if !arg.get_action().takes_values() => String::new(),
            values => format!("`{}`", values.join(" ")),
        };
        let values = possible(arg);
        let _ = writeln!(rows, "| `{}` | {}{values} | {default} |", plain(arg), escaped(&help));
    }
    if !rows.is_empty() {
        let _ = write!(text, "| option | meaning | default |\n|---|---|---|\n{rows}\n");
    }
    while text.ends_with("\n\n\n") {
        text.pop();
    }
}

/// The values that an option takes, where there are only some.
fn possible(arg: &Arg) -> String {
    if !arg.get_action().takes_values() {
        return String::new();
    }
    let values: Vec<String> = arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if values.is_empty() { String::new() } else { format!(". One of {}", values.join(", ")) }
}

fn about(command: &Command) -> String {
    command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default()
}

fn is_built_in(arg: &Arg) -> bool {
    matches!(arg.get_id().as_str(), "help" | "version")
}

/// `--option VALUE`.
fn plain(arg: &Arg) -> String {
    let long = arg.get_long().map_or_else(|| arg.get_id().to_string().to_uppercase(), |long| format!("--{long}"));
    let name = arg.get_short().map_or_else(|| long.clone(), |short| format!("-{short}, {long}"));
    let values: Vec<&str> = match (arg.get_action().takes_values(), arg.get_value_names()) {
        (true, Some(names)) => names.iter().map(|name| name.as_str()).collect(),
        _ => Vec::new(),
    };
    if values.is_empty() { name } else { format!("{name} {}", values.join(" ")) }
}

fn usage(arg: &Arg) -> String {
    if arg.is_required_set() { plain(arg) } else { format!("[{}]", plain(arg)) }
}

fn anchor(name: &str) -> String {
    format!("dbbak-{name}")
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
