//! Looks up whom restored files shall belong to.

use super::SurveyError;
use crate::{
    facts::{Facts, OwnerFact},
    model::OwnerName,
    probe::Probe,
    tools::account_query,
};
use std::{io::Read, path::Path};

/// Looks up the numbers of an owner, in the system's files and, for what these do not hold, with `getent`, which asks every
/// other place that the system has (LDAP, systemd). A name that is nowhere is a fact.
///
/// # Errors
///
/// When `/etc/passwd` or `/etc/group` cannot be read, or `getent` cannot be started.
pub fn owner(facts: &mut Facts, owner: &OwnerName, probe: &dyn Probe) -> Result<(), SurveyError> {
    facts.owner = Some(look_up_in(owner, probe)?);
    Ok(())
}

/// The numbers of an owner, or why they are not known.
pub(super) fn look_up_in(owner: &OwnerName, probe: &dyn Probe) -> Result<Result<OwnerFact, String>, SurveyError> {
    let mut users = read(probe, "/etc/passwd")?;
    let mut groups = read(probe, "/etc/group")?;
    if let Some(getent) = probe.find_program(&["getent"]) {
        let complete = |text: &mut String, database, name: &str| -> Result<(), SurveyError> {
            let known = find(text, name).is_some()
                || text.lines().map(fields).any(|entry| entry.get(2).is_some_and(|id| id == name));
            if !known {
                let answer = probe.query(&account_query(&getent, database, name))?;
                if answer.code == Some(0) {
                    text.push('\n');
                    text.push_str(&answer.stdout);
                }
            }
            Ok(())
        };
        complete(&mut users, "passwd", &owner.user)?;
        if let Some(group) = &owner.group {
            complete(&mut groups, "group", group)?;
        }
    }
    Ok(look_up(owner, &users, &groups))
}

fn read(probe: &dyn Probe, path: &str) -> Result<String, SurveyError> {
    let mut text = Vec::new();
    let mut file = probe.open_file(Path::new(path))?;
    file.read_to_end(&mut text).map_err(|source| crate::probe::ProbeError::Io {
        action: "read",
        path: path.into(),
        source,
    })?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn look_up(owner: &OwnerName, users: &str, groups: &str) -> Result<OwnerFact, String> {
    let user = find(users, &owner.user);
    let uid = number(&owner.user, user.as_deref(), "user", "/etc/passwd")?;
    let gid = match &owner.group {
        Some(group) => number(group, find(groups, group).as_deref(), "group", "/etc/group")?,
        None => {
            let own = user.or_else(|| users.lines().map(fields).find(|entry| entry.get(2) == Some(&uid.to_string())));
            let gid = own.as_ref().and_then(|entry| entry.get(3)?.parse().ok());
            gid.ok_or_else(|| format!("user {} has no group of its own in /etc/passwd; name one", owner.user))?
        }
    };
    Ok(OwnerFact { uid, gid })
}

fn fields(line: &str) -> Vec<String> {
    line.split(':').map(str::to_owned).collect()
}

fn find(text: &str, name: &str) -> Option<Vec<String>> {
    text.lines().map(fields).find(|entry| entry.first().is_some_and(|first| first == name))
}

/// A name wins over a number that looks the same, as with chown.
fn number(asked: &str, entry: Option<&[String]>, what: &str, file: &str) -> Result<u32, String> {
    match entry {
        Some(entry) => entry.get(2).and_then(|id| id.parse().ok()).ok_or_else(|| format!("{file} is not well-formed")),
        None => asked.parse().map_err(|_| {
            format!("there is no {what} {asked} in {file}, nor does getent know one; its number can be given instead")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_up_names_and_numbers() {
        let users = "root:x:0:0:root:/root:/bin/bash\nmysql:x:105:112:MySQL,,,:/nonexistent:/bin/false\n";
        let groups = "root:x:0:\nmysql:x:112:\nbackup:x:34:\n";
        let ids = |text: &str| look_up(&text.parse().unwrap(), users, groups).map(|fact| (fact.uid, fact.gid));
        assert_eq!(ids("mysql"), Ok((105, 112)));
        assert_eq!(ids("mysql:backup"), Ok((105, 34)));
        assert_eq!(ids("105"), Ok((105, 112)));
        assert_eq!(ids("999:998"), Ok((999, 998)));
        assert!(ids("999").unwrap_err().contains("name one"));
        assert!(ids("nobody:root").unwrap_err().contains("no user nobody"));
        assert!(ids("root:wheel").unwrap_err().contains("no group wheel"));
    }
}
