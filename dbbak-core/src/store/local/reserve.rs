//! Keeps a little room in a store, so that one that is full can still be locked and pruned.

use super::files::Files;
use crate::store::layout;

/// Bytes: some blocks for a lock, its heartbeat and what is staged for them, also where blocks are large.
const SIZE: usize = 256 << 10;

impl Files {
    /// Makes the reserve where it is not there and there is room. It is of use where it can be made, and nothing depends on it.
    pub(super) fn keep_reserve(&self) {
        let path = self.place(&layout::reserve());
        if self.create_dirs(&layout::history()).is_err() {
            return;
        }
        let mut file = match self.disk.create_new(&path) {
            Ok(file) => file,
            Err(_) => return,
        };
        // Bytes that no file system can make smaller.
        let mut bytes = vec![0; SIZE];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        let written = file.write_all(&bytes).and_then(|()| file.sync()).and_then(|()| file.close());
        if written.is_err() {
            let _ = self.disk.remove_file(&path);
        }
    }

    /// Gives the reserve up. Returns whether there was one.
    pub(super) fn give_up_reserve(&self) -> bool {
        self.disk.remove_file(&self.place(&layout::reserve())).is_ok()
    }
}
