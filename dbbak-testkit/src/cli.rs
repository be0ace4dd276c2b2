//! Finds (and builds, once a test run) the `dbbak` program, and runs it.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The environment variable that names the `dbbak` to test; without it the one beside the test binary is built.
pub const DBBAK_BIN: &str = "DBBAK_BIN";

/// The `dbbak` program: what `DBBAK_BIN` names, else the one of this build, brought up to date first.
///
/// # Panics
///
/// When it cannot be built: no test can go on without it.
pub fn dbbak() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| env::var_os(DBBAK_BIN).map_or_else(build, PathBuf::from)).clone()
}

fn build() -> PathBuf {
    let test = env::current_exe().expect("the test binary has a path");
    // target/PROFILE/deps/suite-HASH
    let profile_dir = test.ancestors().nth(2).expect("the test binary lies in target/PROFILE/deps").to_owned();
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let target = profile_dir.parent().expect("target/PROFILE has a parent");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "-p", "dbbak-cli", "--profile", profile, "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "building dbbak failed:\n{}", String::from_utf8_lossy(&output.stderr));
    profile_dir.join("dbbak")
}

/// What a run of `dbbak` came to.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The arguments.
    pub args: Vec<String>,
    /// The exit code; none after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Checks the exit code.
    ///
    /// # Panics
    ///
    /// When it is another one; the panic shows everything that the run printed.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Checks that the messages hold a text.
    ///
    /// # Panics
    ///
    /// When they do not.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "expected {text:?} from {self}");
        self
    }

    /// Standard output, as JSON.
    ///
    /// # Panics
    ///
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self}"))
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Ran { args, code, stdout, stderr } = self;
        write!(f, "dbbak {} ended with {code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}", args.join(" "))
    }
}
