//! What the measurements were made on.

use dbbak_testkit::server::Vendor;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

/// Lines of facts about the machine and the programs, for the report.
pub(crate) fn facts(dbbak: &Path, work: &Path) -> Vec<(String, String)> {
    let fact = |name: &str, value: Option<String>| (name.to_owned(), value.unwrap_or_else(|| "unknown".into()));
    let memory = field("/proc/meminfo", "MemTotal").map(|memory| {
        let kilobytes: f64 = memory.trim_end_matches(" kB").parse().unwrap_or(0.0);
        format!("{:.1} GiB", kilobytes / f64::from(1 << 20))
    });
    // The version without what a distribution or a builder adds to it.
    let release = first_line(Command::new("uname").arg("-sr"));
    let kernel = release.and_then(|release| release.split('-').next().map(str::to_owned));
    let file_system = first_line(Command::new("stat").args(["-f", "-c", "%T"]).arg(work));
    vec![
        fact("CPU", field("/proc/cpuinfo", "model name")),
        fact("cores", thread::available_parallelism().ok().map(|cores| cores.to_string())),
        fact("memory", memory),
        fact("kernel", kernel),
        fact(
            "load averages (1, 5, 15 minutes) before",
            fs::read_to_string("/proc/loadavg").ok().map(|load| load.split(' ').take(3).collect::<Vec<_>>().join(", ")),
        ),
        fact("file system", file_system),
        fact("dbbak", first_line(Command::new(dbbak).arg("--version"))),
        fact("MariaDB", version_of("mariadbd")),
        fact("MySQL", mysql_version()),
        fact("backup tool", version_of("mariadb-backup")),
    ]
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start_matches([' ', '\t', ':']).trim().to_owned())
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    // Some tools say their version on standard error.
    let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Some(String::from_utf8_lossy(&said).lines().next()?.trim().to_owned())
}

/// What a program of the vendor's says of its version, its path left out.
fn version_of(program: &str) -> Option<String> {
    let path: PathBuf = dbbak_testkit::real::find_program(program)?;
    let line = first_line(Command::new(&path).arg("--version"))?;
    Some(line.replace(&*path.display().to_string(), program))
}

/// What MySQL's server says of its version; it may lie in a directory of its own.
fn mysql_version() -> Option<String> {
    let path = Vendor::Mysql.program("mysqld").ok()?;
    let line = first_line(Command::new(&path).arg("--version"))?;
    line.split_once("  Ver ").map(|(_, version)| format!("mysqld  Ver {version}"))
}

/// The bare version of the installed server, such as `10.11.14`.
pub(crate) fn server_version() -> Option<String> {
    let line = version_of("mariadbd")?;
    let words = line.split([' ', '-']).filter(|word| word.split('.').count() == 3);
    words.into_iter().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
}
