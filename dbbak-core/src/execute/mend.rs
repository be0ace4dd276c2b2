//! Mends a copy that a dead run left: what is there is compared with the recorded digests, and copied where it differs.
#![expect(clippy::disallowed_methods, reason = "the copies of a restore are read and written here")]

use super::{
    opened,
    reporter::{Event, Reporter},
    tree::{self, ExpectedFiles, TreeError, TreePass},
};
use crate::store::Digest;
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
};

/// Makes a copy what was recorded: files that have their digest stay, others are copied, what was never recorded is removed.
///
/// # Errors
///
/// [`TreeError`], as a copy has them.
pub(super) fn mend_tree(
    pass: &TreePass<'_>,
    to: &Path,
    expected: &ExpectedFiles,
    reporter: &dyn Reporter,
) -> Result<(), TreeError> {
    let (directories, files) = tree::survey(pass.from)?;
    tree::compare_names(pass.from, &files, expected)?;
    create(to)?;
    remove_strangers(to, &directories, expected)?;
    for directory in &directories {
        create(&to.join(directory))?;
    }
    let queue = Mutex::new(files.into_iter());
    let work = || -> Result<(), TreeError> {
        let mut buffer = vec![0; 1 << 20];
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((path, _)) = next else { return Ok(()) };
            let copy = to.join(&path);
            match digest_of(&copy, &mut buffer, reporter)? {
                found if found.is_some() && found.as_ref() == expected.get(&path) => {
                    let bytes = found.map_or(0, |(size, _)| size);
                    reporter.report(&Event::Progress { bytes });
                }
                found => {
                    if found.is_some() {
                        fs::remove_file(&copy).map_err(io("remove", &copy))?;
                    }
                    tree::pass_file(pass, path, &mut buffer, reporter)?;
                }
            }
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..pass.threads.get()).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TreeError + use<> {
    let path = path.to_owned();
    move |source| TreeError::Io { action, path, source }
}

fn create(dir: &Path) -> Result<(), TreeError> {
    fs::create_dir_all(dir).map_err(io("create", dir))
}

/// Removes what stands in a copy and not in its original.
fn remove_strangers(to: &Path, directories: &[String], expected: &ExpectedFiles) -> Result<(), TreeError> {
    let directories: BTreeSet<&str> = directories.iter().map(String::as_str).collect();
    let mut open = vec![(to.to_owned(), String::new())];
    while let Some((dir, below)) = open.pop() {
        for entry in fs::read_dir(&dir).map_err(io("read", &dir))? {
            let entry = entry.map_err(io("read", &dir))?;
            let path: PathBuf = entry.path();
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type().map_err(io("read", &path))?;
            if kind.is_dir() && directories.contains(name.as_str()) {
                open.push((path, format!("{name}/")));
            } else if kind.is_dir() {
                fs::remove_dir_all(&path).map_err(io("remove", &path))?;
            } else if !kind.is_file() || !expected.contains_key(&name) {
                fs::remove_file(&path).map_err(io("remove", &path))?;
            }
        }
    }
    Ok(())
}

/// Size and digest of a file; `None` where there is none.
fn digest_of(path: &Path, buffer: &mut [u8], reporter: &dyn Reporter) -> Result<Option<(u64, Digest)>, TreeError> {
    let mut file = match opened::regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io("read", path)(source)),
    };
    let (mut hasher, mut size) = (blake3::Hasher::new(), 0);
    loop {
        if let Some(signal) = reporter.interrupted() {
            return Err(TreeError::Interrupted { signal });
        }
        match file.read(buffer) {
            Ok(0) => return Ok(Some((size, Digest::from(hasher.finalize())))),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                size += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(io("read", path)(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reporter::Silent;
    use super::*;
    use crate::{beneath::Place, execute::tree::walk_tree, plan::SyncSide};
    use std::num::NonZero;

    fn expected(dir: &Path) -> ExpectedFiles {
        let listing = walk_tree(&pass(dir, None), &Silent).unwrap();
        listing.files.iter().map(|file| (file.path.clone(), (file.size, file.digest))).collect()
    }

    fn pass<'a>(from: &Path, to: Option<&'a Path>) -> TreePass<'a> {
        let from = Box::leak(Box::new(Place::new(from, "")));
        TreePass { from, to, expected: None, sync: SyncSide::Nothing, threads: NonZero::new(2).unwrap() }
    }

    #[test]
    fn a_copy_becomes_what_was_recorded() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(from.path().join("db/empty")).unwrap();
        for (name, content) in
            [("ibdata1", "pages"), ("db/whole", "rows"), ("db/half", "rows"), ("db/flipped", "rows"), ("db/lost", "")]
        {
            fs::write(from.path().join(name), content).unwrap();
        }
        fs::create_dir_all(to.path().join("db")).unwrap();
        fs::create_dir_all(to.path().join("stranger/below")).unwrap();
        for (name, content) in
            [("ibdata1", "pages"), ("db/whole", "rows"), ("db/half", "ro"), ("db/flipped", "rowS"), ("db/more", "x")]
        {
            fs::write(to.path().join(name), content).unwrap();
        }
        let kept = fs::metadata(to.path().join("db/whole")).unwrap().modified().unwrap();
        let wanted = expected(from.path());
        mend_tree(&pass(from.path(), Some(to.path())), to.path(), &wanted, &Silent).unwrap();
        let (original, copy) = (
            walk_tree(&pass(from.path(), None), &Silent).unwrap(),
            walk_tree(&pass(to.path(), None), &Silent).unwrap(),
        );
        assert_eq!(copy, original);
        assert_eq!(fs::metadata(to.path().join("db/whole")).unwrap().modified().unwrap(), kept);
    }

    #[test]
    fn an_original_that_is_damaged_stops_it_where_the_copy_needs_it() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(from.path().join("a"), "rows").unwrap();
        let wanted = expected(from.path());
        fs::write(from.path().join("a"), "rowS").unwrap();
        let spoilt = TreePass { expected: Some(&wanted), ..pass(from.path(), Some(to.path())) };
        let error = mend_tree(&spoilt, to.path(), &wanted, &Silent).unwrap_err();
        assert!(matches!(error, TreeError::Damaged { .. }), "{error:?}");
    }
}
