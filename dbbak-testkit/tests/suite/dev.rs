//! What the script `dev` chooses: the archive of the tests' MySQL, the browser, and the tests to leave out.

use dbbak_testkit::real::find_program;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

/// A directory below the build's own.
fn scratch() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Runs a line of shell with the functions of `dev` at hand, in an environment that names no mirror and no browser.
fn with_dev(line: &str, dir: &Path, apt_config: Option<PathBuf>) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut command = Command::new("bash");
    command.arg("-c").arg(format!(". ./dev help >/dev/null\n{line}")).current_dir(root).env("CARGO_TARGET_DIR", dir);
    for name in [
        "DBBAK_DEBIAN_MIRROR",
        "DBBAK_UBUNTU_MIRROR",
        "DBBAK_MYSQL_SUITE",
        "DBBAK_MYSQL_ROOT",
        "DBBAK_MARIADB_ROOT",
        "DBBAK_SECOND_MARIADB_ROOT",
        "DBBAK_SECOND_MYSQL_ROOT",
        "DBBAK_BROWSER",
    ] {
        command.env_remove(name);
    }
    command.envs(apt_config.map(|path| ("APT_CONFIG", path))).output().unwrap()
}

#[track_caller]
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap().trim_end().to_owned()
}

/// One source as apt knows it once its lists are there: host and path, suite, and what its release file says of itself.
type Source<'a> = (&'a str, &'a str, [&'a str; 3]);

const UBUNTU: [Source; 4] = [
    ("security.ubuntu.com/ubuntu", "noble-security", ["Ubuntu", "Ubuntu", "noble-security"]),
    ("ppa.launchpadcontent.net/some/ppa/ubuntu", "noble", ["LP-PPA-some", "Some", "noble"]),
    ("de.archive.ubuntu.com/ubuntu", "noble-updates", ["Ubuntu", "Ubuntu", "noble-updates"]),
    ("de.archive.ubuntu.com/ubuntu", "noble", ["Ubuntu", "Ubuntu", "noble"]),
];

