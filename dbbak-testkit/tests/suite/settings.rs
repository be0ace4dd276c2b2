//! The table of settings: `docs/settings.md` is the one in the code.

use dbbak_core::tools::{Fate, setting_rows};
use std::{fmt::Write, fs, path::Path};

const MARK: &str = "<!-- generated: the table -->\n";

/// The table as the documentation shows it: a list where something is to be said of each setting, else the names.
fn table() -> String {
    let rows = setting_rows();
    let mut text = String::new();
    for fate in Fate::ALL {
        let (heading, why) = fate.words();
        writeln!(text, "\n## {heading}\n\n{why}\n").unwrap();
        let rows: Vec<_> = rows.iter().filter(|row| row.fate == fate).collect();
        assert!(!rows.is_empty(), "no setting is of {heading}");
        if rows.iter().all(|row| row.what.is_some()) {
            text.push_str("| setting | what depends on it |\n|---|---|\n");
            for row in rows {
                writeln!(text, "| `{}` | {} |", row.name, row.what.unwrap_or_default()).unwrap();
            }
        } else {
            let names: Vec<String> = rows.iter().map(|row| format!("`{}`", row.name)).collect();
            text.push_str(&names.chunks(6).map(|names| names.join(", ")).collect::<Vec<_>>().join(",\n"));
            text.push('\n');
        }
    }
    text
}

#[test]
fn the_documentation_has_the_table_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/settings.md");
    let written = fs::read_to_string(&path).unwrap();
    let (said, _) = written.split_once(MARK).expect("docs/settings.md has the mark of its generated part");
    let wanted = format!("{said}{MARK}{}", table());
    if std::env::var_os("DBBAK_UPDATE").is_some() {
        fs::write(&path, &wanted).unwrap();
        return;
    }
    assert!(written == wanted, "docs/settings.md is out of date; run this test with DBBAK_UPDATE=1");
}
