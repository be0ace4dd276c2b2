//! Makes one initialised data directory for each vendor, keeps it under the build's target directory, and copies it for each server.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use super::{BACKUP_PASSWORD, BACKUP_USER, ROOT_PASSWORD, ServerError, Vendor, program};

/// Part of the cached directory's name: raise it when what goes into the template changes.
const FORMAT: u32 = 1;

/// The redo log's size, the same in the template and in every server, so that no start rebuilds the log.
pub(super) const REDO_SIZE: &str = "16M";

/// Only what a backup tool needs: a restore never connects to the source.
const GRANTS: &str = "RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR, REPLICATION SLAVE";

/// The same on MySQL.
const MYSQL_GRANTS: &str = "BACKUP_ADMIN, RELOAD, PROCESS, LOCK TABLES, REPLICATION CLIENT, REPLICATION SLAVE";

impl Vendor {
    /// The option that keeps the redo log at [`REDO_SIZE`].
    pub(super) fn redo_option(self) -> String {
        match self {
            Self::Mariadb => format!("--innodb-log-file-size={REDO_SIZE}"),
            Self::Mysql => format!("--innodb-redo-log-capacity={REDO_SIZE}"),
        }
    }
}

/// Puts a fresh copy of the initialised data directory at `datadir`, which must not exist.
pub(super) fn copy_to(datadir: &Path, vendor: Vendor) -> Result<(), ServerError> {
    copy_tree(&template(vendor)?, datadir)
}

/// Copies a directory tree of regular files.
pub fn copy_tree(from: &Path, to: &Path) -> Result<(), ServerError> {
    let failed = |what: &Path| ServerError::io(format!("copying {}", what.display()));
    fs::create_dir_all(to).map_err(failed(to))?;
    for entry in fs::read_dir(from).map_err(failed(from))? {
        let entry = entry.map_err(failed(from))?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(failed(from))?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).map_err(failed(&entry.path()))?;
        }
    }
    Ok(())
}

fn template(vendor: Vendor) -> Result<PathBuf, ServerError> {
    // One thread of this process initialises, the others wait; between processes the rename below decides.
    static BUSY: Mutex<()> = Mutex::new(());
    let _guard = BUSY.lock().unwrap_or_else(std::sync::PoisonError::into_inner);

    let version = Command::new(vendor.server()?)
        .args(["--no-defaults", "--version"])
        .output()
        .map_err(ServerError::io("asking the server for its version"))?;
    let digest = blake3::hash(&version.stdout).to_hex();
    let uid = rustix::process::getuid().as_raw();
    let cache = cache_dir();
    let name = match vendor {
        Vendor::Mariadb => "mariadb",
        Vendor::Mysql => "mysql",
    };
    let path = cache.join(format!("{name}-template-{FORMAT}-{uid}-{}", &digest[..12]));
    if path.is_dir() {
        return Ok(path);
    }
    fs::create_dir_all(&cache).map_err(ServerError::io("creating the template's directory"))?;
    let staging = tempfile::Builder::new()
        .prefix(&format!("{name}-template-new-"))
        .tempdir_in(&cache)
        .map_err(ServerError::io("creating the template's directory"))?;
    let datadir = staging.path().join("data");
    match vendor {
        Vendor::Mariadb => initialise(&datadir)?,
        Vendor::Mysql => initialise_mysql(staging.path(), &datadir)?,
    }
    match fs::rename(&datadir, &path) {
        Ok(()) => Ok(path),
        // Another process was faster: its template serves as well.
        Err(_) if path.is_dir() => Ok(path),
        Err(error) => Err(ServerError::io("publishing the template")(error)),
    }
}

fn initialise_mysql(staging: &Path, datadir: &Path) -> Result<(), ServerError> {
    let accounts = staging.join("accounts.sql");
    // One statement a line, as in MariaDB's bootstrap mode.
    let script = format!(
        "ALTER USER 'root'@'localhost' IDENTIFIED BY '{ROOT_PASSWORD}';\n\
         CREATE USER '{BACKUP_USER}'@'localhost' IDENTIFIED BY '{BACKUP_PASSWORD}';\n\
         GRANT {MYSQL_GRANTS} ON *.* TO '{BACKUP_USER}'@'localhost';\n"
    );
    fs::write(&accounts, script).map_err(ServerError::io("writing the accounts"))?;
    let output = Command::new(Vendor::Mysql.server()?)
        .args(["--no-defaults", "--initialize-insecure", "--innodb-buffer-pool-size=32M", "--secure-file-priv="])
        .arg(format!("--datadir={}", datadir.display()))
        .arg(format!("--init-file={}", accounts.display()))
        .arg(Vendor::Mysql.redo_option())
        .args(super::user_option())
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(ServerError::io("running mysqld --initialize-insecure"))?;
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() || message.contains("[ERROR]") {
        return Err(ServerError::Tool {
            what: "mysqld --initialize-insecure".to_owned(),
            status: output.status.to_string(),
            message,
        });
    }
    // Each copy is a server with an identity of its own, which it makes when it starts first.
    fs::remove_file(datadir.join("auto.cnf")).map_err(ServerError::io("removing auto.cnf"))
}

