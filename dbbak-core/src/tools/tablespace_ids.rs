//! Which tablespaces a server had when a backup of it ended: what a prepare cannot find may have been dropped before.

use super::{
    answers::{AnswerError, parse_table},
    tool::Family,
};
use serde::{Deserialize, Serialize};

/// The numbers of a server's InnoDB tablespaces. A number is never used twice by one server.
///
/// Written as a list of ranges `[first, last]`, since most numbers follow each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u32, u32)>", into = "Vec<(u32, u32)>")]
pub struct TablespaceIds {
    /// Sorted, and with a gap between each two.
    ranges: Vec<(u32, u32)>,
}

/// The question for those that have a file which a backup copies; needs PROCESS, as the backup tool does. The tablespace of
/// temporary tables is made anew by each start, and a discarded one has no file. Before MySQL 8.0.14 there is no such column.
/// MariaDB lists no discarded ones; those without a slash are its own (seen on 10.11.19).
pub(super) fn ask_tablespaces(family: Family) -> &'static str {
    match family {
        Family::Mysql => {
            "SELECT SPACE AS space, NAME AS name FROM information_schema.INNODB_TABLESPACES WHERE STATE <> 'discarded' AND \
             NAME <> 'innodb_temporary'"
        }
        Family::Mariadb => {
            "SELECT SPACE AS space, NAME AS name FROM information_schema.INNODB_SYS_TABLESPACES WHERE LOCATE('/', NAME) > 0"
        }
    }
}

/// The question for InnoDB's tables that have lost their tablespace on the server itself: discarded, or the file is gone. Needs PROCESS.
pub(super) fn ask_without_tablespace(family: Family) -> &'static str {
    match family {
        Family::Mysql => {
            "SELECT SPACE AS space, NAME AS name FROM information_schema.INNODB_TABLESPACES WHERE STATE = 'discarded'"
        }
        Family::Mariadb => {
            "SELECT t.SPACE AS space, t.NAME AS name FROM information_schema.INNODB_SYS_TABLES t LEFT JOIN \
             information_schema.INNODB_SYS_TABLESPACES s ON s.SPACE = t.SPACE WHERE t.SPACE <> 0 AND s.SPACE IS NULL"
        }
    }
}

/// The question for the files of InnoDB's tables outside of the data directory (`DATA DIRECTORY`, general tablespaces), by what MySQL 9.7 and MariaDB
/// 10.11 and 11.8 show: paths within it are relative. Needs PROCESS.
pub(super) fn ask_outside_files(family: Family) -> &'static str {
    match family {
        Family::Mysql => {
            "SELECT FILE_NAME AS path FROM information_schema.FILES WHERE FILE_TYPE = 'TABLESPACE' AND TABLESPACE_NAME <> \
             'innodb_system' AND (FILE_NAME LIKE '/%' OR FILE_NAME LIKE '../%') ORDER BY FILE_NAME"
        }
        Family::Mariadb => {
            "SELECT FILENAME AS path FROM information_schema.INNODB_SYS_TABLESPACES WHERE LOCATE('/', NAME) > 0 AND (FILENAME LIKE \
             '/%' OR FILENAME LIKE '../%') ORDER BY FILENAME"
        }
    }
}

impl TablespaceIds {
    /// Whether a number is among them.
    pub fn contains(&self, id: u32) -> bool {
        let at = self.ranges.partition_point(|(_, last)| *last < id);
        self.ranges.get(at).is_some_and(|(first, _)| *first <= id)
    }
}

impl From<Vec<(u32, u32)>> for TablespaceIds {
    fn from(mut found: Vec<(u32, u32)>) -> Self {
        found.sort_unstable();
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for (first, last) in found {
            match ranges.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => ranges.push((first, last)),
            }
        }
        TablespaceIds { ranges }
    }
}

impl From<TablespaceIds> for Vec<(u32, u32)> {
    fn from(ids: TablespaceIds) -> Self {
        ids.ranges
    }
}

impl FromIterator<u32> for TablespaceIds {
    fn from_iter<T: IntoIterator<Item = u32>>(ids: T) -> Self {
        ids.into_iter().map(|id| (id, id)).collect::<Vec<_>>().into()
    }
}

/// Reads the answer to the question for tablespaces: their numbers and names.
///
/// # Errors
///
/// [`AnswerError`], where a row holds no number.
pub fn parse_tablespaces_asked(stdout: &str) -> Result<Vec<(u32, String)>, AnswerError> {
    let table = parse_table(stdout)?;
    let rows = table.rows().map(|row| {
        let text = row.must(&["space"])?;
        let name = row.get("name").unwrap_or_default().to_owned();
        let bad = |_| AnswerError::BadField { column: "space", text: text.to_owned(), expected: "a number" };
        Ok((text.parse().map_err(bad)?, name))
    });
    rows.collect()
}

