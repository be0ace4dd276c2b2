//! Runs the `dbbak` program on real servers and looks at what came of it.

use std::env;
use std::path::{Path, PathBuf};

/// The environment variable that names the `dbbak` to test; without it that of this build.
pub const DBBAK_BIN: &str = "DBBAK_BIN";

/// The `dbbak` program: what `DBBAK_BIN` names, else `dbbak-dup` of this build, which is the same program. Cargo builds the
/// programs of a package before its tests, and puts them one directory above the test binary.
///
/// # Panics
///
/// When the test binary's own place is not known: no test can go on without it.
pub fn dbbak() -> PathBuf {
    if let Some(path) = env::var_os(DBBAK_BIN) {
        return path.into();
    }
    let test = env::current_exe().expect("a running program has a place");
    let target = test.parent().and_then(Path::parent).expect("test binaries lie in deps/");
    target.join("dbbak-dup")
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
