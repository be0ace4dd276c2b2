//! Whether a backup holds the files of each table that is not InnoDB's: mariadb-backup passes symbolic links over without a word, which is
//! what `DATA DIRECTORY` and `INDEX DIRECTORY` of a MyISAM or Aria table are.

use super::{error::ExecuteError, files};
use crate::tools::{
    FRM_HEAD, TEXT_FRM, TableFiles, files_of_frm, is_frm, is_innodb_frm, parts_of_par, table_of_tablespace,
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Looks at each table definition of a backup for the files that its engine keeps rows in. Returns the tables that are broken on the server
/// itself, as `database.table`: those of which it lacks a file too, and definitions that no server can read.
///
/// `in_system_tablespace`: InnoDB's tables without a file of their own, as the files are named; not known where the server did not say.
///
/// # Errors
///
/// [`ExecuteError::LostTables`], where the server's data directory has such a file and the backup does not. A table that lacks one on the
/// server too was broken before; one that is gone there by now was dropped.
pub(super) fn all_tables_in(
    dir: &Path,
    datadir: &Path,
    in_system_tablespace: Option<&[String]>,
) -> Result<Vec<String>, ExecuteError> {
    let mut definitions: Vec<PathBuf> = Vec::new();
    files::each_file(dir, &mut |path| {
        if path.extension().is_some_and(|extension| extension == "frm") {
            definitions.push(path.to_owned());
        }
        Ok(())
    })?;
    let (mut first, mut count) = (None, 0);
    let mut broken = BTreeSet::new();
    for path in definitions {
        let head = files::head::<FRM_HEAD>(&path)?;
        if is_broken(&path, head.as_ref(), (dir, datadir), in_system_tablespace) {
            broken.extend(
                path.strip_prefix(dir)
                    .ok()
                    .and_then(Path::to_str)
                    .map(|name| table_of_tablespace(name.strip_suffix(".frm").unwrap_or(name))),
            );
            continue;
        }
        let Some(found) = head.and_then(|head| files_of_frm(&head)) else { continue };
        let lost = lost_of(&path, found, dir, datadir)?;
        count += usize::from(lost.is_some());
        first = first.or(lost);
    }
    match first {
        Some(first) => Err(ExecuteError::LostTables { first, count }),
        None => Ok(broken.into_iter().collect()),
    }
}

/// Endings of files in a database's directory that the tool copies, that are InnoDB's, or that a statement has for a while.
const KNOWN: [&str; 21] = [
    "frm", "ibd", "isl", "MYD", "MYI", "MAD", "MAI", "MRG", "CSV", "CSM", "CSN", "ARZ", "ARM", "ARN", "TRG", "TRN",
    "TMD", "opt", "par", "ibu", "cfg",
];

/// Files in the server's databases of which the tool knows nothing and the backup lacks, by their paths below the data directory, sorted: the
/// engine CONNECT keeps rows so (seen on 10.11.19), and every engine that mariadb-backup was not made for.
///
/// # Errors
///
/// When the backup cannot be looked at. What cannot be seen of the server's directories is not told.
pub(super) fn passed_over(dir: &Path, datadir: &Path) -> Result<Vec<String>, ExecuteError> {
    let mut databases = BTreeSet::new();
    files::each_file(dir, &mut |path| {
        let below = path.strip_prefix(dir).ok().and_then(Path::parent).filter(|below| below.components().count() == 1);
        databases.extend(below.map(Path::to_owned));
        Ok(())
    })?;
    let mut found = Vec::new();
    for database in databases {
        let on_server = files::names_in(&datadir.join(&database)).unwrap_or_default();
        for name in on_server {
            let ending = Path::new(&name).extension().and_then(|ending| ending.to_str());
            let unknown = ending.is_none_or(|ending| !KNOWN.contains(&ending)) && !name.starts_with(['#', '.']);
            let path = database.join(&name);
            if unknown && !files::exists(&dir.join(&path)) {
                found.push(path.display().to_string());
            }
        }
    }
    Ok(found)
}

/// Whether a table is broken on the server itself.
fn is_broken(
    frm: &Path,
    head: Option<&[u8; FRM_HEAD]>,
    (dir, datadir): (&Path, &Path),
    in_system_tablespace: Option<&[String]>,
) -> bool {
    let Ok(below) = frm.strip_prefix(dir) else { return false };
    let there =
        |extension: &str| files::is_named(&datadir.join(below.with_extension("")).with_added_extension(extension));
    // Also that its directory can be read.
    if !there("frm") {
        return false;
    }
    let Some(head) = head else {
        // Shorter than any table's.
        return files::read_file(frm).ok().flatten().is_some_and(|bytes| !bytes.starts_with(TEXT_FRM));
    };
    if let Some(found) = files_of_frm(head) {
        return !found.partitioned && found.extensions.iter().any(|extension| !there(extension));
    }
    if is_innodb_frm(head) {
        let name = below.with_extension("");
        let in_system =
            in_system_tablespace.map(|tables| tables.iter().any(|table| Some(table.as_str()) == name.to_str()));
        return in_system == Some(false) && !there("ibd") && !there("isl");
    }
    !is_frm(head)
}

/// The first file that a table lacks in the backup and has on the server, by its path below the data directory.
fn lost_of(frm: &Path, found: TableFiles, dir: &Path, datadir: &Path) -> Result<Option<PathBuf>, ExecuteError> {
    let Ok(below) = frm.strip_prefix(dir) else { return Ok(None) };
    let stem = below.with_extension("");
    let there = |name: &Path| files::is_named(&datadir.join(name));
    let is_lost = |name: &Path| !files::exists(&dir.join(name)) && there(name);
    let with = |stem: &Path, extension: &str| {
        let mut name = stem.as_os_str().to_owned();
        name.push(".");
        name.push(extension);
        PathBuf::from(name)
    };
    if !found.partitioned {
        return Ok(found.extensions.iter().map(|extension| with(&stem, extension)).find(|name| is_lost(name)));
    }
    let parts = files::read_file(&with(&dir.join(&stem), "par"))?.and_then(|bytes| parts_of_par(&bytes));
    let (Some(parts), Some(database), Some(table)) =
        (parts, stem.parent(), stem.file_name().and_then(|name| name.to_str()))
    else {
        return Ok(None);
    };
    let begin = format!("{table}#P#");
    let of_table = |names: Vec<String>, extension: &str| {
        let end = format!(".{extension}");
        names.into_iter().filter(|name| name.starts_with(&begin) && name.ends_with(&end)).collect::<Vec<_>>()
    };
    for extension in found.extensions {
        let held = of_table(files::names_in(&dir.join(database))?, extension);
        if held.len() < parts as usize && files::exists(&datadir.join(database)) {
            let on_server = of_table(files::names_in(&datadir.join(database))?, extension);
            let lost = on_server.into_iter().find(|name| !held.contains(name));
            if let Some(name) = lost {
                return Ok(Some(database.join(name)));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the test lays out the files that the code looks at")]

    use super::*;
    use std::{fs, os::unix::fs::symlink};

    /// The first bytes of a definition, with the engine's number, and that of the partitions' engine.
    fn frm(engine: u8, partitions: u8) -> Vec<u8> {
        let mut bytes = vec![0; 100];
        (bytes[0], bytes[1], bytes[3], bytes[61]) = (0xfe, 0x01, engine, partitions);
        bytes
    }

    struct Place {
        _dir: tempfile::TempDir,
        backup: PathBuf,
        data: PathBuf,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let (backup, data) = (dir.path().join("raw"), dir.path().join("data"));
            for place in [&backup, &data] {
                fs::create_dir_all(place.join("shop")).unwrap();
            }
            Place { _dir: dir, backup, data }
        }

        fn both(&self, name: &str, bytes: &[u8]) {
            self.backup(name, bytes);
            fs::write(self.data.join("shop").join(name), bytes).unwrap();
        }

        fn backup(&self, name: &str, bytes: &[u8]) {
            fs::write(self.backup.join("shop").join(name), bytes).unwrap();
        }

        fn link(&self, name: &str) {
            symlink("/nowhere/at/all", self.data.join("shop").join(name)).unwrap();
        }

        fn lost(&self) -> Option<(String, usize)> {
            match all_tables_in(&self.backup, &self.data, None) {
                Ok(_) => None,
                Err(ExecuteError::LostTables { first, count }) => Some((first.display().to_string(), count)),
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn whole_tables_of_each_engine_are_let_pass() {
        let place = Place::new();
        for (name, engine, ends) in
            [("a", 42, &["MAI", "MAD"][..]), ("m", 9, &["MYI", "MYD"]), ("c", 17, &["CSV"]), ("g", 10, &["MRG"])]
        {
            place.both(&format!("{name}.frm"), &frm(engine, 0));
            ends.iter().for_each(|end| place.both(&format!("{name}.{end}"), b"rows"));
        }
        // InnoDB's tablespaces are compared elsewhere; a view and an engine without files have none.
        place.both("i.frm", &frm(12, 0));
        place.both("black.frm", &frm(19, 0));
        place.both("v.frm", &[b"TYPE=VIEW\n".as_slice(), &[b' '; 100]].concat());
        place.both("short.frm", b"TYPE=VIEW");
        assert_eq!(place.lost(), None);
    }

    #[test]
    fn what_lies_behind_a_link_is_lost() {
        let place = Place::new();
        place.both("a.frm", &frm(42, 0));
        place.both("a.MAI", b"index");
        place.link("a.MAD");
        assert_eq!(place.lost(), Some(("shop/a.MAD".into(), 1)));
        place.both("m.frm", &frm(9, 0));
        place.link("m.MYI");
        place.link("m.MYD");
        assert_eq!(place.lost().map(|(_, count)| count), Some(2));
    }

    #[test]
    fn what_the_server_lacks_too_is_not_lost_by_the_backup() {
        let place = Place::new();
        place.both("a.frm", &frm(42, 0));
        place.backup("dropped.frm", &frm(9, 0));
        assert_eq!(place.lost(), None);
    }

    #[test]
    fn tables_that_are_broken_on_the_server_are_named() {
        let place = Place::new();
        let broken = |system: Option<&[String]>| all_tables_in(&place.backup, &place.data, system).unwrap();
        // Its rows are gone there, and the tool copies nothing of it.
        place.both("a.frm", &frm(42, 0));
        fs::write(place.data.join("shop/a.MAI"), b"index").unwrap();
        place.both("garbage.frm", &[7; 100]);
        place.both("half.frm", b"half");
        place.both("v.frm", b"TYPE=VIEW\n");
        place.both("orphan.frm", &frm(12, 0));
        place.both("old@002dtable.frm", &frm(12, 0));
        place.both("whole.frm", &frm(12, 0));
        place.both("whole.ibd", b"rows");
        place.backup("dropped.frm", &frm(12, 0));
        assert_eq!(broken(None), ["shop.a", "shop.garbage", "shop.half"]);
        let system = ["shop/old@002dtable".to_owned()];
        assert_eq!(broken(Some(&system)), ["shop.a", "shop.garbage", "shop.half", "shop.orphan"]);
        assert_eq!(broken(Some(&[])).last().map(String::as_str), Some("shop.orphan"));
        assert!(broken(Some(&[])).contains(&"shop.old-table".to_owned()));
    }

    #[test]
    fn files_that_the_tool_does_not_know_are_named() {
        let place = Place::new();
        let seen = || passed_over(&place.backup, &place.data).unwrap();
        place.both("t.frm", &frm(12, 0));
        place.both("t.kept", b"the tool knows it");
        for name in ["t.ibd", "late.frm", "late.MYD", "#sql-1.csv"] {
            fs::write(place.data.join("shop").join(name), b"of the server").unwrap();
        }
        assert_eq!(seen(), [""; 0]);
        fs::write(place.data.join("shop/c.csv"), b"1,x").unwrap();
        fs::create_dir(place.data.join("late")).unwrap();
        fs::write(place.data.join("late/c.csv"), b"of a later database").unwrap();
        fs::write(place.data.join("shop/noending"), b"1,x").unwrap();
        assert_eq!(seen(), ["shop/c.csv", "shop/noending"]);
    }

    #[test]
    fn each_partition_counts() {
        let place = Place::new();
        let par = [0_u32, 0, 3, 0].map(u32::to_le_bytes).concat();
        place.both("p.frm", &frm(20, 9));
        place.both("p.par", &par);
        for part in ["p#P#p0", "p#P#p1"] {
            for end in ["MYI", "MYD"] {
                place.both(&format!("{part}.{end}"), b"rows");
            }
        }
        place.both("p#P#p2.MYI", b"index");
        // The server lacks it too.
        assert_eq!(place.lost(), None);
        place.link("p#P#p2.MYD");
        assert_eq!(place.lost(), Some(("shop/p#P#p2.MYD".into(), 1)));
        place.backup("p#P#p2.MYD", b"rows");
        assert_eq!(place.lost(), None);
        // A table whose name begins like this one is another.
        place.both("p.frm", &frm(20, 12));
        assert_eq!(place.lost(), None);
    }
}
