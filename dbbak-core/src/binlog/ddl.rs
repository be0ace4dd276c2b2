//! Reads out of a statement which tables it changes, without a full SQL grammar.

use super::blank::skip_blank;
use super::objects::object;

/// What a data definition statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DdlKind {
    /// `CREATE TABLE`, also `... SELECT` and `... LIKE`; MariaDB's `CREATE SEQUENCE`.
    CreateTable,
    /// `ALTER TABLE`.
    AlterTable,
    /// `DROP TABLE`, of every table that it names.
    DropTable,
    /// `TRUNCATE`.
    TruncateTable,
    /// `RENAME TABLE`; stands at the old and at the new names.
    RenameTable,
    /// `CREATE INDEX`; stands at the table.
    CreateIndex,
    /// `DROP INDEX`; stands at the table.
    DropIndex,
    /// `CREATE DATABASE`; the table is empty.
    CreateDatabase,
    /// `ALTER DATABASE`; the table is empty.
    AlterDatabase,
    /// `DROP DATABASE`; the table is empty.
    DropDatabase,
    /// Views, routines, triggers, events: anything that has a name in a database and holds no rows.
    Program,
    /// Users, roles, grants, passwords; names no table.
    Account,
    /// Anything else that is logged as a statement of its own: tablespaces, servers, maintenance.
    Other,
}

/// What a statement that was logged as text does to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DmlKind {
    /// `INSERT` or `REPLACE`.
    Insert,
    /// `UPDATE`.
    Update,
    /// `DELETE`.
    Delete,
    /// `LOAD DATA`.
    Load,
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Ddl(DdlKind),
    Dml(DmlKind),
    /// Nothing that this reader knows.
    Unknown,
}

/// A statement's action and the tables that it names: database where it is written out, and table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) action: Action,
    pub(super) tables: Vec<(Option<String>, String)>,
    /// Whether it may change other tables than these.
    pub(super) partial: bool,
    /// Whether it makes or drops temporary tables, and says so.
    pub(super) temporary: bool,
}

/// How many words after the first are searched for what the statement is about; a DEFINER clause has about ten.
const CLAUSE_WORDS: usize = 40;

/// Reads a statement.
pub(super) fn parse(text: &str) -> Named {
    let mut words = Words { rest: text };
    let first = words.next_keyword();
    let temporary = matches!(first.as_str(), "CREATE" | "DROP") && makes_temporary(words.rest);
    let mut partial = false;
    let (action, tables) = match first.as_str() {
        "CREATE" => create(&mut words),
        "ALTER" => alter(&mut words),
        "DROP" => drop_statement(&mut words),
        "TRUNCATE" => {
            words.skip_any(&["TABLE"]);
            (Action::Ddl(DdlKind::TruncateTable), words.name().into_iter().collect())
        }
        "RENAME" => rename(&mut words),
        "GRANT" | "REVOKE" | "SET" => (Action::Ddl(DdlKind::Account), Vec::new()),
        "ANALYZE" | "OPTIMIZE" | "REPAIR" | "FLUSH" | "INSTALL" | "UNINSTALL" => {
            (Action::Ddl(DdlKind::Other), Vec::new())
        }
        "INSERT" | "REPLACE" => {
            words.skip_any(&["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"]);
            (Action::Dml(DmlKind::Insert), words.name().into_iter().collect())
        }
        "UPDATE" => {
            words.skip_any(&["LOW_PRIORITY", "IGNORE"]);
            let table = words.name();
            partial = !words.goes_on_with(&["SET"]);
            (Action::Dml(DmlKind::Update), table.into_iter().collect())
        }
        "DELETE" => {
            words.skip_any(&["LOW_PRIORITY", "QUICK", "IGNORE", "FROM", "HISTORY"]);
            let table = words.name();
            partial = !words.goes_on_with(&["", "WHERE", "ORDER", "LIMIT", "RETURNING"]);
            (Action::Dml(DmlKind::Delete), table.into_iter().collect())
        }
        "LOAD" => {
            let found = words.seek(&["TABLE"]).is_some();
            let table = if found { words.name() } else { None };
            (Action::Dml(DmlKind::Load), table.into_iter().collect())
        }
        _ => (Action::Unknown, Vec::new()),
    };
    let partial = partial || tables.is_empty();
    Named { action, tables, partial, temporary }
}

/// Whether the words behind CREATE or DROP begin with TEMPORARY.
fn makes_temporary(rest: &str) -> bool {
    let mut words = Words { rest };
    words.skip_any(&["OR", "REPLACE"]);
    words.skip_any(&["TEMPORARY"])
}

