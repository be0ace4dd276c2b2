//! Watches over the private copies that a prepare works on: a failure says something of a backup only where its copy was as it
//! was recorded, and nobody else took a part of it away meanwhile.
#![expect(clippy::disallowed_methods, reason = "it looks at the copies that a tool works on")]

use super::{files, tree::ExpectedFiles};
use crate::plan::RunTool;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// What is known of the copies that a failed prepare worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyState {
    /// They were not compared with what the store recorded: an earlier run made them, or nothing was recorded.
    Unverified,
    /// They were as they were recorded, and only the tool itself has changed them.
    Whole,
    /// Somebody else removed or changed a part of them.
    Changed {
        /// The first file.
        path: PathBuf,
    },
}

/// The copies that a run has made and compared with the store's lists, by the place of each.
#[derive(Debug, Default)]
pub(super) struct Verified(BTreeMap<PathBuf, Copied>);

#[derive(Debug)]
struct Copied {
    files: ExpectedFiles,
    /// Whether a tool has worked on it since.
    worked_on: bool,
}

impl Verified {
    /// Notes a copy whose files were compared with what was recorded.
    pub(super) fn add(&mut self, dir: &Path, files: ExpectedFiles) {
        self.0.insert(dir.to_owned(), Copied { files, worked_on: false });
    }

    /// Forgets what lies at a place or below it.
    pub(super) fn forget(&mut self, path: &Path) {
        self.0.retain(|dir, _| !dir.starts_with(path));
    }

    /// Looks at the copies that a prepare will work on; `None` where the step is none.
    pub(super) fn before(&mut self, run: &RunTool) -> Option<Watched> {
        let options = run.options.as_ref()?;
        let mut dirs = options.dirs.iter();
        let incremental = dirs.find(|dir| **dir != run.dir).cloned();
        let (mut verified, mut changed) = (true, None);
        for dir in [Some(&run.dir), incremental.as_ref()].into_iter().flatten() {
            match self.0.get_mut(dir) {
                None => verified = false,
                Some(copied) => {
                    if !copied.worked_on {
                        changed = changed.or_else(|| first_changed(dir, &copied.files));
                    }
                    copied.worked_on = true;
                }
            }
        }
        let listed = incremental.as_ref().and_then(|dir| self.0.get(dir));
        Some(Watched {
            data: run.dir.clone(),
            listed: listed.map(|copied| copied.files.keys().cloned().collect()).unwrap_or_default(),
            incremental,
            tables: tables_in(&run.dir),
            verified,
            changed,
        })
    }
}

/// The copies of one prepare, as they were before it.
#[derive(Debug)]
pub(super) struct Watched {
    data: PathBuf,
    incremental: Option<PathBuf>,
    /// The files of the incremental, by their paths below it.
    listed: Vec<String>,
    /// The tables' files in the data.
    tables: BTreeMap<String, Identity>,
    verified: bool,
    changed: Option<PathBuf>,
}

/// Tells a file apart from another one that was put in its place. A file system may use a number again at once.
type Identity = (u64, Option<SystemTime>);

fn identity(metadata: &Metadata) -> Identity {
    (metadata.ino(), metadata.created().ok())
}

impl Watched {
    /// Judges the copies after the prepare failed, by what the tool says that it did to them itself (its log from an offset on).
    pub(super) fn after(self, log: &Path, from: u64) -> CopyState {
        if !self.verified {
            return CopyState::Unverified;
        }
        let mut done = Doings::default();
        if files::each_line(log, from, &mut |line| done.take(line, self.incremental.as_deref())).is_err() {
            return CopyState::Unverified;
        }
        let replaced = |name: &str, before: &Identity| {
            let now = fs::symlink_metadata(self.data.join(name)).ok().map(|metadata| identity(&metadata));
            now != Some(*before)
        };
        let changed = self.changed.or_else(|| match &self.incremental {
            // The redo of a full drops and renames tables without a word; what it misses, it names. Where another table has the name, the
            // file is there all the same.
            None => {
                let lost = |name: &&String| self.tables.get(*name).is_some_and(|before| replaced(name, before));
                done.missed.iter().find(lost).map(|name| self.data.join(name))
            }
            Some(dir) => {
                // The tool takes what it applied or moved away.
                let gone = |name: &&String| !done.taken.contains(*name) && !dir.join(name).exists();
                let gone = self.listed.iter().find(gone).map(|name| dir.join(name));
                // A table that was there, and of which the incremental has pages, is there afterwards; the others were dropped.
                let listed: BTreeSet<&str> = self.listed.iter().map(String::as_str).collect();
                let has = |name: &str, end: &str| listed.contains(format!("{name}{end}").as_str());
                let stays = |name: &str| {
                    (has(name, ".delta") || has(name, ".meta"))
                        && !name.strip_suffix(".ibd").is_some_and(|stem| has(stem, ".new"))
                        && !done.renamed.contains(name)
                };
                let lost = |(name, before): &(&String, &Identity)| stays(name) && replaced(name, before);
                gone.or_else(|| self.tables.iter().find(lost).map(|(name, _)| self.data.join(name)))
            }
        });
        changed.map_or(CopyState::Whole, |path| CopyState::Changed { path })
    }
}

