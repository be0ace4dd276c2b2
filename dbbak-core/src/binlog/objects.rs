//! What a CREATE, ALTER or DROP can be about: one table for all who read statements.

/// What matters of an object to those who read its definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object {
    /// Has rows and files, and names an engine: a table, a sequence.
    Table,
    /// Has a file, and no rows of its own.
    Tablespace,
    /// Names ways to log in.
    User,
    /// Has neither, or holds statements that are not executed.
    Other,
}

/// The words, in the order in which a statement is searched for them.
const OBJECTS: [(&str, Object); 20] = [
    ("TABLE", Object::Table),
    ("TABLES", Object::Table),
    ("SEQUENCE", Object::Table),
    ("INDEX", Object::Other),
    ("KEY", Object::Other),
    ("DATABASE", Object::Other),
    ("SCHEMA", Object::Other),
    ("VIEW", Object::Other),
    ("PROCEDURE", Object::Other),
    ("FUNCTION", Object::Other),
    ("TRIGGER", Object::Other),
    ("EVENT", Object::Other),
    ("PACKAGE", Object::Other),
    ("LIBRARY", Object::Other),
    ("USER", Object::User),
    ("ROLE", Object::Other),
    ("SERVER", Object::Other),
    ("TABLESPACE", Object::Tablespace),
    ("LOGFILE", Object::Other),
    ("RESOURCE", Object::Other),
];

/// What a word in upper case says that a statement is about; `None`: it says nothing of it.
pub(super) fn object(word: &str) -> Option<Object> {
    OBJECTS.iter().find(|(known, _)| *known == word).map(|(_, object)| *object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_what_it_is_about() {
        assert_eq!(object("SEQUENCE"), Some(Object::Table));
        // It stands before the word that says it.
        assert_eq!((object("UNDO"), object("TEMPORARY")), (None, None));
        assert_eq!((object("TABLESPACE"), object("USER")), (Some(Object::Tablespace), Some(Object::User)));
    }
}
