//! Reads a tree while something else is done, so that the pass that must read it finds it in memory.

use super::{
    opened,
    tree::{BUFFER, survey},
};
use crate::beneath::Place;
use std::{
    io::Read,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

/// Reads the files of a tree, the largest first as [`walk_tree`](super::walk_tree) does, until all are read or `stop` is
/// set. What cannot be read is passed over: the pass that needs it will say so. MySQL writes a clone past the page cache
/// (seen on 9.7.4).
pub(super) fn read_ahead(root: &Path, stop: &AtomicBool) {
    let root = Place::new(root, "");
    let Ok((_, files)) = survey(&root) else { return };
    let mut buffer = vec![0; BUFFER];
    for (path, _) in files {
        let Ok(mut file) = opened::regular_at(&root.child(&path)) else { continue };
        while !stop.load(Ordering::Relaxed) {
            match file.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "tests write the tree")]

    use super::*;

    #[test]
    fn a_tree_that_changes_or_is_not_there_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ibdata1"), vec![7; 3 << 20]).unwrap();
        read_ahead(dir.path(), &AtomicBool::new(false));
        read_ahead(dir.path(), &AtomicBool::new(true));
        read_ahead(&dir.path().join("absent"), &AtomicBool::new(false));
    }
}