/// What a tool says that it did to files.
#[derive(Debug, Default)]
struct Doings {
    /// Files of the incremental that it applied or moved.
    taken: BTreeSet<String>,
    /// Files of the data that it renamed or removed.
    renamed: BTreeSet<String>,
    /// Files of the data that it missed.
    missed: BTreeSet<String>,
}

impl Doings {
    /// Lines as mariadb-backup 10.11 writes them: `Applying /scratch/i//shop/t.ibd.delta to ./shop/t.ibd...`, `Renaming
    /// /scratch/i//shop/z.new to ./shop/z.ibd`, `Renaming ./shop/u.ibd to shop/u2.ibd`, `Removing ./shop/t.ibd`, `Tablespace 8 was not
    /// found at ./shop/t.ibd when restoring a (partial?) backup`.
    fn take(&mut self, line: &str, incremental: Option<&Path>) {
        if let Some((_, rest)) = line.split_once(" was not found at ./") {
            self.missed.insert(rest.split(" when ").next().unwrap_or(rest).to_owned());
            return;
        }
        let verbs = ["Applying ", "Renaming ", "Removing ", "Deleting ", "Moving "];
        let Some(what) = verbs.iter().find_map(|verb| Some(line.split_once(verb)?.1)) else { return };
        let what = what.split(" to ").next().unwrap_or(what).trim_end_matches("...").trim_end();
        let of_incremental = incremental.and_then(|dir| what.strip_prefix(&*dir.to_string_lossy()));
        match (of_incremental, what.strip_prefix("./")) {
            (Some(name), _) => self.taken.insert(name.trim_start_matches('/').to_owned()),
            (None, Some(name)) => self.renamed.insert(name.to_owned()),
            (None, None) => false,
        };
    }
}

/// The first file that is not there, or is of another size than it was recorded.
fn first_changed(dir: &Path, files: &ExpectedFiles) -> Option<PathBuf> {
    let other = |(name, (size, _)): &(&String, &(u64, _))| {
        !fs::symlink_metadata(dir.join(name)).is_ok_and(|metadata| metadata.is_file() && metadata.len() == *size)
    };
    files.iter().find(other).map(|(name, _)| dir.join(name))
}

