//! Rules 6 and 8: what is fetched from a server is closed, lies in a directory of the run's own, and is archived at once.

use super::Broken;
use crate::plan::{Plan, Step};

pub(super) fn fetched(plan: &Plan, broken: Broken<'_>) {
    let mut flushed = false;
    for (place, step) in plan.steps.iter().enumerate() {
        flushed |= matches!(step, Step::FlushBinlogs { .. });
        let Step::FetchBinlog(fetch) = step else { continue };
        let name = &fetch.name;
        if fetch.open && !flushed {
            broken(6, format!("{name} is fetched while the server still writes it"));
        }
        let own = |dir: &std::path::PathBuf| fetch.path.parent() == Some(dir);
        let made = plan.steps[..place].iter().any(|step| matches!(step, Step::CreateDir { path } if own(path)));
        if !made || !plan.discard_dirs.iter().any(own) {
            broken(8, format!("{name} is fetched into a directory that is not the run's own"));
        }
        match plan.steps.get(place + 1) {
            Some(Step::ShipBinlog(ship)) if ship.from == fetch.path && ship.entry.name == *name => {}
            _ => broken(6, format!("{name} is fetched, and not archived from there")),
        }
    }
}
