//! A directory with shims under the names of the real programs.

use super::Scenario;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The built shims.
#[derive(Debug, Clone)]
pub struct ShimPrograms {
    /// `fake-xtrabackup`.
    pub backup: PathBuf,
    /// `fake-mysqlbinlog`.
    pub reader: PathBuf,
    /// `fake-mysql`.
    pub client: PathBuf,
}

/// A directory with the three shims under the names of a vendor's programs, their scenario and the log of their calls.
#[derive(Debug, Clone)]
pub struct ShimDir {
    /// The directory.
    pub dir: PathBuf,
    /// `xtrabackup` or `mariadb-backup`.
    pub backup: PathBuf,
    /// `mysqlbinlog` or `mariadb-binlog`.
    pub reader: PathBuf,
    /// `mysql` or `mariadb`.
    pub client: PathBuf,
}

/// One call of a shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Which shim: `backup`, `reader` or `client`.
    pub tool: String,
    /// The name that it was started under.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its `TZ`.
    pub tz: Option<String>,
    /// Its `LC_ALL`.
    pub lc_all: Option<String>,
}

impl ShimDir {
    /// Installs the shims into a directory, which is created with its parents.
    ///
    /// # Errors
    ///
    /// When a file or link cannot be made.
    pub fn install(dir: &Path, programs: &ShimPrograms, scenario: &Scenario) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let [backup, reader, client] = scenario.series.program_names().map(|name| dir.join(name));
        for (built, name) in [(&programs.backup, &backup), (&programs.reader, &reader), (&programs.client, &client)] {
            std::os::unix::fs::symlink(built, name)?;
        }
        let shims = ShimDir { dir: dir.to_owned(), backup, reader, client };
        shims.play(scenario)?;
        Ok(shims)
    }

    /// Puts another scenario in the place of the present one. The log of calls goes on, and so do their numbers.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn play(&self, scenario: &Scenario) -> io::Result<()> {
        fs::write(self.dir.join("scenario.json"), serde_json::to_vec_pretty(scenario)?)
    }

    /// All calls so far, in order.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn calls(&self) -> io::Result<Vec<Call>> {
        match fs::read_to_string(self.dir.join("calls.jsonl")) {
            Ok(text) => text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// What the client shim read on standard input, all calls together.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn client_input(&self) -> io::Result<String> {
        match fs::read(self.dir.join("client-input.sql")) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error),
        }
    }
}
