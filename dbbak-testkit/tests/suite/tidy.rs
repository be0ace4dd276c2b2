//! The rules of the repository, as tests.

use dbbak_core::config::{KEYS, SERVER_KEYS};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// A file that grows past this is to be split by noun.
const LONGEST: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below a directory, relative to the repository's root, in order.
fn files_below(dir: &str) -> Vec<String> {
    fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            match path.is_dir() {
                true if name == "target" || (name.starts_with('.') && name != ".ci") => {}
                true => walk(&path, files),
                false => files.push(path),
            }
        }
    }
    let mut files = Vec::new();
    walk(&root().join(dir), &mut files);
    let mut files: Vec<String> =
        files.iter().map(|path| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned()).collect();
    files.sort();
    files
}

fn rust_files() -> Vec<String> {
    ["dbbak-core", "dbbak-cli", "dbbak-testkit"]
        .iter()
        .flat_map(|dir| files_below(dir))
        .filter(|path| path.ends_with(".rs"))
        .collect()
}

/// The code of a file without its unit tests, which stand last, and without comments.
fn code_of(path: &str) -> String {
    let text = read(path);
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn assert_none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = rust_files().into_iter().filter(|path| !read(path).starts_with("//! ")).collect();
    assert_none("files that do not start with //!", silent);
}

#[test]
fn no_file_is_too_long() {
    let long = rust_files().into_iter().filter(|path| read(path).lines().count() > LONGEST).collect();
    assert_none("files of more than 600 lines", long);
}

#[test]
fn every_file_of_the_suite_is_a_module() {
    let main = read("dbbak-testkit/tests/suite/main.rs");
    let lost = files_below("dbbak-testkit/tests/suite").into_iter().filter_map(|path| {
        let name = path.strip_prefix("dbbak-testkit/tests/suite/")?.strip_suffix(".rs")?.to_owned();
        let module = name.split('/').next()?.to_owned();
        (module != "main" && !main.contains(&format!("mod {module};"))).then_some(path)
    });
    assert_none("files that no test binary holds", lost.collect());
}

#[test]
fn the_sources_hold_no_shortcuts() {
    let mut found = Vec::new();
    for path in rust_files().into_iter().filter(|path| path.contains("/src/")) {
        let code = code_of(&path);
        // Test doubles may take shortcuts; an `#[allow]` may not stand anywhere.
        let words: &[&str] = match path.starts_with("dbbak-testkit") {
            true => &["todo!", "#[allow(", "#![allow("],
            false => &[".unwrap()", "todo!", "unimplemented!", "dbg!", "#[allow(", "#![allow("],
        };
        found.extend(words.iter().filter(|word| code.contains(**word)).map(|word| format!("{path}: {word}")));
    }
    assert_none("shortcuts", found);
}

/// What each module of the library may import, the root of the library aside: only modules that stand before it here.
const IMPORTS: &[(&str, &[&str])] = &[
    ("beneath", &[]),
    ("clock", &[]),
    ("model", &[]),
    ("config", &["model"]),
    ("binlog", &["model"]),
    ("tools", &["model"]),
    ("store", &["beneath", "binlog", "clock", "model"]),
    ("probe", &["tools"]),
    ("engine", &["config", "model", "tools"]),
    ("halfway", &["model", "store"]),
    ("journal", &["model", "store"]),
    ("facts", &["binlog", "halfway", "journal", "model", "probe", "store", "tools"]),
    ("catalog", &["facts", "model", "store", "tools"]),
    ("survey", &["binlog", "catalog", "config", "facts", "halfway", "journal", "model", "probe", "store", "tools"]),
    ("find", &["binlog", "catalog", "model", "probe", "store", "survey", "tools"]),
    (
        "plan",
        &["catalog", "config", "engine", "facts", "halfway", "journal", "model", "probe", "store", "survey", "tools"],
    ),
    ("setup", &["catalog", "config", "engine", "facts", "plan", "probe", "store", "tools"]),
    ("execute", &["beneath", "binlog", "clock", "halfway", "journal", "model", "plan", "store", "tools"]),
    ("record", &["beneath", "execute", "model", "plan", "store", "tools"]),
    (
        "run",
        &[
            "catalog", "clock", "config", "engine", "execute", "facts", "find", "plan", "probe", "record", "setup",
            "store", "survey", "tools",
        ],
    ),
];

