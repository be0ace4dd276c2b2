//! Everything that was found out about the archive, timeline by timeline.

use super::{Catalog, Finding, archive::Line};
use crate::store::BinlogEntry;

impl Catalog {
    /// What a person should know of the archived binlogs, each with its timeline: gaps, damage, copies, resets. In log
    /// order within a timeline; what concerns two timelines stands at the end.
    pub fn findings(&self) -> Vec<(String, Finding)> {
        let mut findings = Vec::new();
        for line in &self.archive().lines {
            for (place, file) in line.files.iter().enumerate() {
                let entry = &self.binlogs[*file];
                let damage = entry.damaged.as_ref().map(|damage| Finding::Damaged {
                    file: entry.name.clone(),
                    last_good: damage.last_good,
                    what: damage.what.clone(),
                });
                let told = line.told.get(&place).filter(|finding| !self.is_lost(&line.id, finding)).cloned();
                let partial = entry.partial.as_ref().filter(|_| place + 1 == line.files.len());
                let partial =
                    partial.map(|partial| Finding::Partial { file: entry.name.clone(), last_good: partial.last_good });
                let found = damage.or(told).or(partial).into_iter().chain(self.of_copies(line, place));
                findings.extend(found.map(|finding| (line.id.clone(), finding)));
            }
        }
        findings.extend(self.lost_findings());
        findings.extend(self.cut_off());
        findings.extend(self.between_timelines());
        findings
    }

    fn of_copies(&self, line: &Line, place: usize) -> Vec<Finding> {
        let Some(copies) = line.copies.get(&place) else { return Vec::new() };
        if copies.contested {
            // Told with the file before, where there is one.
            let told = |place: usize| matches!(line.told.get(&place), Some(Finding::SameNameOtherContent { .. }));
            let is_told = told(place) || place.checked_sub(1).is_some_and(told);
            return line.contested(&self.binlogs, place).filter(|_| !is_told).into_iter().collect();
        }
        let longest = &self.binlogs[line.files[place]];
        let shorter = copies.others.iter().map(|other| &self.binlogs[*other]);
        let prefix = |copy: &BinlogEntry| Finding::Prefix {
            file: copy.name.clone(),
            stored_as: copy.stored_as.to_string(),
            bytes: copy.good_bytes(),
            of: longest.good_bytes(),
        };
        shorter.filter(|copy| copy.good_bytes() < longest.good_bytes()).map(prefix).collect()
    }
}

/// The timeline of an archived file; what an entry of a basic store does not say is not known.
pub(super) fn timeline_name(entry: &BinlogEntry) -> String {
    entry.timeline.clone().unwrap_or_else(|| "?".to_owned())
}

#[cfg(test)]
mod tests {
    use crate::{
        catalog::sample::{catalog, file, lettered, partial},
        store::{BinlogDamage, BinlogEntry, Digest, KeyPart},
    };

    fn said(binlogs: Vec<BinlogEntry>) -> Vec<String> {
        let findings = catalog(binlogs).findings();
        findings.iter().map(|(timeline, finding)| lettered(&format!("{timeline}: {finding}"))).collect()
    }

    fn again(entry: &BinlogEntry, head: &str) -> BinlogEntry {
        let stored_as = KeyPart::new(format!("{}-{head}", entry.stored_as)).unwrap();
        BinlogEntry { stored_as, head: Some(Digest::of(head.as_bytes())), ..entry.clone() }
    }

    #[test]
    fn each_kind_in_words() {
        let one = file("t1", 1, 1, Some(""), "A:1-5");
        let two = file("t1", 1, 2, Some("A:1-5"), "A:6-10");
        let short = BinlogEntry { stored_as: KeyPart::new("short.gz").unwrap(), ..partial(two.clone()) };
        assert_eq!(said(vec![one.clone(), two.clone()]), [] as [String; 0]);
        assert_eq!(
            said(vec![one.clone(), short.clone(), two.clone()]),
            ["t1: short.gz holds the first 900 of 1000 bytes of bin.000002"]
        );
        assert_eq!(
            said(vec![one.clone(), short]),
            ["t1: bin.000002 was archived while open: its whole transactions end at byte 900"]
        );
        let other = again(&two, "x");
        let three = file("t1", 1, 3, Some("A:1-10"), "A:11-15");
        let stored = "binlog_2025-10-02T14-00Z_bin.000002_t1.gz";
        let contested = format!("t1: the timeline has 2 different files bin.000002: {stored}-x, {stored}");
        // Told where a replay would come to it, and where it would go on from it.
        let all = vec![one.clone(), two.clone(), other.clone(), three];
        assert_eq!(said(all), [contested.clone(), contested.clone()]);
        assert_eq!(said(vec![two.clone(), other]), [contested]);
        let damage = BinlogDamage { what: "checksum mismatch".into(), last_good: 500, unknown: Default::default() };
        assert_eq!(
            said(vec![BinlogEntry { damaged: Some(damage), ..one.clone() }, two.clone()]),
            ["t1: bin.000001 is damaged after byte 500: checksum mismatch"]
        );
        assert_eq!(
            said(vec![one.clone(), file("t2", 1, 1, Some(""), "A:1-3")]),
            ["t2: the server of timeline t1 began anew with bin.000001 (timeline t2)"]
        );
        assert_eq!(
            said(vec![one.clone(), two, file("t2", 2, 4, Some("A:1-3"), "A:4-7")]),
            ["t2: timelines t1 and t2 both hold 4 transactions"]
        );
        // A log that got another name goes on.
        let mut renamed = file("t2", 1, 1, Some("A:1-5"), "A:6-9");
        renamed.name = "log.000001".parse().unwrap();
        assert_eq!(said(vec![one, renamed]), [] as [String; 0]);
    }

    #[test]
    fn the_order_of_archiving_changes_nothing() {
        let mut binlogs: Vec<BinlogEntry> = (1..=9)
            .map(|number| {
                file(
                    "t1",
                    1,
                    number,
                    Some(&format!("A:1-{}", number * 5)),
                    &format!("A:{}-{}", number * 5 + 1, number * 5 + 5),
                )
            })
            .collect();
        binlogs.remove(4);
        let expected = said(binlogs.clone());
        assert_eq!(expected, ["t1: bin.000005 was never archived"]);
        for seed in 1..50_usize {
            let mut key = seed;
            binlogs.sort_by_cached_key(|_| {
                key = key.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                key >> 20
            });
            assert_eq!(said(binlogs.clone()), expected);
        }
    }
}