/// The files of tables below a data directory.
fn tables_in(dir: &Path) -> BTreeMap<String, Identity> {
    let mut tables = BTreeMap::new();
    let _ = files::each_file(dir, &mut |path| {
        if let (Ok(below), Ok(metadata)) = (path.strip_prefix(dir), fs::symlink_metadata(path))
            && path.extension().is_some_and(|end| end == "ibd")
        {
            tables.insert(below.to_string_lossy().into_owned(), identity(&metadata));
        }
        Ok(())
    });
    tables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::OptionFiles,
        store::Digest,
        tools::{CommandSpec, Expected, Launch, ToolKind},
    };
    use std::fs::{create_dir_all, remove_file, rename, write};
    use tempfile::TempDir;

    /// A prepared copy, and one of an incremental on it: `t` has changed, `new` was made, `u` became `u2`, `gone` was dropped.
    struct Bench {
        dir: TempDir,
        watched: Watched,
    }

    const DATA: [&str; 4] = ["shop/t.ibd", "shop/u.ibd", "shop/gone.ibd", "ibdata1"];
    const INCREMENTAL: [&str; 6] =
        ["shop/t.ibd.delta", "shop/t.ibd.meta", "shop/u2.ibd.delta", "shop/u2.ibd.meta", "shop/new.new", "ib_logfile0"];

    fn listed(dir: &Path, names: &[&str]) -> ExpectedFiles {
        let mut files = ExpectedFiles::new();
        for name in names {
            create_dir_all(dir.join(name).parent().unwrap()).unwrap();
            write(dir.join(name), name).unwrap();
            files.insert((*name).to_owned(), (name.len() as u64, Digest::of(name.as_bytes())));
        }
        files
    }

    fn bench(meanwhile: impl FnOnce(&Path)) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let (data, incremental) = (dir.path().join("data"), dir.path().join("i"));
        let mut verified = Verified::default();
        verified.add(&data, listed(&data, &DATA));
        verified.add(&incremental, listed(&incremental, &INCREMENTAL));
        meanwhile(dir.path());
        let run = RunTool {
            title: String::new(),
            launch: Launch { command: CommandSpec::new("/bin/tool"), log: dir.path().join("log") },
            dir: data.clone(),
            expect: Expected::copied_back(ToolKind::MariadbBackup),
            applies: None,
            tablespaces: None,
            bytes: None,
            options: Some(OptionFiles { dirs: vec![data, incremental], keys: BTreeMap::new() }),
            again: 0,
        };
        let watched = verified.before(&run).unwrap();
        Bench { dir, watched }
    }

    /// What the tool does, and says of it, before it fails.
    fn worked(dir: &Path) {
        let log = format!(
            "[00] Renaming {0}/i//shop/new.new to ./shop/new.ibd\n\
             [00] Applying {0}/i//shop/t.ibd.delta to ./shop/t.ibd...\n\
             [00] mariabackup: Renaming ./shop/u.ibd to shop/u2.ibd\n\
             [00] Applying {0}/i//shop/u2.ibd.delta to ./shop/u2.ibd...\n\
             [00] FATAL ERROR: Can't rename ./shop/ex#.ibd.meta\n",
            dir.display()
        );
        write(dir.join("log"), log).unwrap();
        rename(dir.join("i/shop/new.new"), dir.join("data/shop/new.ibd")).unwrap();
        rename(dir.join("data/shop/u.ibd"), dir.join("data/shop/u2.ibd")).unwrap();
        for gone in ["i/shop/t.ibd.delta", "i/shop/u2.ibd.delta", "data/shop/gone.ibd"] {
            remove_file(dir.join(gone)).unwrap();
        }
        write(dir.join("data/shop/t.ibd"), "changed by the tool").unwrap();
        write(dir.join("i/ib_logfile0"), "a checkpoint").unwrap();
    }

    fn judged(meanwhile: impl FnOnce(&Path), beside: impl FnOnce(&Path)) -> Option<String> {
        let Bench { dir, watched } = bench(meanwhile);
        worked(dir.path());
        beside(dir.path());
        match watched.after(&dir.path().join("log"), 0) {
            CopyState::Whole => None,
            CopyState::Changed { path } => Some(path.strip_prefix(dir.path()).unwrap().display().to_string()),
            CopyState::Unverified => panic!("it was verified"),
        }
    }

    #[test]
    fn what_the_tool_did_itself_changes_nothing() {
        assert_eq!(judged(|_| (), |_| ()), None);
    }

    #[test]
    fn what_somebody_else_took_away_is_named() {
        let before = |name: &'static str| judged(move |dir| remove_file(dir.join(name)).unwrap(), |_| ());
        assert_eq!(before("data/ibdata1").as_deref(), Some("data/ibdata1"));
        assert_eq!(before("i/shop/t.ibd.meta").as_deref(), Some("i/shop/t.ibd.meta"));
        let cut = judged(|dir| write(dir.join("data/ibdata1"), "x").unwrap(), |_| ());
        assert_eq!(cut.as_deref(), Some("data/ibdata1"));
        let beside = |name: &'static str| judged(|_| (), move |dir| remove_file(dir.join(name)).unwrap());
        assert_eq!(beside("i/shop/u2.ibd.meta").as_deref(), Some("i/shop/u2.ibd.meta"));
        assert_eq!(beside("data/shop/t.ibd").as_deref(), Some("data/shop/t.ibd"));
        // The tool makes a table's file anew where it was taken away.
        let again = judged(
            |_| (),
            |dir| {
                write(dir.join("other"), "made by the tool").unwrap();
                rename(dir.join("other"), dir.join("data/shop/t.ibd")).unwrap();
            },
        );
        assert_eq!(again.as_deref(), Some("data/shop/t.ibd"));
    }

    #[test]
    fn a_table_of_a_full_that_was_there_and_was_not_found_was_taken_away() {
        for (name, taken) in [("shop/t.ibd", true), ("shop/t.ibd", false), ("shop/other.ibd", true)] {
            let Bench { dir, mut watched } = bench(|_| ());
            watched.incremental = None;
            let line = format!(
                "[Warning] InnoDB: Tablespace 8 was not found at ./{name} when restoring a (partial?) backup.\n"
            );
            write(dir.path().join("log"), line).unwrap();
            let path = dir.path().join("data").join(name);
            let was_there = path.exists();
            if taken && was_there {
                remove_file(&path).unwrap();
            }
            let wanted = if taken && was_there { CopyState::Changed { path } } else { CopyState::Whole };
            assert_eq!(watched.after(&dir.path().join("log"), 0), wanted);
        }
    }

    #[test]
    fn a_copy_that_was_not_compared_proves_nothing() {
        let Bench { dir, mut watched } = bench(|_| ());
        watched.verified = false;
        assert_eq!(watched.after(&dir.path().join("log"), 0), CopyState::Unverified);
    }
}