/// The modules that a file names below `crate::`.
fn imports_of(code: &str) -> Vec<String> {
    fn ident(text: &str) -> &str {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        &text[..end]
    }
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push(ident(rest).to_owned());
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (index, character) in group.char_indices() {
            let item_ends = depth == 0 && matches!(character, ',' | '}');
            if item_ends {
                let module = ident(group[start..index].trim());
                if !module.is_empty() {
                    found.push(module.to_owned());
                }
                start = index + 1;
            }
            match character {
                '}' if depth == 0 => break,
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    found
}

#[test]
fn modules_import_only_what_stands_to_their_left() {
    let allowed: BTreeMap<&str, &[&str]> = IMPORTS.iter().copied().collect();
    let mut wrong = Vec::new();
    for path in files_below("dbbak-core/src") {
        let inner = path.strip_prefix("dbbak-core/src/").unwrap();
        let module = inner.split('/').next().unwrap().trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        let Some(may) = allowed.get(module) else {
            wrong.push(format!("{path}: no rule for the module {module}"));
            continue;
        };
        for import in imports_of(&code_of(&path)) {
            // A path that begins with a capital is an item of the crate's root.
            if import == module || import.starts_with(char::is_uppercase) {
                continue;
            }
            if !may.contains(&import.as_str()) {
                wrong.push(format!("{path}: {module} imports {import}"));
            }
        }
    }
    assert_none("imports against the direction of docs/architecture.md", wrong);
}

#[test]
fn the_import_rules_point_one_way() {
    let place = |module: &str| IMPORTS.iter().position(|(name, _)| *name == module);
    let backwards: Vec<String> = IMPORTS
        .iter()
        .flat_map(|(module, may)| may.iter().map(move |import| (*module, *import)))
        .filter(|(module, import)| place(import) >= place(module))
        .map(|(module, import)| format!("{module} -> {import}"))
        .collect();
    assert_none("imports that lead back", backwards);
}

#[test]
fn reads_imports_in_every_form() {
    let code = "use crate::{\n    a::{B, c::D},\n    e,\n};\nuse crate::f::G;\nlet x = crate::h::i();";
    assert_eq!(imports_of(code), ["a", "e", "f", "h"]);
}

/// The variants of an enum, from its source.
fn variants(path: &str, name: &str) -> Vec<String> {
    let text = read(path);
    let start = text.find(&format!("pub enum {name} {{")).unwrap_or_else(|| panic!("{path} has no {name}"));
    let body = &text[start..];
    let body = &body[..body.find("\n}").unwrap()];
    let variant = |line: &str| {
        let word = line.strip_prefix("    ")?;
        let name: String = word.chars().take_while(|c| c.is_alphanumeric()).collect();
        name.starts_with(char::is_uppercase).then_some(name)
    };
    body.lines().skip(1).filter_map(variant).collect()
}

#[test]
fn every_error_is_documented() {
    let docs = read("docs/errors.md");
    let mut missing = Vec::new();
    for (path, name) in [
        ("dbbak-core/src/config.rs", "ConfigError"),
        ("dbbak-core/src/store/error.rs", "StoreError"),
        ("dbbak-core/src/store/error.rs", "Flaw"),
        ("dbbak-core/src/survey/mod.rs", "SurveyError"),
        ("dbbak-core/src/probe.rs", "ProbeError"),
        ("dbbak-core/src/plan/error.rs", "PlanError"),
        ("dbbak-core/src/plan/unmark.rs", "UnmarkError"),
        ("dbbak-core/src/execute/error.rs", "ExecuteError"),
        ("dbbak-core/src/execute/executor.rs", "ExecError"),
        ("dbbak-core/src/execute/tree.rs", "TreeError"),
        ("dbbak-core/src/record.rs", "RecordError"),
        ("dbbak-core/src/run.rs", "RunError"),
        ("dbbak-core/src/find/mod.rs", "FindError"),
        ("dbbak-core/src/store/transactions/error.rs", "TransactionsError"),
        ("dbbak-core/src/catalog/chain.rs", "ChainError"),
        ("dbbak-core/src/binlog/error.rs", "BinlogError"),
        ("dbbak-core/src/binlog/error.rs", "DamageKind"),
        ("dbbak-core/src/tools/command.rs", "CommandError"),
        ("dbbak-core/src/tools/success.rs", "ToolRunError"),
        ("dbbak-core/src/tools/stderr_scan.rs", "FailureClass"),
        ("dbbak-cli/src/command_error.rs", "CommandError"),
    ] {
        let variants = variants(path, name);
        assert!(!variants.is_empty(), "{path}: {name}");
        let heading = match path.starts_with("dbbak-core/src/tools/command") {
            true => "CommandError of the library",
            false => name,
        };
        // A table of its own for each: variants of different enums have the same names.
        let section = docs
            .split("\n#")
            .find(|section| section.lines().next().is_some_and(|line| line.trim_start_matches('#').trim() == heading));
        let section = section.unwrap_or_else(|| panic!("docs/errors.md has no heading for {name}"));
        let row = |variant: &str| section.lines().any(|line| line.starts_with(&format!("| `{variant}` |")));
        missing.extend(variants.iter().filter(|variant| !row(variant)).map(|variant| format!("{name}::{variant}")));
        let rows = section.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, variants.len(), "{name}: docs/errors.md has rows for variants that are gone");
    }
    assert_none("errors that docs/errors.md does not explain", missing);
}

#[test]
fn every_key_is_in_the_readme() {
    let readme = read("README.md");
    let row = |key: &str| readme.lines().filter(|line| line.starts_with(&format!("| `{key}` |"))).count();
    let keys = KEYS.iter().filter(|key| **key != "server").map(|key| (*key).to_owned());
    let keys = keys.chain(SERVER_KEYS.iter().map(|key| format!("server.{key}")));
    assert_none("keys that do not have one row in the README's table", keys.filter(|key| row(key) != 1).collect());
}

#[test]
fn the_cli_reference_is_the_generated_one() {
    let path = root().join("docs/cli-reference.md");
    let generated = dbbak_cli::cli_reference();
    if std::env::var_os("DBBAK_UPDATE").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == generated, "docs/cli-reference.md is out of date; run this test with DBBAK_UPDATE=1");
}

