//! Copies of the tests' MySQL that have a manifest of their own, and so a keyring.

use super::ServerError;
use crate::real::find_mysql_program;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// Lays out a MySQL below `dir` whose `mysqld.my` and `component_keyring_file.cnf` hold these texts: both lie beside the
/// program and its plugins, where an installation has them. Returns the server program.
///
/// # Errors
///
/// When MySQL is not there, or a file cannot be made.
pub fn mysql_with_manifest(dir: &Path, manifest: &str, keyring: &str) -> Result<PathBuf, ServerError> {
    let wrapper = find_mysql_program("mysqld").ok_or_else(|| ServerError::Missing("mysqld".to_owned()))?;
    let root = wrapper.ancestors().nth(2).unwrap_or(Path::new("/")).to_owned();
    lay_out(&root, &wrapper, dir, manifest, keyring).map_err(ServerError::io(format!("laying out {}", dir.display())))
}

fn lay_out(root: &Path, wrapper: &Path, dir: &Path, manifest: &str, keyring: &str) -> std::io::Result<PathBuf> {
    let (program, plugins) = (dir.join("usr/sbin/mysqld"), dir.join("usr/lib/mysql/plugin"));
    for made in ["bin", "usr/sbin", "usr/lib/mysql/plugin"] {
        fs::create_dir_all(dir.join(made))?;
    }
    // The wrapper finds everything from its own place; the server looks for its manifest beside itself, through links.
    fs::copy(wrapper, dir.join("bin/mysqld"))?;
    let real = root.join("usr/sbin/mysqld");
    fs::hard_link(&real, &program).or_else(|_| fs::copy(&real, &program).map(|_| ()))?;
    for linked in ["usr/lib64", "usr/lib/x86_64-linux-gnu", "usr/share"] {
        symlink(root.join(linked), dir.join(linked))?;
    }
    for plugin in fs::read_dir(root.join("usr/lib/mysql/plugin"))? {
        let plugin = plugin?;
        symlink(plugin.path(), plugins.join(plugin.file_name()))?;
    }
    fs::write(dir.join("usr/sbin/mysqld.my"), manifest)?;
    fs::write(plugins.join("component_keyring_file.cnf"), keyring)?;
    Ok(dir.join("bin/mysqld"))
}
