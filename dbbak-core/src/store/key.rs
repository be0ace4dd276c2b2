//! Names of things in a store: relative, slash-separated paths that cannot leave it.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// The longest component in bytes that file systems and NFS take.
const LONGEST_PART: usize = 255;

/// A place in a store: components joined by slashes, relative to the store's root.
///
/// No component is empty, `.` or `..`, none holds a NUL byte, and the path is never absolute; so joining one to a root
/// stays below that root. Order is by component, so that a tree's keys stand together.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StoreKey(String);

/// One component of a [`StoreKey`]: the name of a file or directory, without slashes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPart(String);

/// A text that names nothing in a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a name in a store: {text:?} ({flaw})")]
pub struct KeyError {
    /// The text as it was found.
    pub text: String,
    /// What is wrong with it.
    pub flaw: KeyFlaw,
}

/// What makes a text no name in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFlaw {
    /// It starts with a slash.
    #[error("absolute")]
    Absolute,
    /// It has an empty component: a doubled or trailing slash, or no text at all where a name must stand.
    #[error("empty component")]
    EmptyPart,
    /// It has a component `.` or `..`.
    #[error("dots for a component")]
    Dots,
    /// It holds a NUL byte.
    #[error("NUL byte")]
    Nul,
    /// It holds a slash where one component must stand.
    #[error("slash in a name")]
    Slash,
    /// A component is longer than 255 bytes.
    #[error("component of more than 255 bytes")]
    TooLong,
}

/// Finds what is wrong with one component.
fn flaw_of_part(part: &str) -> Option<KeyFlaw> {
    match part {
        "" => Some(KeyFlaw::EmptyPart),
        "." | ".." => Some(KeyFlaw::Dots),
        _ if part.contains('/') => Some(KeyFlaw::Slash),
        _ if part.contains('\0') => Some(KeyFlaw::Nul),
        _ if part.len() > LONGEST_PART => Some(KeyFlaw::TooLong),
        _ => None,
    }
}

impl StoreKey {
    /// The store itself; its text is empty.
    pub const fn root() -> Self {
        StoreKey(String::new())
    }

    /// Checks a text; the empty text is the root.
    ///
    /// # Errors
    ///
    /// When the text is absolute, or a component is empty, `.`, `..`, too long or holds a NUL byte.
    pub fn new(text: impl Into<String>) -> Result<Self, KeyError> {
        let text = text.into();
        let flaw = match text.as_str() {
            "" => None,
            absolute if absolute.starts_with('/') => Some(KeyFlaw::Absolute),
            relative => relative.split('/').find_map(flaw_of_part),
        };
        match flaw {
            None => Ok(StoreKey(text)),
            Some(flaw) => Err(KeyError { text, flaw }),
        }
    }

    /// The text, slash-separated; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the store itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The components from the root on.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// The place named `part` below this one.
    pub fn child(&self, part: &KeyPart) -> Self {
        if self.is_root() { StoreKey(part.0.clone()) } else { StoreKey(format!("{}/{}", self.0, part.0)) }
    }

    /// The place that `below`, read from here, names.
    pub fn join(&self, below: &StoreKey) -> Self {
        match (self.is_root(), below.is_root()) {
            (true, _) => below.clone(),
            (_, true) => self.clone(),
            _ => StoreKey(format!("{}/{}", self.0, below.0)),
        }
    }

    /// Checks a text and joins it.
    ///
    /// # Errors
    ///
    /// As [`StoreKey::new`].
    pub fn join_text(&self, below: &str) -> Result<Self, KeyError> {
        Ok(self.join(&StoreKey::new(below)?))
    }

