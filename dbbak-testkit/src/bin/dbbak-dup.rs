//! The `dbbak` program once more: only a package's own binaries are built for its tests, and with the same features.

use std::process::ExitCode;

fn main() -> ExitCode {
    dbbak_cli::main()
}
