//! How far windows have fired, key group by key group.
//!
//! Windows fire in the order of their ends, and a window fires key group by key group; a large key group in the order of
//! its keys' hashes. So how far a firing has come is known by three things: the window, the key group, and how far
//! within it. That is all a snapshot has to hold for a restore to go on where it was, at any parallelism.

use serde::{Deserialize, Serialize};
use tidegate_core::{
    KeyGroup, KeyGroupRange,
    bug::{Bug, is_seeded},
    snapshot::{OperatorState, RestoredState, StateError},
};
use tidegate_state::codec;

/// The name of the state within its operator.
const STATE: &str = "firing";

/// How far the windows of one key group have fired.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Fired {
    /// The windows that end here or before have.
    pub(super) through: i64,
    /// Of the next one, keys with rows up to this tail have.
    pub(super) within: Option<u32>,
}

/// How far the windows of a task have fired.
#[derive(Debug)]
pub(super) enum Firing {
    /// Up to here, in all key groups.
    Settled {
        /// The windows that end here or before have fired.
        through: i64,
    },
    /// Some are to fire.
    Running(Running),
}

/// A firing under way.
#[derive(Debug)]
pub(super) struct Running {
    /// The windows whose last millisecond is not after this are to fire.
    pub(super) target: i64,
    /// One per key group of the task.
    pub(super) groups: Vec<Fired>,
    /// All windows up to here have fired in all key groups.
    pub(super) after: i64,
    /// The window that is firing, by its end, and the key group.
    pub(super) at: Option<(i64, usize)>,
    /// Where `after` was at the beginning.
    since: i64,
}

/// What a task's snapshot says.
#[derive(Serialize, Deserialize)]
struct Saved {
    /// The target of a firing under way.
    target: Option<i64>,
    /// Runs of key groups that have come equally far.
    runs: Vec<SavedRun>,
}

#[derive(Serialize, Deserialize)]
struct SavedRun {
    groups: KeyGroupRange,
    fired: Fired,
}

impl Firing {
    pub(super) fn new() -> Self {
        Self::Settled { through: i64::MIN }
    }

    /// How far time has come, as far as windows have been told.
    pub(super) fn time(&self) -> i64 {
        match self {
            Self::Settled { through: i64::MIN } => i64::MIN,
            // After everything: nothing is added to it.
            Self::Settled { through: i64::MAX } => i64::MAX,
            Self::Settled { through } => through - 1,
            Self::Running(running) => running.target,
        }
    }

    /// All windows that end here or before have fired.
    pub(super) fn through(&self) -> i64 {
        match self {
            Self::Settled { through } => *through,
            Self::Running(running) => running.after,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self, Self::Running(_))
    }

    /// Nothing more is to fire up to `time`.
    pub(super) fn settle(&mut self, time: i64) {
        let through = time.max(self.time()).saturating_add(1);
        *self = Self::Settled { through };
    }

    /// Lets all windows fire whose last millisecond is not after `time`.
    pub(super) fn start(&mut self, time: i64, key_groups: usize) {
        match self {
            Self::Settled { through } => {
                let fired = Fired {
                    through: *through,
                    within: None,
                };
                *self = Self::Running(Running::new(time, vec![fired; key_groups]));
            }
            Self::Running(running) => running.target = running.target.max(time),
        }
    }

    /// What a task with these key groups has to remember.
    pub(super) fn snapshot(&self, groups: KeyGroupRange) -> Result<OperatorState, StateError> {
        let mut runs: Vec<SavedRun> = Vec::new();
        for (index, group) in groups.iter().enumerate() {
            let fired = self.of_group(index);
            match runs.last_mut() {
                Some(run) if run.fired == fired => run.groups.end = group.0 + 1,
                _ => runs.push(SavedRun {
                    groups: KeyGroupRange {
                        start: group.0,
                        end: group.0 + 1,
                    },
                    fired,
                }),
            }
        }
        let target = match self {
            Self::Settled { .. } => None,
            Self::Running(running) => Some(running.target),
        };
        let mut bytes = Vec::new();
        codec::encode(&Saved { target, runs }, &mut bytes).map_err(|error| StateError::Unserialisable {
            state: STATE.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(OperatorState {
            name: STATE.to_owned(),
            schema: None,
            bytes,
        })
    }

    fn of_group(&self, index: usize) -> Fired {
        match self {
            Self::Settled { through } => Fired {
                through: *through,
                within: None,
            },
            Self::Running(running) if is_seeded(Bug::RepeatFiring) => Fired {
                through: running.since,
                within: None,
            },
            Self::Running(running) => running.groups[index],
        }
    }

    /// What former tasks had to remember, for a task with these key groups.
    pub(super) fn restore(state: &RestoredState, own: KeyGroupRange) -> Result<Self, StateError> {
        let mut groups = vec![None; own.len()];
        let mut target = None;
        for piece in state.named(STATE) {
            let saved: Saved =
                codec::decode(&mut piece.bytes.as_slice()).map_err(|error| StateError::Corrupt {
                    state: STATE.to_owned(),
                    offset: 0,
                    reason: error.to_string(),
                })?;
            for run in &saved.runs {
                let known = run.groups.start.max(own.start)..run.groups.end.min(own.end);
                for group in known.map(KeyGroup) {
                    groups[usize::from(group.0 - own.start)] = Some(run.fired);
                }
                let reached = (run.fired.through > i64::MIN).then(|| run.fired.through.saturating_sub(1));
                target = target.max(reached);
            }
            target = target.max(saved.target);
        }
        let Some(target) = target else {
            return Ok(Self::new());
        };
        // A key group of which nobody knows anything holds nothing.
        let settled = Fired {
            through: target.saturating_add(1),
            within: None,
        };
        let groups: Vec<_> = groups.into_iter().map(|group| group.unwrap_or(settled)).collect();
        Ok(if groups.iter().all(|group| *group == settled) {
            Self::Settled {
                through: settled.through,
            }
        } else {
            Self::Running(Running::new(target, groups))
        })
    }
}

impl Running {
    fn new(target: i64, groups: Vec<Fired>) -> Self {
        let after = groups.iter().map(|group| group.through).min().unwrap_or(target);
        Self {
            target,
            groups,
            after,
            at: None,
            since: after,
        }
    }
}
