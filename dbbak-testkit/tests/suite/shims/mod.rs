//! Proves that the shims behave as the real programs do, and that dbbak's own command lines and parsers fit them.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

mod backup;
mod client;
mod reader;

use dbbak_core::tools::{CommandSpec, Exit, StderrScan, Stdin};
use dbbak_testkit::{
    shim::{Scenario, ShimDir},
    shim_programs,
};
use std::{
    io::Write,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// A directory with shims and room for their work.
struct Bench {
    dir: TempDir,
    shims: ShimDir,
}

impl Bench {
    fn new(scenario: &Scenario) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let shims = ShimDir::install(&dir.path().join("bin"), &shim_programs!(), scenario).unwrap();
        Bench { dir, shims }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// Copies a tree, as a restore does before it prepares.
    fn copy(&self, from: &str, to: &str) {
        let done = Command::new("cp").arg("-a").arg(self.path(from)).arg(self.path(to)).status().unwrap();
        assert!(done.success());
    }

    fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path(name)).ok()
    }
}

/// Runs a command as an executor would.
fn run(spec: &CommandSpec) -> Output {
    let mut command = Command::new(&spec.program);
    command.args(spec.masked_args()).envs(&spec.env).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Stdin::Text(text) = &spec.stdin {
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        return child.wait_with_output().unwrap();
    }
    command.output().unwrap()
}

fn exit(output: &Output) -> Exit {
    match output.status.code() {
        Some(code) => Exit::Code(code),
        None => Exit::Signal(output.status.signal().unwrap_or_default()),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn scan(output: &Output) -> StderrScan {
    StderrScan::of(&text(&output.stderr))
}

fn names_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
