//! Random targets, and how many transactions of the log each of them takes in by the documented definition.

use super::History;
use crate::random::Random;

/// What to restore to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Just before a moment, microseconds since 1970.
    Time(u64),
    /// Up to and including a GTID.
    Gtid(String),
    /// Just before a GTID.
    BeforeGtid(String),
    /// Up to a place in the log.
    Position(String, u64),
}

impl History {
    /// The times of the transactions, microseconds since 1970: the commit time where the log has it, else the running maximum
    /// of the stamps in log order.
    pub fn times(&self) -> Vec<u64> {
        let mut newest = 0;
        let time = |logged: &super::Logged| {
            newest = newest.max(u64::from(logged.newest) * 1_000_000);
            logged.committed.unwrap_or(newest)
        };
        self.log.iter().map(time).collect()
    }

    /// How many transactions of the log a target takes in: for a moment all before the first one in log order whose time is
    /// the moment or later.
    ///
    /// # Panics
    ///
    /// When the log has no such GTID or place.
    pub fn taken_in(&self, target: &Target) -> usize {
        let at = |wanted: &dyn Fn(&super::Logged) -> bool| {
            self.log.iter().position(wanted).unwrap_or_else(|| panic!("{target:?} is not in the log"))
        };
        match target {
            Target::Time(moment) => self.times().iter().position(|time| time >= moment).unwrap_or(self.log.len()),
            Target::Gtid(gtid) => at(&|logged| logged.gtid == *gtid) + 1,
            Target::BeforeGtid(gtid) => at(&|logged| logged.gtid == *gtid),
            Target::Position(file, position) => at(&|logged| logged.file == *file && logged.end == *position) + 1,
        }
    }

    /// A moment while a single statement ran that took at least a second, where both sides of the cut show.
    pub fn choose_within_a_statement(&self, from: usize) -> Option<Target> {
        let long = self.slow.iter().filter(|(_, began, ended)| ended - began > 1_000_000);
        let moments = long.flat_map(|(_, began, ended)| {
            [(began + ended) / 2, *began, *ended].map(|moment| Target::Time(moment.div_ceil(1_000_000) * 1_000_000))
        });
        moments.into_iter().find(|target| self.is_sharp(target, from, self.log.len()))
    }

    /// Whether a target takes in more than `from` and fewer than `to` transactions, and rows change on both sides of its cut.
    fn is_sharp(&self, target: &Target, from: usize, to: usize) -> bool {
        let cut = self.taken_in(target);
        from < cut && cut < to && self.shows(cut - 1) && self.shows(cut)
    }

    /// A target of a kind (0 to 3: time, GTID, before a GTID, position) that takes in between `from` and `to` transactions.
    ///
    /// It is chosen where the transactions on both sides of the cut change rows, so that a cut that is off by one shows.
    pub fn choose(&self, random: &mut Random, kind: u64, from: usize, to: usize) -> Target {
        let times = self.times();
        loop {
            let span = u64::try_from(to - from).unwrap_or(1).max(1);
            let index = from + usize::try_from(random.below(span)).unwrap_or(0);
            let logged = &self.log[index];
            let target = match kind {
                0 => {
                    // At the transaction's time, just behind it, and somewhere between.
                    let more = [0, 1, 500_000, random.below(2_000_000)];
                    Target::Time(times[index] + random.pick(&more).copied().unwrap_or(0))
                }
                1 => Target::Gtid(logged.gtid.clone()),
                2 => Target::BeforeGtid(logged.gtid.clone()),
                _ => Target::Position(logged.file.clone(), logged.end),
            };
            if self.is_sharp(&target, from, to) {
                return target;
            }
        }
    }
}
