//! How fast a directory grows that a tool writes: the tools themselves do not tell how far they are.

#![expect(clippy::disallowed_methods, reason = "it looks at a directory that a tool writes")]

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How often it is looked at, at most.
const EVERY: Duration = Duration::from_secs(1);
/// A look may take this part of the time.
const PART: u32 = 50;

/// A directory that grows.
#[derive(Debug)]
pub(super) struct Growth {
    dir: PathBuf,
    seen: u64,
    next: Instant,
}

impl Growth {
    /// A directory that is empty, or will be made.
    pub(super) fn new(dir: &Path) -> Self {
        Growth { dir: dir.to_owned(), seen: 0, next: Instant::now() + EVERY }
    }

    /// How many bytes it grew since the last look; `None` where it is not due, or the directory did not grow.
    pub(super) fn since_last(&mut self) -> Option<u64> {
        let begun = Instant::now();
        if begun < self.next {
            return None;
        }
        let size = size_of(&self.dir);
        self.next = Instant::now() + EVERY.max(begun.elapsed() * PART);
        let grown = size.checked_sub(self.seen).filter(|grown| *grown > 0)?;
        self.seen = size;
        Some(grown)
    }
}

/// Bytes of the files below a directory; what cannot be looked at counts nothing.
fn size_of(dir: &Path) -> u64 {
    let mut bytes = 0;
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => open.push(entry.path()),
                Ok(meta) => bytes += meta.len(),
                Err(_) => {}
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_was_added() {
        let dir = tempfile::tempdir().unwrap();
        let mut growth = Growth::new(&dir.path().join("raw"));
        growth.next = Instant::now();
        assert_eq!(growth.since_last(), None);
        fs::create_dir_all(dir.path().join("raw/shop")).unwrap();
        fs::write(dir.path().join("raw/shop/a.ibd"), vec![0; 1000]).unwrap();
        assert_eq!(growth.since_last(), None, "it is not due yet");
        growth.next = Instant::now();
        assert_eq!(growth.since_last(), Some(1000));
        fs::write(dir.path().join("raw/ibdata1"), vec![0; 24]).unwrap();
        growth.next = Instant::now();
        assert_eq!(growth.since_last(), Some(24));
        growth.next = Instant::now();
        assert_eq!(growth.since_last(), None);
    }
}
