//! Whom restored files belong to: accounts that stand in no file are looked up where the system keeps them.

use super::{Series, backup, run, with_store};
use std::{fs, os::unix::fs::PermissionsExt};

#[test]
fn owner_that_is_in_no_file() {
    let (bench, _) = with_store(Series::Xtrabackup80);
    backup(&bench, &["backup-full", "--exec"]);
    let restore = |owner: &str| run(&bench, &["restore", "--no-pitr", "--check", "none", "--owner", owner, "--json"]);
    let unknown = restore("ldap-user:ldap-group");
    assert_eq!(unknown.code(), Some(5), "{unknown}");
    if !rustix::process::geteuid().is_root() {
        return;
    }
    assert!(
        unknown.to_string().contains("there is no user ldap-user in /etc/passwd, nor does getent know one"),
        "{unknown}"
    );
    let script = "#!/bin/sh\ncase \"$1 $2 $3\" in 'passwd -- ldap-user') echo 'ldap-user:*:70001:70002::/:/bin/sh';;\n\
                  'group -- ldap-group') echo 'ldap-group:*:70003:';; *) exit 2;; esac\n";
    bench.write("path/getent", script).unwrap();
    fs::set_permissions(bench.path("path/getent"), fs::Permissions::from_mode(0o755)).unwrap();
    for (owner, uid, gid) in [("ldap-user:ldap-group", 70001, 70003), ("ldap-user", 70001, 70002), ("7:8", 7, 8)] {
        let planned = restore(owner);
        assert_eq!(planned.code(), Some(0), "{planned}");
        let text = planned.stdout.replace(char::is_whitespace, "");
        assert!(text.contains(&format!("\"uid\":{uid},\"gid\":{gid}")), "{owner}: {planned}");
    }
    let unknown = restore("ldap-user:nobodys");
    assert!(unknown.to_string().contains("there is no group nobodys in /etc/group, nor does getent"), "{unknown}");
}
