//! The `dbbak` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    dbbak_cli::main()
}
