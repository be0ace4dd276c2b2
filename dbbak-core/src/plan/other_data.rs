//! What a plan says of a window in which the server's data files became others, while its binlogs went on.

use super::select::Window;
use crate::{
    catalog::{Backup, data_between},
    store::DataState,
};

/// Warnings, one for each place. Next to each other archived files tell it of themselves, and of data that went back the archive is broken
/// there; here the backup's own data are looked at too, and files between which some do not tell.
pub(super) fn of_window(window: &Window<'_>, backup: &Backup) -> Vec<String> {
    // Its LSN may be that of a private server, as a clone's is.
    let server = backup.entry.server.as_ref();
    let own = DataState {
        born: server.and_then(|server| server.data_born),
        restored: server.and_then(|server| server.restored),
        ..DataState::default()
    };
    let from = window.coordinates.place();
    let mut seen = Some((&window.coordinates.file, &own, None));
    let mut told = Vec::new();
    for segment in window.segments(&from) {
        for (entry, data) in segment.files.iter().filter_map(|entry| Some((entry, entry.data.as_ref()?))) {
            let before = seen.filter(|(name, ..)| **name != entry.name);
            let found = before.and_then(|(name, before, ending)| {
                data_between((name, Some(before)), ending, (&entry.name, Some(data)))
            });
            told.extend(found.map(|finding| finding.to_string()));
            seen = Some((&entry.name, data, entry.ending));
        }
        // The next one is of another server.
        seen = None;
    }
    told
}
