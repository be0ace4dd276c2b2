//! Finds the real database tools, and says what did not run where they are missing.

use std::env;
use std::ffi::OsString;
use std::io::Write as _;
use std::iter;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The environment variable that makes missing tools a failure: `required`, as `./dev test` sets it.
pub const REAL_SERVERS: &str = "DBBAK_REAL_SERVERS";

/// The programs that the tests on real servers use.
pub const TOOLS: [&str; 7] =
    ["mariadbd", "mariadb-install-db", "mariadb", "mariadb-binlog", "mariadb-backup", "mbstream", "setpriv"];

/// The environment variable that names the directory of a MariaDB other than the system's, which has its programs in `bin`.
/// The same tests run against it: `./dev test` runs those of every series a second time so.
pub const MARIADB_ROOT: &str = "DBBAK_MARIADB_ROOT";

/// The directory of the MariaDB that `DBBAK_MARIADB_ROOT` names, or none for the system's.
pub fn mariadb_root() -> Option<PathBuf> {
    named(MARIADB_ROOT).map(|root| root.canonicalize().unwrap_or(root))
}

fn named(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The absolute path of a program, looked for on the path and where Debian puts servers (not on an ordinary user's path).
/// Where `DBBAK_MARIADB_ROOT` is set, MariaDB's programs are that one's alone: one that it lacks must not be the system's.
pub fn find_program(name: &str) -> Option<PathBuf> {
    if let Some(root) = mariadb_root().filter(|_| name.starts_with("mariadb") || name == "mbstream") {
        return Some(root.join("bin").join(name)).filter(|candidate| candidate.is_file());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let fallback = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(fallback).map(|dir| dir.join(name)).find(|candidate| candidate.is_file())
}

/// The `PATH` on which dbbak finds the programs of the MariaDB that the tests use.
pub fn path_of_programs() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let Some(root) = mariadb_root() else { return path };
    env::join_paths(iter::once(root.join("bin")).chain(env::split_paths(&path))).unwrap_or(path)
}

/// The environment variable that names the directory of the tests' MySQL, which has its programs in `bin`.
pub const MYSQL_ROOT: &str = "DBBAK_MYSQL_ROOT";

/// The programs of the tests' MySQL that the tests on real servers use.
pub const MYSQL_TOOLS: [&str; 4] = ["mysqld", "mysql", "mysqlbinlog", "mysqldump"];

/// Where `./dev setup` puts servers of the tests' own: root's where a private server's user may go.
fn server_cache() -> Option<PathBuf> {
    let roots = PathBuf::from("/var/cache/dbbak-test");
    if rustix::process::geteuid().is_root() && roots.is_dir() {
        return Some(roots);
    }
    let cache = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")))?;
    Some(cache.join("dbbak"))
}

/// The tests' MySQL: where `DBBAK_MYSQL_ROOT` says, else where `./dev setup` puts it.
fn mysql_root() -> Option<PathBuf> {
    named(MYSQL_ROOT)
        .or_else(|| Some(server_cache()?.join("mysql-9.7")))
        // What a link leads to, a private server's user may reach where it may not reach the link.
        .map(|root| root.canonicalize().unwrap_or(root))
}

/// The absolute path of a program of the tests' MySQL. One that the system has by chance is not looked for: MariaDB's go
/// by the same names.
pub fn find_mysql_program(name: &str) -> Option<PathBuf> {
    Some(mysql_root()?.join("bin").join(name)).filter(|candidate| candidate.is_file())
}

/// The environment variable that names a directory with MariaDB's plugins from libraries.
pub const MARIADB_PLUGINS: &str = "DBBAK_MARIADB_PLUGINS";

/// Where a MariaDB's plugin for encryption lies: see [`plugins_of_mariadb`].
///
/// # Panics
///
/// When it is missing while `DBBAK_REAL_SERVERS=required` is set.
#[track_caller]
pub fn encryption_plugins() -> Option<PathBuf> {
    static SAID: OnceLock<()> = OnceLock::new();
    plugins_of_mariadb("file_key_management.so", &SAID, "encrypted")
}

/// Where a MariaDB's storage engines from libraries lie: see [`plugins_of_mariadb`].
///
/// # Panics
///
/// When they are missing while `DBBAK_REAL_SERVERS=required` is set.
#[track_caller]
pub fn engine_plugins() -> Option<PathBuf> {
    static SAID: OnceLock<()> = OnceLock::new();
    plugins_of_mariadb("ha_archive.so", &SAID, "plugins_")
}

/// The directory that holds a library: where `DBBAK_MARIADB_PLUGINS` says, else the system's, else where `./dev` puts them,
/// which takes them out of their package since that would start a server. A MariaDB that `DBBAK_MARIADB_ROOT` names has its
/// own. `word` is in the names of the tests that ask.
#[track_caller]
fn plugins_of_mariadb(library: &'static str, said: &'static OnceLock<()>, word: &str) -> Option<PathBuf> {
    let named = match mariadb_root() {
        Some(root) => vec![root.join("usr/lib/mysql/plugin")],
        None => named(MARIADB_PLUGINS).into_iter().collect(),
    };
    let system = ["/usr/lib/mysql/plugin", "/usr/lib64/mysql/plugin", "/usr/lib64/mariadb/plugin"].map(PathBuf::from);
    let taken_out = server_cache().and_then(|cache| cache.read_dir().ok()).into_iter().flatten().flatten();
    let taken_out = taken_out.map(|entry| entry.path());
    let found = named.into_iter().chain(system).chain(taken_out).find(|dir| dir.join(library).is_file());
    let missing = if found.is_some() { Vec::new() } else { vec![library] };
    require(missing, said, &format!("real_*{word}*"), |name| name.starts_with("real_") && name.contains(word));
    found
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
    // The test kit makes the data directories of one that was unpacked by itself.
    let needed = TOOLS.into_iter().filter(|&tool| tool != "mariadb-install-db" || mariadb_root().is_none());
    let missing = needed.filter(|tool| find_program(tool).is_none()).collect();
    require(missing, &SAID, "real_*", |name| name.starts_with("real_") && !name.starts_with("real_mysql_"))
}

/// The same for tests on the tests' MySQL, which are named `real_mysql_*`.
///
/// # Panics
///
/// As [`require_servers`].
#[track_caller]
pub fn require_mysql() -> bool {
    static SAID: OnceLock<()> = OnceLock::new();
    let mut missing: Vec<_> = MYSQL_TOOLS.into_iter().filter(|tool| find_mysql_program(tool).is_none()).collect();
    missing.extend(find_program("setpriv").is_none().then_some("setpriv"));
    require(missing, &SAID, "real_mysql_*", |name| name.starts_with("real_mysql_"))
}

/// The same for tests of XtraBackup on the tests' MySQL, which are named `real_mysql_xtrabackup_*`. Debian has no XtraBackup,
/// Ubuntu's newest suite has.
///
/// # Panics
///
/// As [`require_servers`].
#[track_caller]
pub fn require_xtrabackup() -> bool {
    static SAID: OnceLock<()> = OnceLock::new();
    let missing = if has_xtrabackup() { Vec::new() } else { vec!["xtrabackup"] };
    let pattern = "real_mysql_xtrabackup_";
    require_mysql() && require(missing, &SAID, &format!("{pattern}*"), |name| name.starts_with(pattern))
}

/// Whether the tests' MySQL has an XtraBackup beside it.
pub fn has_xtrabackup() -> bool {
    find_mysql_program("xtrabackup").is_some()
}

#[track_caller]
fn require(missing: Vec<&str>, said: &OnceLock<()>, pattern: &str, is_one: impl Fn(&str) -> bool) -> bool {
    if missing.is_empty() {
        return true;
    }
    let missing = missing.join(", ");
    assert!(
        env::var_os(REAL_SERVERS).is_none_or(|value| value != "required"),
        "{REAL_SERVERS}=required, but these tools are missing: {missing} (./dev setup gets them)",
    );
    said.get_or_init(|| {
        let count = match count_tests(is_one) {
            Some(count) => format!("{count} tests"),
            None => "the tests".to_owned(),
        };
        // Written past the test harness, which swallows what a passing test prints with the macros.
        let _ = writeln!(
            std::io::stderr(),
            "NOT RUN, though counted as passed: {count} named {pattern}, for the lack of {missing}; ./dev test runs them",
        );
    });
    false
}

/// How many tests of a kind this test binary has, by its own list.
fn count_tests(is_one: impl Fn(&str) -> bool) -> Option<usize> {
    let program = env::current_exe().ok()?;
    let output = Command::new(program).args(["--list", "--format", "terse", "real_"]).output().ok()?;
    let list = String::from_utf8(output.stdout).ok()?;
    let name = |line: &str| line.strip_suffix(": test").and_then(|path| path.rsplit("::").next()).map(str::to_owned);
    let count = list.lines().filter_map(name).filter(|name| is_one(name)).count();
    (output.status.success() && count > 0).then_some(count)
}
