//! What a clone of a server on another machine is asked with: the account of an option file, and the statement, which holds
//! its password and is given on standard input alone.

use super::{
    answers::{AnswerError, parse_table},
    command::{CommandError, Secret},
};
use crate::model::Donor;
use std::path::Path;

/// An account as an option file names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub user: String,
    /// Its password; printed nowhere.
    pub password: Secret,
}

/// Reads the account of the group `[client]`, the last of several; `None` where no user is named.
pub fn parse_account(text: &str) -> Option<Account> {
    let (mut user, mut password, mut in_client) = (None, String::new(), false);
    for line in text.lines().map(str::trim) {
        if let Some(group) = line.strip_prefix('[') {
            in_client = group.trim_end_matches(']').trim() == "client";
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| in_client && !line.starts_with(['#', ';'])) else {
            continue;
        };
        match name.trim() {
            "user" => user = Some(unquoted(value)),
            "password" => password = unquoted(value),
            _ => {}
        }
    }
    user.filter(|user| !user.is_empty()).map(|user| Account { user, password: Secret::new(password) })
}

/// The value of an option: without its quotes, its escapes undone, a comment behind it dropped.
fn unquoted(value: &str) -> String {
    let value = value.trim();
    let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''));
    let mut out = String::new();
    let mut letters = value.chars().skip(usize::from(quote.is_some()));
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('s') => out.push(' '),
                Some('t') => out.push('\t'),
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('b') => out.push('\u{8}'),
                Some(other) if matches!(other, '\\' | '"' | '\'') => out.push(other),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            letter if Some(letter) == quote => return out,
            '#' if quote.is_none() && out.ends_with([' ', '\t']) => break,
            letter => out.push(letter),
        }
    }
    if quote.is_some() { out } else { out.trim_end().to_owned() }
}

/// The statements that have a server fetch another one's data into a directory, which must not exist.
///
/// # Errors
///
/// [`CommandError::PathNotUtf8`].
pub fn remote_clone_statements(donor: &Donor, account: &Account, dir: &Path) -> Result<Secret, CommandError> {
    let dir = dir.to_str().ok_or_else(|| CommandError::PathNotUtf8 { path: dir.to_owned() })?;
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    let Donor { host, port } = donor;
    Ok(Secret::new(format!(
        "SET GLOBAL clone_valid_donor_list = {};\nCLONE INSTANCE FROM {}@{}:{port} IDENTIFIED BY {} DATA DIRECTORY = {};\n",
        quoted(&format!("{host}:{port}")),
        quoted(&account.user),
        quoted(host),
        quoted(account.password.expose().unwrap_or_default()),
        quoted(dir),
    )))
}

/// Reads `performance_schema.clone_progress`: bytes copied so far, of all stages.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_clone_progress(stdout: &str) -> Result<u64, AnswerError> {
    let table = parse_table(stdout)?;
    let mut bytes = 0;
    for row in table.rows() {
        bytes += row.must(&["data"])?.parse::<u64>().unwrap_or(0);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_accounts_as_the_clients_do() {
        let account = |text: &str| {
            parse_account(text).map(|found| (found.user.clone(), found.password.expose().unwrap_or("").to_owned()))
        };
        let found = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(account("[client]\nuser = dbbak\npassword=\"a#b'\\\"c\"\n"), found("dbbak", "a#b'\"c"));
        assert_eq!(
            account("[mysqld]\nuser=mysql\n[client]\n# user=x\nuser=b\npassword=p\\\\q # old\n"),
            found("b", "p\\q")
        );
        assert_eq!(account("[client]\nuser=a\nuser=b\n[mysql]\nuser=c\n"), found("b", ""));
        assert_eq!(account("[client]\npassword=x\n"), None);
        let secret = parse_account("[client]\nuser=a\npassword=hunter2\n").unwrap();
        assert!(!format!("{secret:?}").contains("hunter2"));
    }

    #[test]
    fn quotes_everything_in_the_statement() {
        let donor = Donor { host: "db'1".into(), port: 3306 };
        let account = Account { user: "o'k".into(), password: Secret::new("a'b\\c") };
        let statements = remote_clone_statements(&donor, &account, Path::new("/s/x")).unwrap();
        assert_eq!(
            statements.expose(),
            Some(
                "SET GLOBAL clone_valid_donor_list = 'db''1:3306';\nCLONE INSTANCE FROM 'o''k'@'db''1':3306 IDENTIFIED \
                 BY 'a''b\\\\c' DATA DIRECTORY = '/s/x';\n"
            )
        );
        assert_eq!(format!("{statements:?}"), "***");
    }

    #[test]
    fn adds_up_the_progress() {
        assert_eq!(parse_clone_progress("data\n0\n73749592\n108544\n"), Ok(73_858_136));
        assert_eq!(parse_clone_progress(""), Ok(0));
    }
}
