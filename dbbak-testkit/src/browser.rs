//! A headless browser that opens pages, for tests of what people look at.

use crate::real::{REAL_SERVERS, find_program};
use std::{
    env,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

/// The environment variable that names the browser, as `./dev test` sets it once the browser has shown it a page.
pub const BROWSER: &str = "DBBAK_BROWSER";

/// The browser: what `DBBAK_BROWSER` names, else Chromium or Chrome. A snap does not count: it sees only its owner's home,
/// neither a profile nor a page elsewhere.
fn find_browser() -> Option<PathBuf> {
    if let Some(named) = env::var_os(BROWSER).filter(|value| !value.is_empty()) {
        return Some(PathBuf::from(named));
    }
    let mut found = ["chromium", "google-chrome", "google-chrome-stable"].into_iter().filter_map(find_program);
    found.find(|path| !path.starts_with("/snap"))
}

/// Whether the tests in a browser can run; each is named `in_a_browser_*`, asks first and returns when they cannot. Where a
/// distribution has no browser but a snap, `./dev test` leaves them out by that name.
///
/// # Panics
///
/// When a browser is missing while `DBBAK_REAL_SERVERS=required` is set, as `./dev test` sets it.
#[track_caller]
pub fn require_browser() -> bool {
    static SAID: OnceLock<()> = OnceLock::new();
    if find_browser().is_some() {
        return true;
    }
    assert!(
        env::var_os(REAL_SERVERS).is_none_or(|value| value != "required"),
        "{REAL_SERVERS}=required, but there is no Chromium or Chrome (./dev setup installs one, where the distribution has it)"
    );
    SAID.get_or_init(|| {
        // Written past the test harness, which swallows what a passing test prints with the macros.
        let _ = writeln!(
            io::stderr(),
            "NOT RUN, though counted as passed: the tests named in_a_browser_*, for the lack of Chromium; ./dev test runs them"
        );
    });
    false
}

/// A browser with an empty profile of its own in a directory.
#[derive(Debug)]
pub struct Browser<'a> {
    profile: &'a Path,
}

impl<'a> Browser<'a> {
    /// A browser whose profiles lie in a directory.
    pub fn new(profile: &'a Path) -> Self {
        Browser { profile }
    }

    fn run(&self, width: u32, height: u32, arguments: &[String], page: &Path) -> io::Result<Output> {
        let program = find_browser().ok_or(io::ErrorKind::NotFound)?;
        let profile = tempfile::tempdir_in(self.profile)?;
        let mut command = Command::new("timeout");
        command.arg("60").arg(program).args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-quic",
            "--hide-scrollbars",
        ]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.arg(format!("--window-size={width},{height}")).args(arguments);
        let output = command.arg(format!("file://{}", page.display())).env("HOME", profile.path()).output()?;
        match output.status.success() {
            true => Ok(output),
            false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned())),
        }
    }

    /// The document as it stands after loading, in a window of that many pixels.
    ///
    /// # Errors
    ///
    /// When the browser fails.
    pub fn dom(&self, page: &Path, width: u32, height: u32) -> io::Result<String> {
        let output = self.run(width, height, &["--dump-dom".into()], page)?;
        String::from_utf8(output.stdout).map_err(io::Error::other)
    }

    /// Takes a picture of the window.
    ///
    /// # Errors
    ///
    /// When the browser fails, or leaves no picture.
    pub fn screenshot(&self, page: &Path, picture: &Path, width: u32, height: u32) -> io::Result<u64> {
        self.run(width, height, &[format!("--screenshot={}", picture.display())], page)?;
        Ok(picture.metadata()?.len())
    }
}
