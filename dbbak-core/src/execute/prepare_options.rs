//! Gives a prepare an option file of dbbak's own.

use super::{Event, Reporter, error::ExecuteError, files};
use crate::{
    plan::OptionFiles,
    tools::{BackupFileError, MetadataFile, parse_backup_cnf, prepare_options},
};

/// Writes the option files anew that a prepare obeys: what lies in a store is data, and its settings would have the tool
/// load a library, or open a file elsewhere. Doing so twice does no harm.
///
/// # Errors
///
/// [`ExecuteError::BackupFile`] where the file has no `[mysqld]` group; when it cannot be read or written.
pub(super) fn write_option_files(step: &OptionFiles, reporter: &dyn Reporter) -> Result<(), ExecuteError> {
    for dir in &step.dirs {
        let names = files::names_in(dir)?;
        let Some(name) = MetadataFile::BackupCnf.select(&names) else { continue };
        let path = dir.join(name);
        let Some(bytes) = files::read_file(&path)? else { continue };
        let unread =
            |error: BackupFileError| ExecuteError::BackupFile { path: path.clone(), problem: error.to_string() };
        let found = parse_backup_cnf(&bytes).map_err(unread)?;
        let options = prepare_options(&found, &step.keys);
        if !options.left_out.is_empty() {
            let text = format!(
                "the prepare goes without settings of {} that say nothing of the files' format: {}",
                path.display(),
                options.left_out.iter().map(|name| name.escape_debug().to_string()).collect::<Vec<_>>().join(", ")
            );
            reporter.report(&Event::Warning { text: &text });
        }
        files::write_replacing(&path, options.text.as_bytes())?;
    }
    Ok(())
}
