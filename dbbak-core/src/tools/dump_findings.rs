//! What a dump cannot hold as it is, or what needs help to be loaded: asked of the server before a dump.

use super::{
    answers::{AnswerError, parse_table},
    client::Dialect,
    tool::{Family, Version},
};
use serde::{Deserialize, Serialize};

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpFinding {
    /// What it is.
    pub kind: DumpFindingKind,
    /// Its database; empty for what belongs to none.
    pub database: String,
    /// The table, view or tablespace.
    pub name: String,
    /// More of it: a column, or what a tablespace is made with.
    pub detail: String,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DumpFindingKind {
    /// A `FLOAT` column: both vendors write six digits of it, its values need nine. One with a number of decimals
    /// (`FLOAT(M,D)`) is written with all of them, and `DOUBLE` exactly (seen on 9.7.4, 10.11.19, 11.8.9).
    Float,
    /// A `JSON` column of MySQL: a number of type DECIMAL in it becomes a DOUBLE, a date or time a string.
    Json,
    /// A view that names what is not there: the dump programs stop at it.
    BrokenView,
    /// A general tablespace of MySQL: the dump names it with its tables, and does not make it.
    Tablespace,
    /// A general tablespace of a server whose way to make one anew is not known.
    OldTablespace,
    /// A table of MariaDB that keeps its history.
    Versioned,
    /// The same with a history by transactions, which no dump holds.
    VersionedByTransaction,
}

impl DumpFinding {
    /// The finding as a message names it. Names can hold any character.
    pub fn shown(&self) -> String {
        let mut parts = vec![&self.database, &self.name];
        if matches!(self.kind, DumpFindingKind::Float | DumpFindingKind::Json) {
            parts.push(&self.detail);
        }
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        parts.map(|part| part.escape_debug().to_string()).collect::<Vec<_>>().join(".")
    }

    /// The statement that makes a general tablespace anew, in a file that the server names.
    pub fn create_tablespace(&self) -> Option<String> {
        if self.kind != DumpFindingKind::Tablespace {
            return None;
        }
        let (block, encrypted) = self.detail.split_once(' ').unwrap_or((&self.detail, "N"));
        let block = match block {
            "0" => String::new(),
            bytes => format!(" FILE_BLOCK_SIZE = {bytes}"),
        };
        let encryption = if encrypted == "Y" { " ENCRYPTION = 'Y'" } else { "" };
        Some(format!("CREATE TABLESPACE `{}`{block}{encryption} ENGINE = InnoDB;\n", self.name.replace('`', "``")))
    }
}

/// The question. A view whose columns nobody can tell is broken; MySQL's dump also stops at one whose definer is gone.
pub(super) fn ask_dump_findings(dialect: Dialect) -> &'static str {
    match dialect.family {
        Family::Mariadb => {
            "SELECT 'float' AS kind, c.TABLE_SCHEMA AS db, c.TABLE_NAME AS name, c.COLUMN_NAME AS detail FROM \
             information_schema.COLUMNS c JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND \
             t.TABLE_NAME = c.TABLE_NAME WHERE t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND c.DATA_TYPE = 'float' \
             AND c.NUMERIC_SCALE IS NULL AND COALESCE(c.GENERATION_EXPRESSION, '') = '' AND c.TABLE_SCHEMA NOT IN ('mysql', \
             'sys', 'information_schema', 'performance_schema') UNION ALL SELECT 'broken_view', t.TABLE_SCHEMA, t.TABLE_NAME, \
             '' FROM information_schema.TABLES t WHERE t.TABLE_TYPE = 'VIEW' AND t.TABLE_SCHEMA NOT IN ('sys', \
             'information_schema') AND NOT EXISTS (SELECT 1 FROM information_schema.COLUMNS c WHERE c.TABLE_SCHEMA = \
             t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME) UNION ALL SELECT IF(EXISTS (SELECT 1 FROM \
             information_schema.COLUMNS c WHERE c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME AND \
             c.DATA_TYPE = 'bigint' AND c.GENERATION_EXPRESSION = 'ROW START'), 'versioned_by_transaction', 'versioned'), \
             t.TABLE_SCHEMA, t.TABLE_NAME, '' FROM information_schema.TABLES t WHERE t.TABLE_TYPE = 'SYSTEM VERSIONED'"
        }
        Family::Mysql if dialect.version >= Version::new(8, 0, 14) => {
            "SELECT IF(c.DATA_TYPE = 'json', 'json', 'float') AS kind, c.TABLE_SCHEMA AS db, c.TABLE_NAME AS name, \
             c.COLUMN_NAME AS detail FROM information_schema.COLUMNS c JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = \
             c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME WHERE t.TABLE_TYPE = 'BASE TABLE' AND (c.DATA_TYPE = 'json' OR \
             c.DATA_TYPE = 'float' AND c.NUMERIC_SCALE IS NULL) AND COALESCE(c.GENERATION_EXPRESSION, '') = '' AND \
             c.TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema') UNION ALL SELECT \
             'broken_view', v.TABLE_SCHEMA, v.TABLE_NAME, '' FROM information_schema.VIEWS v WHERE v.TABLE_SCHEMA NOT IN \
             ('sys', 'information_schema') AND (NOT EXISTS (SELECT 1 FROM information_schema.COLUMNS c WHERE c.TABLE_SCHEMA = \
             v.TABLE_SCHEMA AND c.TABLE_NAME = v.TABLE_NAME) OR EXISTS (SELECT 1 FROM information_schema.TABLES t WHERE \
             t.TABLE_SCHEMA = v.TABLE_SCHEMA AND t.TABLE_NAME = v.TABLE_NAME AND t.TABLE_COMMENT <> 'VIEW') OR \
             v.SECURITY_TYPE = 'DEFINER' AND NOT EXISTS (SELECT 1 FROM mysql.user u WHERE CONCAT(u.User, '@', u.Host) = \
             v.DEFINER)) UNION ALL SELECT 'tablespace', '', s.NAME, CONCAT(s.ZIP_PAGE_SIZE, ' ', s.ENCRYPTION) FROM \
             information_schema.INNODB_TABLESPACES s WHERE s.SPACE_TYPE = 'General' AND s.NAME <> 'mysql'"
        }
        Family::Mysql => {
            "SELECT 'float' AS kind, c.TABLE_SCHEMA AS db, c.TABLE_NAME AS name, c.COLUMN_NAME AS detail FROM \
             information_schema.COLUMNS c JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND \
             t.TABLE_NAME = c.TABLE_NAME WHERE t.TABLE_TYPE = 'BASE TABLE' AND c.DATA_TYPE = 'float' AND c.NUMERIC_SCALE IS \
             NULL AND c.EXTRA NOT LIKE '%GENERATED' AND c.TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', \
             'performance_schema') UNION ALL SELECT 'broken_view', v.TABLE_SCHEMA, v.TABLE_NAME, '' FROM \
             information_schema.VIEWS v WHERE v.TABLE_SCHEMA NOT IN ('sys', 'information_schema') AND (NOT EXISTS (SELECT 1 \
             FROM information_schema.COLUMNS c WHERE c.TABLE_SCHEMA = v.TABLE_SCHEMA AND c.TABLE_NAME = v.TABLE_NAME) OR \
             v.SECURITY_TYPE = 'DEFINER' AND NOT EXISTS (SELECT 1 FROM mysql.user u WHERE CONCAT(u.User, '@', u.Host) = \
             v.DEFINER)) UNION ALL SELECT DISTINCT 'old_tablespace', '', f.TABLESPACE_NAME, '' FROM information_schema.FILES f \
             WHERE f.ENGINE = 'InnoDB' AND f.FILE_TYPE = 'TABLESPACE' AND f.TABLESPACE_NAME NOT LIKE '%/%' AND \
             f.TABLESPACE_NAME NOT LIKE 'innodb%' AND f.TABLESPACE_NAME <> 'mysql'"
        }
    }
}

