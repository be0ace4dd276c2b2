//! Lists the names under which each tool may be installed.

use super::tool::{Family, ToolRole};

/// The names to look up on `PATH`, best first, for the tools of one family.
///
/// MariaDB's packages also install the old names, as links: what a program is, its `--version` says, never its name.
/// `mariabackup` is the name before MariaDB 10.5; the client, server and binlog reader got their own names in 10.5 too.
pub fn names_for(role: ToolRole, family: Family) -> &'static [&'static str] {
    match (role, family) {
        (ToolRole::Backup, Family::Mysql) => &["xtrabackup"],
        (ToolRole::Backup, Family::Mariadb) => &["mariadb-backup", "mariabackup"],
        (ToolRole::BinlogReader, Family::Mysql) => &["mysqlbinlog"],
        (ToolRole::BinlogReader, Family::Mariadb) => &["mariadb-binlog", "mysqlbinlog"],
        (ToolRole::Client, Family::Mysql) => &["mysql"],
        (ToolRole::Client, Family::Mariadb) => &["mariadb", "mysql"],
        (ToolRole::Server, Family::Mysql) => &["mysqld"],
        (ToolRole::Server, Family::Mariadb) => &["mariadbd", "mysqld"],
        (ToolRole::Dump, Family::Mysql) => &["mysqldump"],
        (ToolRole::Dump, Family::Mariadb) => &["mariadb-dump", "mysqldump"],
    }
}

/// The role that a program's name promises, for a check of what `--version` printed; `None` for a name of our users' own.
pub(super) fn role_of(name: &str) -> Option<ToolRole> {
    let known = |role| [Family::Mysql, Family::Mariadb].iter().any(|family| names_for(role, *family).contains(&name));
    ToolRole::ALL.into_iter().find(|role| known(*role))
}

/// Directories that distributions keep servers in, to be searched after `PATH`: an ordinary user's `PATH` lacks them.
pub const SERVER_DIRS: &[&str] = &["/usr/sbin", "/usr/libexec", "/usr/local/sbin", "/usr/local/mysql/bin"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_a_name_in_both_families_and_no_two_roles_share_one() {
        let mut seen: Vec<(&str, ToolRole)> = Vec::new();
        for role in ToolRole::ALL {
            for family in [Family::Mysql, Family::Mariadb] {
                assert!(!names_for(role, family).is_empty());
                for name in names_for(role, family) {
                    assert!(seen.iter().all(|(other, owner)| other != name || *owner == role));
                    seen.push((name, role));
                    assert_eq!(role_of(name), Some(role));
                }
            }
        }
        assert_eq!(role_of("my-own-mysqld-wrapper"), None);
    }
}
