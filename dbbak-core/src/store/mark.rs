//! The mark that a backup cannot be applied, and what became of it: nothing that was said is overwritten.

use super::ManifestEntry;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One change of a backup's mark, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkChange {
    /// What was done.
    pub change: MarkAct,
    /// When; `None` where an older program did it, which did not write that down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
    /// Who did it, where somebody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why: what showed that the backup cannot be applied, or that it can.
    pub reason: String,
    /// What whoever asked for it says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Members that this program does not know, kept through a rewrite.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// What was done with a mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkAct {
    /// It was set.
    Set,
    /// It was taken off.
    TakenOff,
    /// What a later program calls it, kept through a rewrite. Whether the mark stands says `unusable`.
    #[serde(untagged)]
    Other(String),
}

impl MarkChange {
    /// The mark was set, for a reason.
    pub fn set(at: Option<DateTime<Utc>>, reason: &str) -> Self {
        let reason = reason.to_owned();
        MarkChange { change: MarkAct::Set, at, by: None, reason, note: None, unknown: BTreeMap::new() }
    }
}

impl ManifestEntry {
    /// How often the mark was changed. Of two entries of a backup the one with more changes is of the later generation: a copy from before
    /// a mark does not win over it, nor does a copy with a mark that was taken off since. An older program writes the mark alone, without
    /// noting the change: that is one more.
    pub fn mark_changes(&self) -> usize {
        let noted = self.marks.last().is_some_and(|last| last.change == MarkAct::Set);
        self.marks.len() + usize::from(noted != self.unusable.is_some())
    }

    /// Marks the backup as one that cannot be applied. What was said of it before is kept.
    pub fn mark(&mut self, reason: &str, now: DateTime<Utc>) {
        self.note_what_stands();
        self.marks.push(MarkChange::set(Some(now), reason));
        self.unusable = Some(reason.to_owned());
    }

    /// Takes the mark off. What was said of it is kept.
    pub fn take_mark_off(&mut self, change: MarkChange) {
        self.note_what_stands();
        self.marks.push(change);
        self.unusable = None;
    }

    /// Notes the mark as it stands where whoever wrote it did not.
    fn note_what_stands(&mut self) {
        let noted = self.marks.last().filter(|last| last.change == MarkAct::Set);
        match (&self.unusable, noted) {
            (Some(said), None) => self.marks.push(MarkChange::set(None, said)),
            (None, Some(_)) => self.marks.push(MarkChange {
                change: MarkAct::TakenOff,
                ..MarkChange::set(None, "it was gone, and nothing says why")
            }),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BackupId;

    fn now() -> DateTime<Utc> {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    fn entry() -> ManifestEntry {
        ManifestEntry::basic(BackupId::full("2025-10-02T02-00Z".parse().unwrap()), None)
    }

    fn off(reason: &str) -> MarkChange {
        let by = Some("root on a".to_owned());
        MarkChange { change: MarkAct::TakenOff, by, ..MarkChange::set(Some(now()), reason) }
    }

    /// What a later program writes is no reason to take the entry for damaged, and the mark for gone.
    #[test]
    fn a_change_of_another_kind_is_kept() {
        let mut entry = entry();
        entry.mark("said", now());
        let text = serde_json::to_string(&entry).unwrap().replace(r#""change":"set""#, r#""change":"renewed""#);
        let read: ManifestEntry = serde_json::from_str(&text).unwrap();
        assert_eq!((read.unusable.as_deref(), read.marks.len()), (Some("said"), 1));
        assert_eq!(read.marks[0].change, MarkAct::Other("renewed".into()));
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }

    #[test]
    fn each_change_counts_and_keeps_what_was_said() {
        let mut entry = entry();
        assert_eq!(entry.mark_changes(), 0);
        entry.mark("the tool fell over", now());
        assert_eq!((entry.mark_changes(), entry.unusable.as_deref()), (1, Some("the tool fell over")));
        entry.take_mark_off(off("a trial applied it"));
        assert_eq!((entry.mark_changes(), entry.unusable.as_deref()), (2, None));
        entry.mark("and again", now());
        assert_eq!(entry.mark_changes(), 3);
        let said: Vec<&str> = entry.marks.iter().map(|mark| mark.reason.as_str()).collect();
        assert_eq!(said, ["the tool fell over", "a trial applied it", "and again"]);
        let text = serde_json::to_string(&entry).unwrap();
        assert!(text.contains(r#""change":"taken_off","at":"2026-01-02T03:04:05Z","by":"root on a""#), "{text}");
        assert_eq!(serde_json::from_str::<ManifestEntry>(&text).unwrap(), entry);
    }

    /// A program from before the changes were counted sets the mark, and knows nothing of the list.
    #[test]
    fn a_mark_of_an_older_program_counts_as_a_change() {
        let mut entry = entry();
        entry.unusable = Some("said before".into());
        assert_eq!(entry.mark_changes(), 1);
        entry.take_mark_off(off("a trial applied it"));
        assert_eq!(entry.mark_changes(), 2);
        assert_eq!((entry.marks[0].reason.as_str(), entry.marks[0].at), ("said before", None));
        entry.unusable = Some("by the older one".into());
        assert_eq!(entry.mark_changes(), 3);
        entry.take_mark_off(off("a trial applied it"));
        assert_eq!((entry.mark_changes(), entry.marks.len()), (4, 4));
        // Somebody has taken it off by hand.
        entry.mark("marked", now());
        entry.unusable = None;
        assert_eq!(entry.mark_changes(), 6);
        entry.mark("and again", now());
        assert_eq!((entry.mark_changes(), entry.marks.len()), (7, 7));
    }
}