/// The build's own directory for temporary files (`target/tmp`), found from the running test binary.
fn cache_dir() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    program
        .ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").is_file())
        .map_or_else(env::temp_dir, |target| target.join("tmp"))
}

fn initialise(datadir: &Path) -> Result<(), ServerError> {
    let Some(root) = crate::real::mariadb_root() else {
        install(datadir)?;
        return bootstrap(datadir, &accounts());
    };
    // The vendor's script finds its files where they were built to be, not where they were unpacked.
    for dir in ["mysql", "sys"] {
        fs::create_dir_all(datadir.join(dir)).map_err(ServerError::io("creating the template's directory"))?;
    }
    bootstrap(datadir, &(system_tables(&root)? + &accounts()))
}

/// What `mariadb-install-db` feeds into the server, from the files of a MariaDB that was unpacked below a directory.
/// MariaDB 10 names the first of them, and lays all, otherwise than 11.
fn system_tables(root: &Path) -> Result<String, ServerError> {
    let mut script = "USE mysql;\nSET @auth_root_socket=NULL;\n".to_owned();
    for names in [
        ["mariadb_system_tables", "mysql_system_tables"],
        ["mariadb_performance_tables", "mysql_performance_tables"],
        ["mariadb_system_tables_data", "mysql_system_tables_data"],
        ["fill_help_tables", "fill_help_tables"],
        ["maria_add_gis_sp_bootstrap", "maria_add_gis_sp_bootstrap"],
        ["mariadb_sys_schema", "mysql_sys_schema"],
    ] {
        let places = ["usr/share/mariadb", "usr/share/mysql"].map(|dir| root.join(dir));
        let mut files = places.iter().flat_map(|dir| names.map(|name| dir.join(format!("{name}.sql"))));
        let file =
            files.find(|file| file.is_file()).ok_or_else(|| ServerError::Missing(format!("{}.sql", names[0])))?;
        script += &fs::read_to_string(&file).map_err(ServerError::io(format!("reading {}", file.display())))?;
    }
    Ok(script)
}

fn install(datadir: &Path) -> Result<(), ServerError> {
    let datadir_option = format!("--datadir={}", datadir.display());
    let redo_option = format!("--innodb-log-file-size={REDO_SIZE}");
    let install = Command::new(program("mariadb-install-db")?)
        .args([
            "--no-defaults",
            "--force",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ])
        .args([&datadir_option, &redo_option])
        .args(super::user_option())
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(ServerError::io("running mariadb-install-db"))?;
    if !install.status.success() {
        return Err(ServerError::Tool {
            what: "mariadb-install-db".to_owned(),
            status: install.status.to_string(),
            message: String::from_utf8_lossy(&install.stdout).into_owned() + &String::from_utf8_lossy(&install.stderr),
        });
    }
    Ok(())
}

/// The accounts of every server of the test kit. The bootstrap mode reads one statement a line, and FLUSH comes first: it
/// loads the grant tables that GRANT needs.
fn accounts() -> String {
    format!(
        "FLUSH PRIVILEGES;\n\
         ALTER USER 'root'@'localhost' IDENTIFIED BY '{ROOT_PASSWORD}';\n\
         CREATE USER '{BACKUP_USER}'@'localhost' IDENTIFIED BY '{BACKUP_PASSWORD}';\n\
         GRANT {GRANTS} ON *.* TO '{BACKUP_USER}'@'localhost';\n"
    )
}

/// Runs statements in the server's bootstrap mode.
fn bootstrap(datadir: &Path, script: &str) -> Result<(), ServerError> {
    let mut child = Command::new(program("mariadbd")?)
        .args(["--no-defaults", "--bootstrap", "--skip-log-bin", "--innodb-buffer-pool-size=32M"])
        .arg(format!("--datadir={}", datadir.display()))
        .arg(format!("--innodb-log-file-size={REDO_SIZE}"))
        .args(super::user_option())
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(ServerError::io("running mariadbd --bootstrap"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes()).map_err(ServerError::io("writing to mariadbd --bootstrap"))?;
    }
    let output = child.wait_with_output().map_err(ServerError::io("waiting for mariadbd --bootstrap"))?;
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() || message.contains("[ERROR]") || message.contains("ERROR:") {
        return Err(ServerError::Tool {
            what: "mariadbd --bootstrap".to_owned(),
            status: output.status.to_string(),
            message,
        });
    }
    Ok(())
}