/// A machine of apt's with these sources, whose lists of packages were fetched: the path of its configuration. `texts` are
/// files of sources, which apt tells apart by the suffix.
fn machine(dir: &Path, texts: &[(&str, &str)], fetched: &[Source]) -> PathBuf {
    for name in ["parts", "sources.list.d", "lists/partial"] {
        fs::create_dir_all(dir.join(name)).unwrap();
    }
    fs::write(dir.join("status"), "").unwrap();
    for (name, text) in texts {
        fs::write(dir.join("sources.list.d").join(name), text).unwrap();
    }
    for (place, suite, [origin, label, release]) in fetched {
        let file = |end: &str| dir.join("lists").join(format!("{}_dists_{suite}_{end}", place.replace('/', "_")));
        let text = format!("Origin: {origin}\nLabel: {label}\nSuite: {release}\nCodename: {suite}\nComponents: main\n");
        fs::write(file("Release"), text).unwrap();
        fs::write(file("main_binary-amd64_Packages"), "").unwrap();
    }
    let path = dir.join("apt.conf");
    let dir = dir.display();
    let text = format!(
        "Dir::Etc \"{dir}\"; Dir::Etc::parts \"{dir}/parts\"; Dir::Etc::sourcelist \"{dir}/sources.list\";
         Dir::Etc::sourceparts \"{dir}/sources.list.d\"; Dir::State \"{dir}\"; Dir::State::lists \"{dir}/lists\";
         Dir::State::status \"{dir}/status\"; Dir::Cache \"{dir}\";
         APT::Architecture \"amd64\"; APT::Architectures:: \"amd64\";\n"
    );
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn mysql_comes_from_the_distributions_own_archive() {
    if find_program("apt-get").is_none() {
        return; // The script's function asks apt; it is not called where there is none.
    }
    let lines: String = UBUNTU.iter().map(|(place, suite, _)| format!("deb http://{place} {suite} main\n")).collect();
    let stanzas: String = UBUNTU
        .iter()
        .map(|(place, suite, _)| {
            format!(
                "Types: deb\n# URIs: http://wrong/debian\nURIs: http://{place}/\nSuites: {suite}\nComponents: main\n\n"
            )
        })
        .collect();
    let ports =
        "Types: deb\nURIs: http://ports.ubuntu.com/ubuntu-ports/\nSuites: jammy jammy-updates\nComponents: main\n";
    let fetched_ports = [("ports.ubuntu.com/ubuntu-ports", "jammy", ["Ubuntu", "Ubuntu", "jammy"])];
    let debian = "deb http://deb.debian.org/debian-security bookworm-security main\n\
                  deb http://packages.example.org/debian bookworm main\n\
                  # deb http://old.debian.org/debian bookworm main\n\
                  deb [arch=amd64] http://deb.debian.org/debian bookworm main\n";
    let fetched_debian = [
        ("deb.debian.org/debian-security", "bookworm-security", ["Debian", "Debian-Security", "oldstable-security"]),
        ("packages.example.org/debian", "bookworm", ["Example", "Example", "bookworm"]),
        ("deb.debian.org/debian", "bookworm", ["Debian", "Debian", "oldstable"]),
    ];
    let switched_off = format!("Enabled: no\n{ports}");
    let devel = "devel /usr/share/keyrings/ubuntu-archive-keyring.gpg";
    let sid = "sid /usr/share/keyrings/debian-archive-keyring.gpg";

    for (case, texts, fetched, expected) in [
        (
            "lines",
            [("a.list", &*lines)].as_slice(),
            UBUNTU.as_slice(),
            format!("de.archive.ubuntu.com/ubuntu/ {devel}"),
        ),
        ("stanzas", &[("a.sources", &*stanzas)], &UBUNTU, format!("de.archive.ubuntu.com/ubuntu/ {devel}")),
        ("ports", &[("a.sources", ports)], &fetched_ports, format!("ports.ubuntu.com/ubuntu-ports/ {devel}")),
        ("debian", &[("a.list", debian)], &fetched_debian, format!("deb.debian.org/debian/ {sid}")),
        ("not a source", &[("a.list.disabled", &*lines)], &UBUNTU, "none".to_owned()),
        ("switched off", &[("a.sources", &*switched_off)], &fetched_ports, "none".to_owned()),
        ("no lists fetched", &[("a.list", &*lines)], &[], "none".to_owned()),
        ("only others", &[("a.list", &*lines)], &UBUNTU[..2], "none".to_owned()),
    ] {
        let dir = scratch();
        let apt_config = machine(dir.path(), texts, fetched);
        let line = "find_archive && echo \"$mirror $suite $keyring\" || echo none";
        let found = said(&with_dev(line, dir.path(), Some(apt_config)));
        assert_eq!(found.trim_start_matches("http://"), expected, "{case}");
    }
}

#[test]
fn the_mirror_and_the_suite_can_be_named() {
    let dir = scratch();
    let find = "find_archive; echo \"$vendor $mirror $suite\"";
    for (named, expected) in [
        ("DBBAK_DEBIAN_MIRROR=http://here/debian", "Debian http://here/debian sid"),
        ("DBBAK_UBUNTU_MIRROR=http://here/ubuntu", "Ubuntu http://here/ubuntu devel"),
        ("DBBAK_UBUNTU_MIRROR=http://here/ubuntu DBBAK_MYSQL_SUITE=resolute", "Ubuntu http://here/ubuntu resolute"),
    ] {
        assert_eq!(said(&with_dev(&format!("{named}\n{find}"), dir.path(), None)), expected);
    }
}

/// With an XtraBackup at hand.
const CHOOSE: &str =
    "mysql_root=$CARGO_TARGET_DIR; mkdir -p $mysql_root/bin; cp /bin/true $mysql_root/bin/xtrabackup; choose_tests";

#[test]
fn without_xtrabackup_its_tests_are_left_out_by_name() {
    let dir = scratch();
    let skip = "--skip real_mysql_xtrabackup";
    for (given, browser, expected) in [
        ("--lib --tests", "/usr/bin/chromium", format!("--lib --tests -- {skip}")),
        ("real_mysql", "/usr/bin/chromium", format!("real_mysql -- {skip}")),
        ("real::clone -- --nocapture", "", format!("real::clone -- --nocapture --skip in_a_browser {skip}")),
        ("real::xtrabackup", "/usr/bin/chromium", "real::xtrabackup".to_owned()),
    ] {
        let line = format!(
            "DBBAK_BROWSER={browser} mysql_root=$CARGO_TARGET_DIR/none\nchoose_tests {given}\necho \"${{arguments[*]}}\""
        );
        let output = with_dev(&line, dir.path(), None);
        assert_eq!(said(&output), expected);
        let told = String::from_utf8_lossy(&output.stderr).contains("LEFT OUT");
        assert_eq!(told, expected.contains("--skip"), "{given}: {output:?}");
    }
}

#[test]
fn a_suite_that_is_named_has_a_directory_of_its_own() {
    let dir = scratch();
    for (named, expected) in [("", "mysql-9.7 9.7"), ("export DBBAK_MYSQL_SUITE=resolute", "mysql-resolute 8.4")] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let line =
            format!("{named}\n. {}/dev help >/dev/null\necho \"${{mysql_root##*/}} $mysql_oldest\"", root.display());
        assert_eq!(said(&with_dev(&line, dir.path(), None)), expected);
    }
}

