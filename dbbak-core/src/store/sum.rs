//! Sums that guard the entries of the store's small JSON files against flipped bytes.
//!
//! An object's sum is the first 32 hex digits of the BLAKE3 digest of its canonical JSON without the member `sum`: keys
//! sorted by their bytes at every level, no white space, strings with the shortest escapes, numbers as they are.

use super::{Digest, Flaw};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::fmt;

/// The member that holds an object's sum.
pub(super) const SUM: &str = "sum";

/// Whether the store promises a sum for every entry.
///
/// Without the promise a missing sum is nothing; with it, it is damage: else a flip in the word `sum` itself would make
/// the check vanish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sums {
    /// Every entry has a sum.
    Required,
    /// A sum is checked where there is one.
    Optional,
}

/// The sum of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sum([u8; 16]);

impl Sum {
    /// The sum of an object that holds no sum.
    pub(super) fn of(object: &Map<String, Value>) -> Self {
        let mut text = Vec::with_capacity(1024);
        write_object(object, &mut text);
        let mut sum = [0; 16];
        sum.copy_from_slice(&Digest::of(&text).as_bytes()[..16]);
        Sum(sum)
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn write_object(object: &Map<String, Value>, text: &mut Vec<u8>) {
    // Sorted here: a map keeps its order of insertion where some crate in the build asks for that.
    let mut members: Vec<(&String, &Value)> = object.iter().collect();
    members.sort_unstable_by_key(|(key, _)| key.as_bytes());
    text.push(b'{');
    for (index, (key, value)) in members.into_iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        write_scalar(key, text);
        text.push(b':');
        write_value(value, text);
    }
    text.push(b'}');
}

fn write_value(value: &Value, text: &mut Vec<u8>) {
    match value {
        Value::Object(object) => write_object(object, text),
        Value::Array(values) => {
            text.push(b'[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                write_value(value, text);
            }
            text.push(b']');
        }
        scalar => write_scalar(scalar, text),
    }
}

fn write_scalar(scalar: &impl Serialize, text: &mut Vec<u8>) {
    serde_json::to_writer(text, scalar).expect("strings and numbers go into memory");
}

/// Takes the sum out of an object and compares it. Returns the sum that the object has by its content.
pub(super) fn check_sum(object: &mut Map<String, Value>, sums: Sums) -> Result<Sum, Flaw> {
    let expected = object.remove(SUM);
    let found = Sum::of(object);
    match expected {
        Some(Value::String(expected)) if expected == found.to_string() => Ok(found),
        Some(Value::String(expected)) => Err(Flaw::Digest { expected, found: found.to_string() }),
        Some(other) => Err(Flaw::Digest { expected: other.to_string(), found: found.to_string() }),
        None if sums == Sums::Required => Err(Flaw::NoSum),
        None => Ok(found),
    }
}

/// An object read from its text, its sum checked.
pub(super) fn parse_summed<T: DeserializeOwned>(
    text: &str,
    sums: Sums,
) -> Result<(T, Sum), (Flaw, Map<String, Value>)> {
    let mut object: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| (Flaw::Syntax(error.to_string()), Map::new()))?;
    let sum = match check_sum(&mut object, sums) {
        Ok(sum) => sum,
        Err(flaw) => return Err((flaw, object)),
    };
    match T::deserialize(&object) {
        Ok(value) => Ok((value, sum)),
        Err(error) => Err((Flaw::Syntax(error.to_string()), object)),
    }
}

/// A value's JSON as one line, with its sum as the last member. The value is an object.
pub(super) fn to_summed_line(value: &impl Serialize) -> (String, Sum) {
    let object = to_object(value);
    let sum = Sum::of(&object);
    let mut line = serde_json::to_string(value).expect("what became a value becomes text");
    line.pop();
    line.push_str(if object.is_empty() { "" } else { "," });
    line.push_str(&format!("\"{SUM}\":\"{sum}\"}}"));
    (line, sum)
}

/// A value as a JSON object.
pub(super) fn to_object(value: &impl Serialize) -> Map<String, Value> {
    let value = serde_json::to_value(value).expect("the store's values are made of strings and numbers");
    serde_json::from_value(value).expect("the store's entries are objects")
}

/// Names the entry of a list that is at fault, by what it says of itself as far as it can be read.
pub(super) fn entry_label(index: usize, object: &Map<String, Value>, names: &[&str]) -> String {
    let name = names.iter().find_map(|name| object.get(*name).and_then(Value::as_str));
    match name {
        Some(name) => format!("entry {} ({name})", index + 1),
        None => format!("entry {}", index + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn depends_on_content_not_on_form() {
        let one = object(r#"{"b": [1, {"y": null, "x": "\u0041\n"}], "a": 1.5}"#);
        let other = object(r#"{"a":1.5,"b":[1,{"x":"A\n","y":null}]}"#);
        let mut text = Vec::new();
        write_object(&one, &mut text);
        assert_eq!(String::from_utf8(text).unwrap(), r#"{"a":1.5,"b":[1,{"x":"A\n","y":null}]}"#);
        assert_eq!(Sum::of(&one), Sum::of(&other));
        assert_ne!(Sum::of(&one), Sum::of(&object(r#"{"a":1.5,"b":[1,{"x":"A\n"}]}"#)));
    }

    #[test]
    fn a_line_carries_its_own_sum() {
        let (line, _) = to_summed_line(&object(r#"{"b":2,"a":"x"}"#));
        assert!(parse_summed::<Value>(&line, Sums::Required).is_ok(), "{line}");
        let flaw = |line: &str, sums| parse_summed::<Value>(line, sums).err().map(|(flaw, _)| flaw);
        assert!(matches!(flaw(&line.replace('x', "y"), Sums::Optional), Some(Flaw::Digest { .. })));
        assert!(matches!(flaw(&line.replace("sum", "som"), Sums::Required), Some(Flaw::NoSum)));
        assert!(matches!(flaw(r#"{"b":2}"#, Sums::Required), Some(Flaw::NoSum)));
        assert!(flaw(r#"{"b":2}"#, Sums::Optional).is_none());
        assert_eq!(to_summed_line(&Map::new()).0.find("\"sum\""), Some(1));
    }
}
