//! Looks now and then at what holds the executors' threads, and names what holds one for too long.
//!
//! Looking costs the threads nothing. A hold is seen from [`HELD_TOO_LONG`] on, and for sure one [`LOOK_INTERVAL`] later;
//! the exact times are in the tasks' [`RunTimes`](tidegate_core::RunTimes).

use std::{collections::HashMap, time::Duration};

use tidegate_core::{OperatorUid, VertexId};

use crate::watch::Hold;

/// From when on a hold is too long.
pub(crate) const HELD_TOO_LONG: Duration = Duration::from_millis(10);
/// How often somebody looks.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// Of one operator there is at most one warning in this time.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// A hold that somebody should know of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Warning {
    pub(crate) hold: Hold,
    /// How many holds of the operator there were since the last warning about it.
    pub(crate) unmentioned: u64,
}

#[derive(Debug)]
struct Told {
    at_ns: u64,
    unmentioned: u64,
}

/// Remembers what it has seen and said.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    /// By slot, the hold that was seen last: when it began.
    seen: HashMap<usize, u64>,
    told: HashMap<(VertexId, Option<OperatorUid>), Told>,
}

impl Watchdog {
    /// Takes a look at a slot.
    pub(crate) fn look(&mut self, slot: usize, hold: Option<Hold>, now_ns: u64) -> Option<Warning> {
        let hold = hold.filter(|hold| hold.held_for >= HELD_TOO_LONG)?;
        if self.seen.insert(slot, hold.since_ns) == Some(hold.since_ns) {
            return None;
        }
        let key = (hold.holder.task.vertex, hold.operator.clone());
        let pause_ns = u64::try_from(WARNING_INTERVAL.as_nanos()).unwrap_or(u64::MAX);
        let unmentioned = match self.told.get_mut(&key) {
            Some(told) if now_ns.saturating_sub(told.at_ns) < pause_ns => {
                told.unmentioned += 1;
                return None;
            }
            Some(told) => told.unmentioned,
            None => 0,
        };
        let told = Told {
            at_ns: now_ns,
            unmentioned: 0,
        };
        self.told.insert(key, told);
        Some(Warning { hold, unmentioned })
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::{NamedTask, TaskId};

    use super::*;

    const MS: u64 = 1_000_000;

    fn hold(operator: &str, since_ms: u64, now_ms: u64) -> Option<Hold> {
        Some(Hold {
            holder: NamedTask {
                task: TaskId {
                    vertex: VertexId(0),
                    index: 0,
                },
                name: "chain".into(),
            },
            operator: Some(operator.into()),
            held_for: Duration::from_millis(now_ms - since_ms),
            since_ns: since_ms * MS,
        })
    }

    #[test]
    fn a_hold_is_told_once_and_an_operator_seldom() {
        // Operator, when it got the thread, when somebody looks, and how many holds went unmentioned if there is a warning.
        let looks = [
            ("slow", 0, 9, None),
            ("slow", 0, 10, Some(0)),
            ("slow", 0, 500, None),
            ("slow", 600, 620, None),
            ("slow", 700, 720, None),
            ("slow", 700, 730, None),
            ("other", 800, 820, Some(0)),
            ("slow", 10_000, 10_011, Some(2)),
            ("slow", 10_020, 10_031, None),
            ("slow", 30_000, 30_010, Some(1)),
        ];
        let mut watchdog = Watchdog::default();
        for (operator, since_ms, now_ms, expected) in looks {
            let warning = watchdog.look(0, hold(operator, since_ms, now_ms), now_ms * MS);
            assert_eq!(
                warning.map(|warning| warning.unmentioned),
                expected,
                "{operator} since {since_ms} at {now_ms}"
            );
        }
        assert_eq!(watchdog.look(0, None, 40_000 * MS), None);
    }
}
