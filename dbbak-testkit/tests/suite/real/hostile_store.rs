//! What a program that may write the store can make dbbak do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dbbak_core::store::{BackupMeta, Sums};
use dbbak_testkit::looking::files_below;
use dbbak_testkit::real::require_servers;
use dbbak_testkit::scenario::Scenario;

/// A library that makes a file when a program loads it.
fn library(dir: &Path, name: &str, witness: &Path) {
    let source = dir.join("witness.c");
    let text = format!(
        "#include <fcntl.h>\n__attribute__((constructor)) static void seen(void) {{ open(\"{}\", O_CREAT | O_WRONLY, 0600); }}\n",
        witness.display()
    );
    fs::write(&source, text).unwrap();
    let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(dir.join(name)).arg(&source).status().unwrap();
    assert!(made.success());
}

/// Has the store describe what lies in it anew: somebody who writes it can make every list fit.
fn describe_anew(scenario: &Scenario) {
    for path in files_below(&scenario.store()) {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        match name {
            "manifest.json" | "manifest.json.prev" | "files.json" => fs::remove_file(&path).unwrap(),
            "meta.json" => {
                let dir = path.parent().and_then(|dir| dir.file_name()?.to_str()).unwrap();
                let bytes = fs::read(&path).unwrap();
                let mut meta = BackupMeta::parse(&bytes, &dir.parse().unwrap(), None, Sums::Required).unwrap();
                meta.entry.files_digest = None;
                fs::write(&path, meta.to_bytes()).unwrap();
            }
            _ => {}
        }
    }
    scenario.dbbak(&["reindex", "--exec"]).exits(0);
}

/// The tools' option files in the store.
fn option_files(scenario: &Scenario) -> Vec<PathBuf> {
    let mut files = files_below(&scenario.store());
    files.retain(|path| path.ends_with("backup-my.cnf"));
    files
}

/// `backup-my.cnf` is obeyed by a prepare. What somebody wrote into it is not.
#[test]
fn real_prepare_loads_no_library_that_the_store_names() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 71);
    workload.run(20).unwrap();
    scenario.full();
    workload.run(20).unwrap();
    scenario.incr();
    scenario.ship();
    let wanted = scenario.server.checksums("shop").unwrap();

    let evil = scenario.root().join("evil");
    fs::create_dir(&evil).unwrap();
    let witness = evil.join("loaded");
    library(&evil, "evil.so", &witness);
    let options = option_files(&scenario);
    assert!(options.len() >= 3, "{options:?}");
    for path in options {
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str(&format!("plugin_dir={}\nplugin_load=evil=evil.so\n", evil.display()));
        fs::write(&path, text).unwrap();
    }
    describe_anew(&scenario);

    let restored = scenario.restore(&["--latest"]);
    assert!(!witness.exists(), "a library of the store's writer was loaded");
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted);
    assert!(restored.ran.stderr.contains("plugin_dir, plugin_load"), "{}", restored.ran.stderr);
}
