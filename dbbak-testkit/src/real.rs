//! Finds the real database tools, and says what did not run where they are missing.

use std::env;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The environment variable that makes missing tools a failure: `required`, as `./dev test` sets it.
pub const REAL_SERVERS: &str = "DBBAK_REAL_SERVERS";

/// The programs that the tests on real servers use.
pub const TOOLS: [&str; 7] =
    ["mariadbd", "mariadb-install-db", "mariadb", "mariadb-binlog", "mariadb-backup", "mbstream", "setpriv"];

/// The absolute path of a program, looked for on the path and where Debian puts servers (not on an ordinary user's path).
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let fallback = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(fallback).map(|dir| dir.join(name)).find(|candidate| candidate.is_file())
}

/// The tools of [`TOOLS`] that this machine lacks.
pub fn missing_tools() -> Vec<&'static str> {
    TOOLS.into_iter().filter(|tool| find_program(tool).is_none()).collect()
}

/// Says whether the tests on real servers can run; every test named `real_*` asks first and returns when they cannot:
///
/// ```text
/// #[test]
/// fn real_restore_lands_on_the_cut() {
///     if !dbbak_testkit::real::require_servers() {
///         return;
///     }
///     ...
/// }
/// ```
///
/// The first refusal prints one line that counts the tests that did not run, so that they never pass silently.
///
/// # Panics
///
/// When a tool is missing while `DBBAK_REAL_SERVERS=required` is set.
#[track_caller]
pub fn require_servers() -> bool {
    static SAID: OnceLock<()> = OnceLock::new();
    let missing = missing_tools();
    if missing.is_empty() {
        return true;
    }
    assert!(
        env::var_os(REAL_SERVERS).is_none_or(|value| value != "required"),
        "{REAL_SERVERS}=required, but these tools are missing: {} (./dev setup installs them)",
        missing.join(", ")
    );
    SAID.get_or_init(|| {
        let count = match count_real_tests() {
            Some(count) => format!("{count} tests"),
            None => "the tests".to_owned(),
        };
        // Written past the test harness, which swallows what a passing test prints with the macros.
        let _ = writeln!(
            std::io::stderr(),
            "NOT RUN, though counted as passed: {count} named real_*, for the lack of {}; ./dev test runs them",
            missing.join(", ")
        );
    });
    false
}

/// How many tests named `real_*` this test binary has, by its own list.
fn count_real_tests() -> Option<usize> {
    let program = env::current_exe().ok()?;
    let output = Command::new(program).args(["--list", "--format", "terse", "real_"]).output().ok()?;
    let list = String::from_utf8(output.stdout).ok()?;
    let name = |line: &str| line.strip_suffix(": test").and_then(|path| path.rsplit("::").next()).map(str::to_owned);
    let count = list.lines().filter_map(name).filter(|name| name.starts_with("real_")).count();
    (output.status.success() && count > 0).then_some(count)
}
