//! The names of staged and of published files. Pure.

use serde::{Deserialize, Serialize};
use tidegate_core::{Epoch, Lineage, OperatorUid};

/// Where files are staged: hidden, so that readers of the folder pass over it, and in the same store, so that a file can
/// be published without being sent again.
const STAGING: &str = ".staging";

/// Which staged file of a sink it is: never the same for two attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct PartId {
    pub(super) attempt: u32,
    pub(super) task: u32,
    /// Counts the parts of a task within an attempt.
    pub(super) part: u64,
}

/// Where a sink stages files, within the folder of the published ones.
pub(super) fn staging(lineage: &Lineage, uid: &OperatorUid) -> String {
    format!("{STAGING}/{}/{}", safe(lineage.as_str()), safe(uid.as_str()))
}

impl PartId {
    pub(super) fn name(self) -> String {
        format!("{}-{}-{}.part", self.attempt, self.task, self.part)
    }

    /// The part that has this name, if it is one's.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut numbers = name.strip_suffix(".part")?.split('-');
        let id = Self {
            attempt: numbers.next()?.parse().ok()?,
            task: numbers.next()?.parse().ok()?,
            part: numbers.next()?.parse().ok()?,
        };
        (id.name() == name).then_some(id)
    }
}

/// The final name of the `n`th file of a task's output in an epoch.
pub(super) fn published(
    lineage: &Lineage,
    uid: &OperatorUid,
    epoch: Epoch,
    task: u32,
    n: usize,
    extension: &str,
) -> String {
    let (lineage, uid) = (safe(lineage.as_str()), safe(uid.as_str()));
    format!("part-{lineage}-{uid}-{epoch}-{task}-{n}.{extension}")
}

/// A name with everything that means something to a path replaced by its code, so that no two names become one.
fn safe(name: &str) -> String {
    let mut safe = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => safe.push(char::from(byte)),
            _ => safe.push_str(&format!("%{byte:02x}")),
        }
    }
    if safe.is_empty() { "%".into() } else { safe }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_directory_or_meet() {
        let uids = ["a", "a/b", "../x", "..", "", "%2e", "a.b", "A", "ü"];
        let mut names: Vec<String> = uids.iter().map(|uid| safe(uid)).collect();
        assert!(
            names
                .iter()
                .all(|name| !name.contains(['/', '.']) && !name.is_empty())
        );
        names.sort();
        names.dedup();
        assert_eq!(names.len(), uids.len());
    }

    #[test]
    fn part_names_are_read_back_and_others_are_not() {
        let id = PartId {
            attempt: 3,
            task: 14,
            part: 1_000_000,
        };
        assert_eq!(PartId::parse(&id.name()), Some(id));
        for other in [
            "",
            "1-2.part",
            "1-2-3-4.part",
            "01-2-3.part",
            "1-2-3",
            "1-2-3.part~",
            "-1-2-3.part",
        ] {
            assert_eq!(PartId::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_published_name_says_whose_it_is() {
        let name = published(&"run".into(), &"delays".into(), Epoch(7), 2, 0, "jsonl");
        assert_eq!(name, "part-run-delays-7-2-0.jsonl");
    }
}