#[test]
fn without_a_browser_its_tests_are_left_out_by_name() {
    let dir = scratch();
    for (given, browser, expected) in [
        ("--lib --tests", "", "--lib --tests -- --skip in_a_browser"),
        ("-p dbbak-core", "", "-p dbbak-core -- --skip in_a_browser"),
        ("store -- --nocapture", "", "store -- --nocapture --skip in_a_browser"),
        ("timeline::page::in_a_browser", "", "timeline::page::in_a_browser"),
        ("--lib --tests", "/usr/bin/chromium", "--lib --tests"),
    ] {
        let line = format!("DBBAK_BROWSER={browser}\n{CHOOSE} {given}\necho \"${{arguments[*]}}\"");
        let output = with_dev(&line, dir.path(), None);
        assert_eq!(said(&output), expected);
        let told = String::from_utf8_lossy(&output.stderr).contains("LEFT OUT");
        assert_eq!(told, expected.contains("--skip"), "{given}: {output:?}");
    }
}

#[test]
fn the_second_servers_are_of_another_series() {
    let dir = scratch();
    // Where from, the series that a system has, and what is fetched as the second MariaDB and the second MySQL.
    for (archive, system, mariadb, mysql) in [
        ("Debian", "10.11.19-MariaDB-0+deb12u1", "mariadb-11.8 trixie main", ""),
        ("Debian", "11.8.9-MariaDB-0+deb13u1 from Debian", "mariadb-10.11 bookworm main", ""),
        ("Ubuntu", "10.6.23-MariaDB", "mariadb-11.8 resolute main universe", "mysql-8.4 resolute main universe"),
        ("Ubuntu", "11.8.6-MariaDB", "mariadb-10.11 noble main universe", "mysql-8.4 resolute main universe"),
        ("none", "10.11.19-MariaDB", "", ""),
        ("empty", "10.11.19-MariaDB", "", ""),
    ] {
        let line = format!(
            "server_cache=$CARGO_TARGET_DIR; mariadbd() {{ echo 'mariadbd  Ver {system} for debian-linux-gnu'; }}
             have() {{ true; }}; apt_update() {{ :; }}
             find_archive() {{ [ {archive} != none ] || return 1; vendor={archive} components=main suite=sid keyring=/; [ {archive} != empty ] || vendor=Debian; }}
             unpack_server() {{ [ {archive} != empty ] || return 3; echo \"${{1##*/}} $suite $components\" >&2; }}
             setup_second_mariadb; echo \"${{second_mariadb##*/}}\"; setup_second_mysql; echo \"${{second_mysql##*/}}\""
        );
        let output = with_dev(&line, dir.path(), None);
        let (name, second) = (
            |text: &str| text.split(' ').next().unwrap_or_default().to_owned(),
            String::from_utf8_lossy(&output.stderr),
        );
        assert_eq!(said(&output), format!("{}\n{}", name(mariadb), name(mysql)).trim_end(), "{archive} {system}");
        let wanted: Vec<&str> = [mariadb, mysql].into_iter().filter(|text| !text.is_empty()).collect();
        assert_eq!(second.lines().collect::<Vec<_>>(), wanted, "{archive} {system}");
    }
}

#[test]
fn the_series_that_no_archive_has_are_left_out_by_name() {
    let dir = scratch();
    let run = |mariadb: &str, mysql: &str| {
        let line = format!(
            "version_in() {{ echo 1.2.3; }}; cargo() {{ echo \"${{DBBAK_MARIADB_ROOT-}} ${{DBBAK_MYSQL_ROOT-}} $*\"; }}
             second_mariadb='{mariadb}' second_mysql='{mysql}' second_mariadb_series=11.8; test_other_series"
        );
        with_dev(&line, dir.path(), None)
    };
    let output = run("", "");
    assert_eq!(said(&output), "");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    for series in ["MariaDB 11.8", "MySQL 8.4"] {
        assert!(told.contains(&format!("LEFT OUT: the scenarios on {series},")), "{told}");
    }
    let output = run("/a", "/b");
    let ran = said(&output);
    let lines: Vec<&str> = ran.lines().collect();
    assert!(lines[0].starts_with("/a  test --workspace --test suite -- real::backups::"), "{ran}");
    assert!(
        lines[0].ends_with("--skip real_mysql_ --skip on_mysql") && lines[1].contains(" real::pitr::real_mysql_"),
        "{ran}"
    );
    assert!(lines[1].starts_with(" /b test") && !lines[1].contains("real_server::real_mysql_ real_server:: "), "{ran}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("LEFT OUT"), "{output:?}");
}

/// What an unpacked server is run through: its programs through the loader that came with them, by their own names alone.
#[test]
fn programs_of_an_unpacked_server_have_scripts_of_their_own() {
    let dir = scratch();
    let root = dir.path().join("server");
    for place in ["usr/bin", "usr/sbin", "usr/lib64", "usr/lib/x86_64-linux-gnu", "usr/share/mariadb/charsets"] {
        fs::create_dir_all(root.join(place)).unwrap();
    }
    for program in ["usr/sbin/mariadbd", "usr/bin/mariadb", "usr/bin/mbstream", "usr/bin/mysqlbinlog"] {
        fs::copy("/bin/true", root.join(program)).unwrap();
    }
    std::os::unix::fs::symlink("mariadb", root.join("usr/bin/mysql")).unwrap();
    command(&root.join("usr/bin"), "mariadb-hotcopy", "true");
    // A loader that prints what it is given; the other is a link to this system's, as Debian 12 has it.
    command(&root.join("usr/lib/x86_64-linux-gnu"), "ld-linux-x86-64.so.2", "echo \"$@\"");
    std::os::unix::fs::symlink("/bin/false", root.join("usr/lib64/ld-linux-x86-64.so.2")).unwrap();
    said(&with_dev(&format!("write_wrappers '{}'", root.display()), dir.path(), None));
    let mut names: Vec<_> = fs::read_dir(root.join("bin"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["mariadb", "mariadbd", "mbstream", "mysqlbinlog"]);
    let moved = dir.path().join("moved");
    fs::rename(&root, &moved).unwrap();
    let output = Command::new(moved.join("bin/mariadbd")).args(["--no-defaults", "--datadir=/d"]).output().unwrap();
    let at = moved.display();
    assert_eq!(
        said(&output),
        format!(
            "--argv0 {at}/usr/sbin/mariadbd --library-path {at}/usr/lib/x86_64-linux-gnu {at}/usr/sbin/mariadbd --no-defaults \
             --basedir={at}/usr --lc-messages-dir={at}/usr/share/mariadb --character-sets-dir={at}/usr/share/mariadb/charsets \
             --plugin-dir={at}/usr/lib/mysql/plugin --datadir=/d"
        )
    );
}

/// A command for the path of the script.
fn command(dir: &Path, name: &str, body: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_browser_counts_when_it_shows_a_page() {
    let dir = scratch();
    let shows = "echo \"<html><head></head>\"; echo '<body><p id=\"shown\">'";
    let line = "PATH=$HERE:/usr/bin:/bin; have() { case $1 in apt-get) true ;; *) [ -e \"$HERE/$1\" ] ;; esac; }
        apt-get() { [ \"$*\" = 'indextargets Created-By: Packages' ] || echo \"asks $*\"; }
        apt_update() { echo refreshes; }
        apt-cache() { case \"$1\" in policy) echo \"  Candidate: $CANDIDATE\" ;; depends) echo \"$DEPENDS\" ;; esac; }
        install_packages() { echo \"installs $*\"; cp \"$HERE/../real\" \"$HERE/chromium\"; }
        setup_browser; found=${DBBAK_BROWSER-}; echo \"browser ${found#\"$HERE\"/}\"";
    let asks = "echo 'requires the chromium snap to be installed'; exit 1";
    command(dir.path(), "real", shows);
    for (number, (commands, candidate, depends, expected)) in [
        ([("chromium", shows), ("google-chrome", shows)].as_slice(), "(none)", "", "browser chromium"),
        (&[("chromium-browser", asks), ("google-chrome", shows)], "(none)", "", "browser google-chrome"),
        (&[("chromium-browser", asks)], "(none)", "", "refreshes\nbrowser "),
        (&[], "2:1snap1-0ubuntu2", "  PreDepends: snapd", "refreshes\nbrowser "),
        (&[], "150.0", "  Depends: libc6", "refreshes\ninstalls chromium\nbrowser chromium"),
        // A Chromium that apt has and that is broken is no reason to leave its tests out.
        (&[("chromium", asks)], "150.0", "  Depends: libc6", "refreshes\ninstalls chromium\nbrowser chromium"),
    ]
    .into_iter()
    .enumerate()
    {
        let here = dir.path().join(number.to_string());
        fs::create_dir(&here).unwrap();
        for (name, body) in commands {
            command(&here, name, body);
        }
        let given = format!("HERE='{}' CANDIDATE='{candidate}' DEPENDS='{depends}'\n{line}", here.display());
        let output = with_dev(&given, dir.path(), None);
        assert_eq!(said(&output), expected.trim_end(), "{number}: {output:?}");
        let told = String::from_utf8_lossy(&output.stderr).contains("no package of Chromium");
        assert_eq!(told, expected.ends_with("browser "), "{number}: {output:?}");
    }
}

#[test]
fn a_toolchain_that_was_fetched_goes_before_an_old_one() {
    let dir = scratch();
    let line = "PATH=$HERE/system:/usr/bin:/bin; rust_home=$HERE/rust; have() { [ -e \"$HERE/system/$1\" ]; }
        candidate() { false; }; apt_update() { :; }
        fetch_rust() { echo fetches; cp -r \"$HERE/archive\" \"$HERE/rust\"; use_fetched_rust; }
        setup_rust; cargo --version";
    for (system, fetched, archive, expected) in [
        ("cargo 99.0.0", "cargo 99.1.0", "", Some("cargo 99.0.0")),
        ("cargo 1.63.0", "cargo 99.1.0", "", Some("cargo 99.1.0")),
        ("cargo 1.63.0", "", "cargo 99.2.0", Some("fetches\ncargo 99.2.0")),
        ("cargo 1.63.0", "cargo 1.64.0", "cargo 1.65.0", None),
    ] {
        let here = dir.path().join(format!("{system}-{fetched}-{archive}").replace(' ', "-"));
        for (place, version) in [
            ("system", system),
            ("rust/toolchains/stable-here/bin", fetched),
            ("archive/toolchains/stable-here/bin", archive),
        ] {
            if !version.is_empty() {
                fs::create_dir_all(here.join(place)).unwrap();
                command(&here.join(place), "cargo", &format!("echo {version}"));
            }
        }
        for name in ["apt-get", "dpkg-deb"] {
            command(&here.join("system"), name, "exit 1");
        }
        let output = with_dev(&format!("HERE='{}'\n{line}", here.display()), dir.path(), None);
        match expected {
            Some(expected) => assert_eq!(said(&output), expected, "{output:?}"),
            None => {
                let told = String::from_utf8_lossy(&output.stderr).contains("or newer is needed, found: cargo 1.6");
                assert!(!output.status.success() && told, "{output:?}");
            }
        }
    }
}
