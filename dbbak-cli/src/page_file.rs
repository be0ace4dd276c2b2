//! Writes the page of `dbbak timeline`: into a new file, or over an older page.

use crate::CommandError;
use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// What tells a page of dbbak from other files.
pub(crate) const MARKER: &str = "<meta name=\"generator\" content=\"dbbak timeline\">";
/// How the pages before the marker began.
const EARLIER: &str = "<title>What can be restored</title>\n<style>\n:root";
/// How much of a file is looked at.
const HEAD: u64 = 64 * 1024;

/// Writes a page. A file that is not dbbak's own stays as it is, and no symbolic link is followed.
pub(crate) fn write(path: &Path, page: &str) -> Result<(), CommandError> {
    let failed = |source| CommandError::Page { path: path.to_owned(), source };
    let foreign = |found| CommandError::PageTaken { path: path.to_owned(), found };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return fill(path, page).map_err(failed),
        Err(error) => return Err(failed(error)),
        Ok(meta) if meta.is_symlink() => return Err(foreign("a symbolic link")),
        Ok(meta) if !meta.is_file() => return Err(foreign("no regular file")),
        Ok(_) => {}
    }
    if !is_own(path).map_err(failed)? {
        return Err(foreign("a file that dbbak did not write"));
    }
    // Beside it first: whoever reads the page sees the old one or the new one, and a name that has become a link is replaced
    // and not followed.
    let name = path.file_name().unwrap_or(OsStr::new("page")).to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    fill(&beside, page).and_then(|()| fs::rename(&beside, path)).map_err(|error| {
        let _ = fs::remove_file(&beside);
        failed(error)
    })
}

fn is_own(path: &Path) -> io::Result<bool> {
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let mut head = Vec::new();
    OpenOptions::new().read(true).custom_flags(no_follow).open(path)?.take(HEAD).read_to_end(&mut head)?;
    let head = String::from_utf8_lossy(&head);
    Ok(head.contains(MARKER) || head.contains(EARLIER))
}

fn fill(path: &Path, page: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    file.write_all(page.as_bytes()).inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn page(text: &str) -> String {
        format!("<!DOCTYPE html>{MARKER}{text}")
    }

    #[test]
    fn writes_a_new_file_and_replaces_an_own_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("page.html");
        for text in ["one", "two, longer", "3"] {
            write(&path, &page(text)).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), page(text));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn leaves_all_else_alone() {
        let dir = tempfile::tempdir().unwrap();
        let options = dir.path().join("my.cnf");
        fs::write(&options, "[client]\npassword=x\n").unwrap();
        let link = dir.path().join("link.html");
        symlink(&options, &link).unwrap();
        let own = dir.path().join("own.html");
        write(&own, &page("x")).unwrap();
        let to_own = dir.path().join("to-own.html");
        symlink(&own, &to_own).unwrap();
        let dangling = dir.path().join("dangling.html");
        symlink(dir.path().join("new"), &dangling).unwrap();
        for path in [&options, &link, &to_own, &dangling, &dir.path().to_owned()] {
            let error = write(path, &page("y")).unwrap_err();
            assert!(matches!(error, CommandError::PageTaken { .. }), "{}: {error}", path.display());
        }
        assert_eq!(fs::read_to_string(&options).unwrap(), "[client]\npassword=x\n");
        assert_eq!(fs::read_to_string(&own).unwrap(), page("x"));
        assert!(!dir.path().join("new").exists());
    }
}
