//! Private servers, and the programs that talk to them, run without root's rights, whoever runs dbbak.

use dbbak_testkit::{
    real::{require_mysql, require_servers},
    scenario::Scenario,
    server::{Options, Vendor},
};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Puts a script before each program that runs for a private server, which notes who it is and whether it can gain rights.
/// Returns the file of the notes, and the configuration.
fn watched(scenario: &Scenario, vendor: Vendor) -> (PathBuf, String) {
    let names = match vendor {
        Vendor::Mariadb => ["mariadbd", "mariadb", "mariadb-binlog"],
        Vendor::Mysql => ["mysqld", "mysql", "mysqlbinlog"],
    };
    let notes = scenario.root().join("notes");
    fs::write(&notes, "").unwrap();
    fs::set_permissions(&notes, fs::Permissions::from_mode(0o666)).unwrap();
    let mut config = String::new();
    for (key, name) in ["mysqld", "mysql", "mysqlbinlog"].into_iter().zip(names) {
        let (program, real) = (scenario.root().join("bin").join(name), vendor.program(name).unwrap());
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in *--version*|*dbbak.cnf*|*--help*) ;; *) printf '%s %s %s\\n' {name} \"$(id -u)\" \
             \"$(grep NoNewPrivs /proc/self/status | tr -dc 01)\" >>'{}' ;; esac\nexec '{}' \"$@\"\n",
            notes.display(),
            real.display(),
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        config += &format!("{key}: {}\n", program.display());
    }
    (notes, config)
}

/// Who ran what for the private servers since this was asked last: program, user, and whether it could gain rights.
#[track_caller]
fn noted(notes: &Path, server: &str) -> BTreeSet<(String, u32, bool)> {
    let text = fs::read_to_string(notes).unwrap();
    fs::write(notes, "").unwrap();
    let noted = text.lines().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        (words[0].to_owned(), words[1].parse().unwrap(), words[2] == "0")
    });
    let noted: BTreeSet<_> = noted.collect();
    assert!(noted.iter().any(|(name, ..)| name == server), "no private server was seen: {text}");
    noted
}

/// Everything in a tree belongs to whoever ran the test.
#[track_caller]
fn belongs_to_us(path: &Path) {
    let (meta, own) = (fs::symlink_metadata(path).unwrap(), rustix::process::geteuid().as_raw());
    assert_eq!(meta.uid(), own, "{}", path.display());
    if meta.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| belongs_to_us(&entry.unwrap().path()));
    }
}

fn prisoners(options: Options, full: &[&str]) {
    let vendor = options.vendor;
    let scenario = Scenario::with(options, "");
    let root = rustix::process::geteuid().is_root();
    let (notes, config) = watched(&scenario, vendor);
    scenario.configure(&config);
    if vendor == Vendor::Mysql {
        scenario.server.sql("INSTALL PLUGIN clone SONAME 'mysql_clone.so'");
    }
    scenario.server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY) ENGINE=InnoDB");
    let server = if vendor == Vendor::Mysql { "mysqld" } else { "mariadbd" };
    // The clients of the source are dbbak's own, and read its option file.
    let of_servers = |noted: BTreeSet<(String, u32, bool)>, what: &str| {
        for (name, uid, may_gain) in noted {
            assert_eq!((uid == 0, root && may_gain), (false, false), "{what}: {name} as {uid}");
        }
    };
    scenario.backup(full);
    if vendor == Vendor::Mysql {
        of_servers(noted(&notes, server), "clone");
    }
    fs::write(&notes, "").unwrap();
    scenario.server.sql("INSERT INTO shop.t VALUES (1), (2)");
    let wanted = scenario.server.checksums("shop").unwrap();
    scenario.ship();
    fs::write(&notes, "").unwrap();
    for args in [&["--latest", "--replay", "relay"][..], &["--latest", "--replay", "pipe"], &["--no-pitr"]] {
        let restored = scenario.restore(args);
        of_servers(noted(&notes, server), &args.join(" "));
        belongs_to_us(restored.datadir.parent().unwrap());
        if args[0] == "--latest" {
            assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted, "{args:?}");
        }
    }
    scenario.server.sql("GRANT ALL ON *.* TO 'dbbak'@'localhost'");
    scenario.backup(&["backup-full", "--engine", "dump"]);
    fs::write(&notes, "").unwrap();
    let restored = scenario.restore(&["--no-pitr"]);
    of_servers(noted(&notes, server), "dump");
    belongs_to_us(restored.datadir.parent().unwrap());
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted);

    if root {
        // A directory that nobody else may enter: it is covered for the server, and stays as it is; where that cannot be, it is named.
        scenario.configure("");
        fs::set_permissions(scenario.root(), fs::Permissions::from_mode(0o700)).unwrap();
        // Root in a container often may not mount.
        if may_mount() {
            let restored = scenario.restore(&["--no-pitr"]);
            assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted);
        } else {
            scenario.try_restore(&["--no-pitr"]).exits(5);
        }
        assert_eq!(fs::metadata(scenario.root()).unwrap().mode() & 0o777, 0o700);
        let workdir = scenario.fresh("refused");
        let mut command = scenario.command(&["restore", "--no-pitr", "--exec", "--workdir", workdir.to_str().unwrap()]);
        let programs = scenario.root().join("path");
        fs::create_dir(&programs).unwrap();
        for name in ["mariadbd", "mariadb", "mariadb-binlog", "mariadb-install-db"] {
            if let Some(program) = dbbak_testkit::real::find_program(name) {
                std::os::unix::fs::symlink(program, programs.join(name)).unwrap();
            }
        }
        let refused = command.env("PATH", &programs).output().unwrap();
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        let closed = format!("may not enter {}", scenario.root().display());
        assert!(refused.status.code() == Some(5) && text.contains(&closed) && text.contains("chmod o+x"), "{text}");
        assert!(!workdir.exists());
        scenario.configure_server("run_as: nobody-knows-it");
        let refused = scenario.try_restore(&["--no-pitr"]).exits(3);
        assert!(refused.stderr.contains("nobody-knows-it"), "{refused}");
    }
    scenario.nothing_survives();
}

/// Whether this process may mount in a namespace of its own.
fn may_mount() -> bool {
    let words = ["--mount", "--propagation", "private", "--", "true"];
    std::process::Command::new("unshare").args(words).output().is_ok_and(|answer| answer.status.success())
}

#[test]
fn real_private_servers_are_nobody() {
    if require_servers() {
        prisoners(Options::default(), &["backup-full"]);
    }
}

#[test]
fn real_mysql_private_servers_are_nobody() {
    if require_mysql() {
        prisoners(Options::mysql(), &["backup-full", "--engine", "clone"]);
    }
}