/// Reads the answer.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_dump_findings(stdout: &str) -> Result<Vec<DumpFinding>, AnswerError> {
    let mut found = Vec::new();
    for row in parse_table(stdout)?.rows() {
        let kind = row.must(&["kind"])?;
        let read = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(kind);
        let kind = DumpFindingKind::deserialize(read).map_err(|_| AnswerError::BadField {
            column: "kind",
            text: kind.chars().take(200).collect(),
            expected: "a kind of finding",
        })?;
        found.push(DumpFinding {
            kind,
            database: row.must(&["db"])?.to_owned(),
            name: row.must(&["name"])?.to_owned(),
            detail: row.must(&["detail"])?.to_owned(),
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_was_found_and_makes_tablespaces_anew() {
        let found = parse_dump_findings(
            "kind\tdb\tname\tdetail\nfloat\td\tg\ta\nbroken_view\td\tv\\n2\t\ntablespace\t\tg`s\t8192 Y\ntablespace\t\th\t0 N\n\
             versioned_by_transaction\td\tt\t\n",
        )
        .unwrap();
        let shown: Vec<String> = found.iter().map(DumpFinding::shown).collect();
        assert_eq!(shown, ["d.g.a", "d.v\\n2", "g`s", "h", "d.t"]);
        let made: Vec<String> = found.iter().filter_map(DumpFinding::create_tablespace).collect();
        assert_eq!(
            made,
            [
                "CREATE TABLESPACE `g``s` FILE_BLOCK_SIZE = 8192 ENCRYPTION = 'Y' ENGINE = InnoDB;\n",
                "CREATE TABLESPACE `h` ENGINE = InnoDB;\n"
            ]
        );
        assert!(parse_dump_findings("kind\tdb\tname\tdetail\nother\td\tg\ta\n").is_err());
        assert_eq!(parse_dump_findings("").unwrap(), []);
    }
}