/// Whether a statement makes or changes an event of the event scheduler. A replica's applier disables such an event, where
/// a client's statement leaves it as it is written.
pub(crate) fn defines_event(text: &str) -> bool {
    let mut words = Words { rest: text };
    let first = words.next_keyword();
    matches!(first.as_str(), "CREATE" | "ALTER") && words.seek_object().as_deref() == Some("EVENT")
}

type Parsed = (Action, Vec<(Option<String>, String)>);

const PROGRAMS: [&str; 7] = ["VIEW", "PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE", "LIBRARY"];

fn create(words: &mut Words<'_>) -> Parsed {
    let object = words.seek_object().unwrap_or_default();
    let kind = match object.as_str() {
        "TABLE" | "SEQUENCE" => DdlKind::CreateTable,
        "INDEX" | "KEY" => {
            return (Action::Ddl(DdlKind::CreateIndex), words.indexed_table());
        }
        "DATABASE" | "SCHEMA" => DdlKind::CreateDatabase,
        "USER" | "ROLE" => return (Action::Ddl(DdlKind::Account), Vec::new()),
        program if PROGRAMS.contains(&program) => DdlKind::Program,
        _ => return (Action::Ddl(DdlKind::Other), Vec::new()),
    };
    words.skip_any(&["IF", "NOT", "EXISTS"]);
    named(kind, words.name())
}

fn alter(words: &mut Words<'_>) -> Parsed {
    let object = words.seek_object().unwrap_or_default();
    let kind = match object.as_str() {
        "TABLE" | "SEQUENCE" => DdlKind::AlterTable,
        "DATABASE" | "SCHEMA" => DdlKind::AlterDatabase,
        "USER" | "ROLE" => return (Action::Ddl(DdlKind::Account), Vec::new()),
        program if PROGRAMS.contains(&program) => DdlKind::Program,
        _ => return (Action::Ddl(DdlKind::Other), Vec::new()),
    };
    words.skip_any(&["IF", "EXISTS"]);
    named(kind, words.name())
}

fn drop_statement(words: &mut Words<'_>) -> Parsed {
    let object = words.seek_object().unwrap_or_default();
    let kind = match object.as_str() {
        "TABLE" | "TABLES" | "SEQUENCE" => {
            words.skip_any(&["IF", "EXISTS"]);
            return (Action::Ddl(DdlKind::DropTable), words.names());
        }
        "INDEX" | "KEY" => return (Action::Ddl(DdlKind::DropIndex), words.indexed_table()),
        "DATABASE" | "SCHEMA" => DdlKind::DropDatabase,
        "USER" | "ROLE" => return (Action::Ddl(DdlKind::Account), Vec::new()),
        program if PROGRAMS.contains(&program) => DdlKind::Program,
        _ => return (Action::Ddl(DdlKind::Other), Vec::new()),
    };
    words.skip_any(&["IF", "EXISTS"]);
    named(kind, words.name())
}

fn rename(words: &mut Words<'_>) -> Parsed {
    if !words.skip_any(&["TABLE", "TABLES"]) {
        return (Action::Ddl(DdlKind::Account), Vec::new());
    }
    words.skip_any(&["IF", "EXISTS"]);
    let mut tables = Vec::new();
    while let Some(old) = words.name() {
        tables.push(old);
        words.skip_any(&["NOWAIT"]);
        if words.skip_any(&["TO"]) {
            tables.extend(words.name());
        }
        if !words.skip_sign(',') {
            break;
        }
    }
    (Action::Ddl(DdlKind::RenameTable), tables)
}

/// A database's own name stands where a table's would: the caller sees from the kind which it is.
fn named(kind: DdlKind, name: Option<(Option<String>, String)>) -> Parsed {
    let is_database = matches!(kind, DdlKind::CreateDatabase | DdlKind::AlterDatabase | DdlKind::DropDatabase);
    let name = name.map(|(database, name)| if is_database { (Some(name), String::new()) } else { (database, name) });
    (Action::Ddl(kind), name.into_iter().collect())
}

/// The words of a statement, comments left out.
struct Words<'t> {
    rest: &'t str,
}