    /// The place that holds this one; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let parent = self.0.rsplit_once('/').map_or("", |(parent, _)| parent);
        Some(StoreKey(parent.to_owned()))
    }

    /// The last component; `None` for the root.
    pub fn file_name(&self) -> Option<&str> {
        self.parts().next_back()
    }

    /// This place read from `prefix`; `None` when it does not lie there. A place read from itself is the root.
    pub fn strip_prefix(&self, prefix: &StoreKey) -> Option<Self> {
        if prefix.is_root() {
            return Some(self.clone());
        }
        let rest = self.0.strip_prefix(&prefix.0)?;
        match rest.strip_prefix('/') {
            Some(below) => Some(StoreKey(below.to_owned())),
            None => rest.is_empty().then(StoreKey::root),
        }
    }

    /// Whether this place is `prefix` or lies below it.
    pub fn starts_with(&self, prefix: &StoreKey) -> bool {
        self.strip_prefix(prefix).is_some()
    }

    /// The place beside this one whose name is longer by `suffix`; the root for the root.
    pub fn with_suffix(&self, suffix: &'static str) -> Self {
        debug_assert!(!suffix.contains('/'));
        if self.is_root() {
            return StoreKey::root();
        }
        StoreKey(format!("{}{suffix}", self.0))
    }
}

impl KeyPart {
    /// Checks a text.
    ///
    /// # Errors
    ///
    /// When the text is empty, `.`, `..`, too long, or holds a slash or a NUL byte.
    pub fn new(text: impl Into<String>) -> Result<Self, KeyError> {
        let text = text.into();
        match flaw_of_part(&text) {
            None => Ok(KeyPart(text)),
            Some(flaw) => Err(KeyError { text, flaw }),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<KeyPart> for StoreKey {
    fn from(part: KeyPart) -> Self {
        StoreKey(part.0)
    }
}

impl Ord for StoreKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.parts().cmp(other.parts())
    }
}

impl PartialOrd for StoreKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for StoreKey {
    /// The root prints as `.`, so that no message has a hole where a name should stand.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if self.is_root() { "." } else { &self.0 })
    }
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreKey({:?})", self.0)
    }
}

impl fmt::Debug for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPart({:?})", self.0)
    }
}

impl FromStr for StoreKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        StoreKey::new(text)
    }
}

impl FromStr for KeyPart {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        KeyPart::new(text)
    }
}

impl Serialize for StoreKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Serialize for KeyPart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for StoreKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        StoreKey::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for KeyPart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        KeyPart::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> StoreKey {
        text.parse().unwrap()
    }

    #[test]
    fn refuses_what_could_leave_the_store() {
        for (text, flaw) in [
            ("/etc/passwd", KeyFlaw::Absolute),
            ("/", KeyFlaw::Absolute),
            ("a//b", KeyFlaw::EmptyPart),
            ("a/", KeyFlaw::EmptyPart),
            ("../a", KeyFlaw::Dots),
            ("a/../b", KeyFlaw::Dots),
            ("a/.", KeyFlaw::Dots),
            ("a\0b", KeyFlaw::Nul),
        ] {
            assert_eq!(StoreKey::new(text).unwrap_err().flaw, flaw, "{text:?}");
        }
        assert_eq!(StoreKey::new("x".repeat(256)).unwrap_err().flaw, KeyFlaw::TooLong);
        assert_eq!(KeyPart::new("a/b").unwrap_err().flaw, KeyFlaw::Slash);
        assert_eq!(KeyPart::new("").unwrap_err().flaw, KeyFlaw::EmptyPart);
        assert!(StoreKey::new("..a/b..c").is_ok());
    }

    #[test]
    fn joins_and_takes_apart() {
        let root = StoreKey::root();
        assert_eq!(root.join(&key("a/b")), key("a/b"));
        assert_eq!(key("a").join(&root), key("a"));
        assert_eq!(key("a").join_text("b/c").unwrap(), key("a/b/c"));
        assert_eq!(key("a/b").parent(), Some(key("a")));
        assert_eq!(key("a").parent(), Some(root.clone()));
        assert_eq!(root.parent(), None);
        assert_eq!(key("a/b").file_name(), Some("b"));
        assert_eq!(root.file_name(), None);
        assert_eq!(key("a/b").strip_prefix(&key("a")), Some(key("b")));
        assert_eq!(key("ab").strip_prefix(&key("a")), None);
        assert_eq!(key("a").strip_prefix(&key("a")), Some(root.clone()));
        assert_eq!(key("a/b.json").with_suffix(".prev"), key("a/b.json.prev"));
        assert_eq!(root.to_string(), ".");
    }

    #[test]
    fn orders_by_component() {
        // '-' sorts before '/', so the order of the texts would split the tree `a`.
        assert!(key("a/b") < key("a-b") && key("a/b").as_str() > key("a-b").as_str());
    }
}
