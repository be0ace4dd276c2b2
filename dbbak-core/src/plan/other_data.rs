//! What a plan says of a window in which the server's data files became others, while its binlogs went on.

use super::select::Window;
use crate::{
    catalog::{Backup, data_between},
    store::DataState,
};

/// Warnings, one for each place. Next to each other archived files tell it of themselves, and of data that went back the archive is broken
/// there; here the backup's own data are looked at too, and files between which some do not tell.
pub(super) fn of_window(window: &Window<'_>, backup: &Backup) -> Vec<String> {
    let server = backup.entry.server.as_ref();
    let own = DataState {
        born: server.and_then(|server| server.data_born),
        lsn: backup.entry.last_lsn.max(backup.to_lsn),
        ..DataState::default()
    };
    let from = window.coordinates.place();
    let mut seen = Some((&window.coordinates.file, &own));
    let mut told = Vec::new();
    for segment in window.segments(&from) {
        for (file, data) in segment.files.iter().filter_map(|file| Some((&file.name, file.data.as_ref()?))) {
            let before = seen.filter(|(name, _)| *name != file);
            let found = before.and_then(|(name, before)| data_between((name, Some(before)), (file, Some(data))));
            told.extend(found.map(|finding| finding.to_string()));
            seen = Some((file, data));
        }
        // The next one is of another server.
        seen = None;
    }
    told
}