impl Words<'_> {
    fn skip_blank(&mut self) {
        self.rest = skip_blank(self.rest);
    }

    /// The next bare word, empty where something else follows.
    fn peek_word(&mut self) -> &str {
        self.skip_blank();
        let end = self.rest.find(|char| !is_word(char)).unwrap_or(self.rest.len());
        self.rest.get(..end).unwrap_or_default()
    }

    fn next_keyword(&mut self) -> String {
        let word = self.peek_word().to_ascii_uppercase();
        self.rest = self.rest.get(word.len()..).unwrap_or_default();
        word
    }

    /// Passes over any of these keywords, however many; whether there was one.
    fn skip_any(&mut self, keywords: &[&str]) -> bool {
        let mut found = false;
        while keywords.iter().any(|keyword| self.peek_word().eq_ignore_ascii_case(keyword)) {
            self.next_keyword();
            found = true;
        }
        found
    }

    /// Whether behind a table's name one of these words comes next, or behind its alias; the empty word is the end.
    fn goes_on_with(&mut self, keywords: &[&str]) -> bool {
        let is_next = |words: &mut Self| {
            words.skip_blank();
            let word = words.peek_word().to_ascii_uppercase();
            keywords.contains(&word.as_str()) && (!word.is_empty() || matches!(words.rest, "" | ";"))
        };
        if is_next(self) {
            return true;
        }
        self.skip_any(&["AS"]);
        self.identifier().is_some() && is_next(self)
    }

    fn skip_sign(&mut self, sign: char) -> bool {
        self.skip_blank();
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Reads on to the word that says what a CREATE, ALTER or DROP is about.
    fn seek_object(&mut self) -> Option<String> {
        self.seek_where(&|word| object(word).is_some())
    }

    /// Reads on to the first of these keywords.
    fn seek(&mut self, keywords: &[&str]) -> Option<String> {
        self.seek_where(&|word| keywords.contains(&word))
    }

    fn seek_where(&mut self, is_it: &dyn Fn(&str) -> bool) -> Option<String> {
        for _ in 0..CLAUSE_WORDS {
            let word = self.next_keyword();
            if is_it(&word) {
                return Some(word);
            }
            if word.is_empty() {
                // A sign or a quoted name, as in a DEFINER clause or before LOAD's file name.
                if self.quoted().is_none() {
                    let mut chars = self.rest.chars();
                    chars.next()?;
                    self.rest = chars.as_str();
                }
            }
        }
        None
    }

    fn quoted(&mut self) -> Option<String> {
        let quote = self.rest.chars().next().filter(|char| matches!(char, '`' | '"' | '\''))?;
        let mut name = String::new();
        let mut chars = self.rest.char_indices().skip(1).peekable();
        while let Some((_, char)) = chars.next() {
            if char == '\\' && quote != '`' {
                name.extend(chars.next().map(|(_, char)| char));
            } else if char != quote {
                name.push(char);
            } else if chars.next_if(|(_, next)| *next == quote).is_some() {
                name.push(quote);
            } else {
                let after = chars.peek().map_or(self.rest.len(), |(at, _)| *at);
                self.rest = self.rest.get(after..).unwrap_or_default();
                return Some(name);
            }
        }
        self.rest = "";
        None
    }

    fn identifier(&mut self) -> Option<String> {
        self.skip_blank();
        if self.rest.starts_with(['`', '"']) {
            return self.quoted();
        }
        let word = self.peek_word().to_owned();
        self.rest = self.rest.get(word.len()..).unwrap_or_default();
        Some(word).filter(|word| !word.is_empty())
    }

    /// `name` or `database.name`.
    fn name(&mut self) -> Option<(Option<String>, String)> {
        let first = self.identifier()?;
        if self.skip_sign('.') { Some((Some(first), self.identifier()?)) } else { Some((None, first)) }
    }

    fn names(&mut self) -> Vec<(Option<String>, String)> {
        let mut names = Vec::new();
        while let Some(name) = self.name() {
            names.push(name);
            if !self.skip_sign(',') {
                break;
            }
        }
        names
    }

    /// The table after `index ... ON`.
    fn indexed_table(&mut self) -> Vec<(Option<String>, String)> {
        if self.seek(&["ON"]).is_none() {
            return Vec::new();
        }
        self.name().into_iter().collect()
    }
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '_' | '$') || !char.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, action: Action, tables: &str) {
        let found = parse(text);
        let names: Vec<String> = found
            .tables
            .iter()
            .map(|(database, table)| match database {
                Some(database) => format!("{database}.{table}"),
                None => table.clone(),
            })
            .collect();
        assert_eq!((found.action, names.join(" ").as_str()), (action, tables), "{text}");
    }

    #[test]
    fn knows_statements_that_define_events() {
        for text in [
            "CREATE DEFINER=`root`@`localhost` EVENT ev ON SCHEDULE EVERY 1 DAY DO DELETE FROM t",
            "create or replace definer=r@'%' event if not exists a.b on schedule at now() do set @a=1",
            "/* c */ ALTER DEFINER=`a b`@`%` EVENT ev DISABLE",
        ] {
            assert!(defines_event(text), "{text}");
        }
        for text in [
            "DROP EVENT ev",
            "CREATE TABLE event (event int)",
            "CREATE DEFINER=`event`@`%` VIEW v AS SELECT 1",
            "CREATE TRIGGER event BEFORE INSERT ON t FOR EACH ROW SET @a=1",
            "INSERT INTO event VALUES ('CREATE EVENT')",
        ] {
            assert!(!defines_event(text), "{text}");
        }
    }

    #[test]
    fn reads_table_definitions() {
        let ddl = Action::Ddl;
        check("create table t(a int)", ddl(DdlKind::CreateTable), "t");
        check(
            "CREATE TABLE IF NOT EXISTS `shop`.`my``t` (`id` int) START TRANSACTION",
            ddl(DdlKind::CreateTable),
            "shop.my`t",
        );
        check("create or replace temporary table a.b like c", ddl(DdlKind::CreateTable), "a.b");
        check("alter table shop.acct add column note text, algorithm=instant", ddl(DdlKind::AlterTable), "shop.acct");
        check("DROP TABLE IF EXISTS `a`.`b` , c /* generated by server */", ddl(DdlKind::DropTable), "a.b c");
        check("DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `x`.`y`", ddl(DdlKind::DropTable), "x.y");
        check("truncate table \"Ä\".t", ddl(DdlKind::TruncateTable), "Ä.t");
        check("TRUNCATE t", ddl(DdlKind::TruncateTable), "t");
        check("rename table a to b.c, `d` TO e", ddl(DdlKind::RenameTable), "a b.c d e");
        check("create unique index i on s.t (a)", ddl(DdlKind::CreateIndex), "s.t");
        check("/* a */ -- b\n drop index i on t", ddl(DdlKind::DropIndex), "t");
    }

    #[test]
    fn knows_temporary_tables() {
        for text in [
            "CREATE TEMPORARY TABLE t (a int)",
            "create or replace temporary table a.b like c",
            "DROP TEMPORARY TABLE IF EXISTS `shop`.`x` /* generated by server */",
            "DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `x`.`y`",
        ] {
            assert!(parse(text).temporary, "{text}");
        }
        for text in ["CREATE TABLE temporary (a int)", "DROP TABLE t", "ALTER TABLE t ADD temporary INT"] {
            assert!(!parse(text).temporary, "{text}");
        }
    }

    #[test]
    fn knows_when_more_tables_may_be_changed() {
        for text in [
            "UPDATE t SET a = 1",
            "update t as x set a = 1",
            "UPDATE `a`.`t` x SET a = 1",
            "DELETE FROM t",
            "DELETE FROM t WHERE a = 1",
            "DELETE FROM t ORDER BY a LIMIT 1",
            "INSERT INTO t SELECT * FROM u",
        ] {
            assert!(!parse(text).partial, "{text}");
        }
        for text in [
            "UPDATE t, u SET t.a = 1",
            "UPDATE t JOIN u ON t.a = u.a SET u.a = 1",
            "UPDATE t x, u SET u.a = 1",
            "UPDATE (t, u) SET t.a = 1",
            "DELETE t, u FROM t JOIN u",
            "DELETE u FROM t JOIN u",
            "DELETE FROM t USING t JOIN u",
            "CALL p()",
            "GRANT SELECT ON a.* TO b",
        ] {
            assert!(parse(text).partial, "{text}");
        }
    }

    #[test]
    fn reads_other_definitions() {
        let ddl = Action::Ddl;
        check("create database shop", ddl(DdlKind::CreateDatabase), "shop.");
        check("DROP SCHEMA IF EXISTS `shop`", ddl(DdlKind::DropDatabase), "shop.");
        check(
            "CREATE DEFINER=`root`@`localhost` PROCEDURE shop.p() begin create table x(a int); end",
            ddl(DdlKind::Program),
            "shop.p",
        );
        check(
            "CREATE ALGORITHM=UNDEFINED DEFINER='a'@'%' SQL SECURITY DEFINER VIEW v AS select 1",
            ddl(DdlKind::Program),
            "v",
        );
        check("CREATE USER 'a'@'b' IDENTIFIED BY 'table'", ddl(DdlKind::Account), "");
        check("GRANT SELECT ON a.* TO b", ddl(DdlKind::Account), "");
        check("RENAME USER a TO b", ddl(DdlKind::Account), "");
        check("CREATE UNDO TABLESPACE u ADD DATAFILE 'u.ibu'", ddl(DdlKind::Other), "");
        check("", Action::Unknown, "");
        check("/*", Action::Unknown, "");
    }

    #[test]
    fn reads_changes_of_rows() {
        let dml = Action::Dml;
        check("insert into shop.acct(name) values('x')", dml(DmlKind::Insert), "shop.acct");
        check("REPLACE LOW_PRIORITY `t` SELECT 1", dml(DmlKind::Insert), "t");
        check("update ignore t set a=1", dml(DmlKind::Update), "t");
        check("delete from s.t where 1", dml(DmlKind::Delete), "s.t");
        check(
            "LOAD DATA INFILE '/tmp/a table' REPLACE INTO TABLE `s`.`t` FIELDS TERMINATED BY ','",
            dml(DmlKind::Load),
            "s.t",
        );
    }
}