/// The table that a tablespace is named for (`shop/t@002d1#P#p0`), as `database.table`. Letters that the server writes in other ways than by
/// their number stay as they are.
pub fn table_of_tablespace(name: &str) -> String {
    let (database, table) = name.split_once('/').unwrap_or(("", name));
    let end = [table.find("#P#"), table.find("#p#")].into_iter().flatten().min().unwrap_or(table.len());
    format!("{}.{}", decoded(database), decoded(&table[..end]))
}

/// A name as the server's file names have it: `@` and four hex digits stand for a letter.
fn decoded(name: &str) -> String {
    let mut parts = name.split('@');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let letter = part.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
        match letter {
            Some(letter) => {
                out.push(letter);
                out.push_str(&part[4..]);
            }
            None => {
                out.push('@');
                out.push_str(part);
            }
        }
    }
    out
}

/// How many bytes of a file [`tablespace_of_page`] reads.
pub const PAGE_HEAD: usize = 38;

/// The number of the tablespace that a data file belongs to, by its first page: InnoDB writes it at offset 34, in files that
/// are encrypted or compressed too.
pub fn tablespace_of_page(head: &[u8; PAGE_HEAD]) -> u32 {
    u32::from_be_bytes([head[34], head[35], head[36], head[37]])
}

/// The number in a `.meta` file, which stands beside the changed pages of a tablespace in an incremental.
pub fn tablespace_of_meta(text: &str) -> Option<u32> {
    let line = text.lines().find_map(|line| line.strip_prefix("space_id"))?;
    line.trim_start().strip_prefix('=')?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in_and_nothing_else() {
        let put = [4_294_967_294, 7, 1, 2, 3, 9, 8, 0, u32::MAX, 3];
        let ids: TablespaceIds = put.into_iter().collect();
        for id in (0..20).chain([u32::MAX - 2, u32::MAX - 1, u32::MAX]) {
            assert_eq!(ids.contains(id), put.contains(&id), "{id}");
        }
        let text = serde_json::to_string(&ids).unwrap();
        assert_eq!(text, "[[0,3],[7,9],[4294967294,4294967295]]");
        assert_eq!(serde_json::from_str::<TablespaceIds>(&text).unwrap(), ids);
        // As a person may have written it.
        assert_eq!(
            serde_json::from_str::<TablespaceIds>("[[8,9],[0,2],[7,7],[1,3],[4294967294,4294967295]]").unwrap(),
            ids
        );
    }

    #[test]
    fn reads_the_answer_of_a_server() {
        let found =
            parse_tablespaces_asked("space\tname\n4294967294\tmysql\n1\tsys/sys_config\n2\tshop/part#p#p0\n").unwrap();
        let expected = [(4_294_967_294, "mysql"), (1, "sys/sys_config"), (2, "shop/part#p#p0")];
        assert_eq!(found, expected.map(|(id, name)| (id, name.to_owned())));
        assert!(parse_tablespaces_asked("").unwrap().is_empty());
        assert!(parse_tablespaces_asked("space\tname\nx\ty\n").is_err());
        assert!(parse_tablespaces_asked("name\nx\n").is_err());
    }

    #[test]
    fn names_the_table_of_a_tablespace() {
        for (name, table) in [
            ("d/imp", "d.imp"),
            ("a@002db/t@0020x#P#p0", "a-b.t x"),
            ("shop/part#p#p0#sp#s1", "shop.part"),
            ("d/@0g@x", "d.@0g@x"),
            ("odd", ".odd"),
        ] {
            assert_eq!(table_of_tablespace(name), table);
        }
    }

    #[test]
    fn reads_the_number_out_of_files() {
        let mut head = [0; PAGE_HEAD];
        head[34..].copy_from_slice(&[0xff, 0xff, 0xff, 0xee]);
        assert_eq!(tablespace_of_page(&head), 4_294_967_278);
        // As XtraBackup 9.7.1 writes it.
        let meta = "page_size = 16384\nzip_size = 0\nspace_id = 4294967279\nspace_flags = 0\n";
        assert_eq!(tablespace_of_meta(meta), Some(4_294_967_279));
        assert_eq!(tablespace_of_meta("page_size = 16384\n"), None);
        assert_eq!(tablespace_of_meta("space_id = x\n"), None);
    }
}
