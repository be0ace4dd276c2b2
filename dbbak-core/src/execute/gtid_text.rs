//! Reads the GTIDs that a server or a plan names: text that cannot be read is an error, never the empty set.

use super::error::ExecuteError;
use crate::{
    model::GtidError,
    tools::{AnswerError, parse_table},
};
use std::str::FromStr;

/// Reads what a server says it has.
///
/// # Errors
///
/// [`ExecuteError::UnreadGtids`].
pub(super) fn read_gtids<T: FromStr<Err = GtidError>>(found: &str) -> Result<T, ExecuteError> {
    found.parse().map_err(|_| ExecuteError::UnreadGtids { found: found.to_owned() })
}

/// Reads what a backup recorded, as the plan has it; `None` where it recorded none.
///
/// # Errors
///
/// [`ExecuteError::BadPlan`].
pub(super) fn recorded_gtids<T: FromStr<Err = GtidError>>(text: Option<&str>) -> Result<Option<T>, ExecuteError> {
    let parsed = text.map(str::parse).transpose();
    parsed.map_err(|error| ExecuteError::BadPlan { problem: format!("the backup's GTIDs cannot be read: {error}") })
}

/// The field `position` of a server's answer, without white space. A server without GTIDs answers with an empty field; an
/// answer without a row or without that column is none.
///
/// # Errors
///
/// [`AnswerError`].
pub(super) fn position_in(answer: &str) -> Result<String, AnswerError> {
    let table = parse_table(answer)?;
    let row = table.rows().next().ok_or(AnswerError::NoRow { question: "the GTID position" })?;
    let position = row.get("position").ok_or(AnswerError::NoRow { question: "the GTID position" })?;
    Ok(position.split_whitespace().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MariadbGtidState, MysqlGtidSet};

    #[test]
    fn what_cannot_be_read_is_not_empty() {
        for text in ["0-1", "ERROR 2006", "3E11FA47-71CA-11E1-9E33-C80AA9429562:x", "NULL", "-"] {
            let mysql = read_gtids::<MysqlGtidSet>(text).unwrap_err();
            assert!(mysql.to_string().contains(text) && mysql.is_unproven(), "{mysql}");
            assert!(read_gtids::<MariadbGtidState>(text).is_err());
            assert!(matches!(recorded_gtids::<MysqlGtidSet>(Some(text)), Err(ExecuteError::BadPlan { .. })));
            assert!(matches!(recorded_gtids::<MariadbGtidState>(Some(text)), Err(ExecuteError::BadPlan { .. })));
        }
        assert_eq!(recorded_gtids::<MysqlGtidSet>(None).unwrap(), None);
        assert_eq!(read_gtids::<MariadbGtidState>("0-1-5").unwrap().to_string(), "0-1-5");
        assert!(read_gtids::<MysqlGtidSet>("").unwrap().is_empty());
    }

    #[test]
    fn an_answer_without_a_position_is_none() {
        assert_eq!(position_in("position\n0-1-5,\\n1-2-7\n").unwrap(), "0-1-5,1-2-7");
        assert_eq!(position_in("position\n\n").unwrap(), "");
        for answer in ["", "position\n", "elsewhere\n0-1-5\n", "position\na\tb\n"] {
            assert!(position_in(answer).is_err(), "{answer:?}");
        }
    }
}