#[test]
fn every_fixture_says_where_it_comes_from() {
    let readme = read("fixtures/README.md");
    let mentioned = |path: &str| {
        let path = path.strip_prefix("fixtures/").unwrap();
        let dirs: Vec<&str> = path.split('/').collect();
        // A directory's name is enough; of one that holds several sources the README names each group.
        dirs[..dirs.len() - 1].iter().any(|dir| readme.contains(*dir))
    };
    let lost = files_below("fixtures").into_iter().filter(|path| path != "fixtures/README.md" && !mentioned(path));
    assert_none("fixtures that fixtures/README.md does not mention", lost.collect());
}

/// The rows of the decision tables in docs/pitr.md, and those that the tests of plans say they stand for.
#[test]
fn every_row_of_the_decision_table_has_a_test() {
    let docs = read("docs/pitr.md");
    let number = |text: &str| {
        let text = text.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
        text.starts_with(|letter: char| letter.is_ascii_digit()).then(|| text.to_owned())
    };
    let tables = docs.split_once("## Target x archive").expect("the decision tables").1;
    let tables = tables.split("\n## ").next().unwrap_or_default();
    let rows: Vec<String> =
        tables.lines().filter_map(|line| number(line.strip_prefix("| ")?.split(' ').next()?)).collect();
    assert!(rows.len() > 50, "{rows:?}");
    let mut cited = Vec::new();
    for path in rust_files().iter().filter(|path| path.contains("tests/suite/plan/")) {
        for line in read(path).lines() {
            let citation = line.trim().trim_start_matches('/').trim_start();
            // "Row 7.", "Rows 8 and 17: ..."; and at the end of a sentence, "...: rows 40 and 42".
            if let Some((_, rest)) = citation.split_once("Row").or_else(|| citation.split_once(": row"))
                && line.trim().starts_with("//")
            {
                cited.extend(rest.split([':', '.']).next().unwrap_or_default().split([' ', ',']).filter_map(number));
            }
        }
    }
    assert_none(
        "rows of docs/pitr.md without a test",
        rows.iter().filter(|row| !cited.contains(row)).cloned().collect(),
    );
    let gone: Vec<String> = cited.into_iter().filter(|row| !rows.contains(row)).collect();
    assert_none("rows that tests cite and docs/pitr.md lacks", gone);
}

#[test]
fn every_link_of_the_docs_leads_somewhere() {
    let pages = files_below("docs").into_iter().filter(|path| path.ends_with(".md"));
    let pages = pages.chain(["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "fixtures/README.md"].map(str::to_owned));
    let mut broken = Vec::new();
    for page in pages {
        let text = read(&page);
        let dir = root().join(&page).parent().unwrap().to_owned();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap();
            let file = target.split('#').next().unwrap();
            if !file.is_empty() && !target.contains("://") && !dir.join(file).exists() {
                broken.push(format!("{page}: {target}"));
            }
        }
    }
    assert_none("links to nothing", broken);
}

/// Output pasted from a run holds the paths of the machine that it ran on.
#[test]
fn no_file_names_the_directory_that_it_was_written_in() {
    let word = root().to_str().unwrap().to_owned();
    // A checkout right below `/` has a name that may be anywhere.
    if root().components().count() < 3 {
        return;
    }
    let found = files_below(".").into_iter().filter(|path| {
        let text = fs::read(root().join(path)).unwrap_or_default();
        String::from_utf8_lossy(&text).contains(&word)
    });
    assert_none(&format!("files that hold {word}"), found.collect());
}
