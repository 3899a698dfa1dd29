//! What holds up a worker's part of a checkpoint: which task, and which channel, operator or write it waits for.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::id::{OperatorUid, TaskId};

/// How many stragglers a description names; of the others it gives the number.
const NAMED_STRAGGLERS: usize = 8;
/// How many upstream tasks a straggler's description names; of the others it gives the number.
const NAMED_CHANNELS: usize = 4;

/// A task with the name of its chain, for people.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NamedTask {
    /// The task.
    pub task: TaskId,
    /// The names of its operators, joined.
    pub name: String,
}

impl fmt::Display for NamedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {} ({})", self.task, self.name)
    }
}

/// An input channel whose barrier has not come.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MissingBarrier {
    /// The edge among those into the task, from 0.
    pub input: u32,
    /// The task at the other end.
    pub from: NamedTask,
}

/// What a worker's part of a checkpoint waits for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Holdup {
    /// Tasks have not done their part; none, if the last has done it while this was found out.
    Tasks(Vec<Straggler>),
    /// The staged output of sinks is being made durable.
    StagedOutput(Vec<OperatorUid>),
    /// The worker's segments are being written.
    Segments,
}

impl fmt::Display for Holdup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tasks(stragglers) => {
                for (place, straggler) in stragglers.iter().take(NAMED_STRAGGLERS).enumerate() {
                    let separator = if place > 0 { "; " } else { "" };
                    write!(f, "{separator}{straggler}")?;
                }
                match stragglers.len() {
                    0 => f.write_str("its tasks had done their part by the time they were asked"),
                    count if count > NAMED_STRAGGLERS => {
                        write!(f, "; {} more of its tasks wait", count - NAMED_STRAGGLERS)
                    }
                    _ => Ok(()),
                }
            }
            Self::StagedOutput(sinks) => {
                let sinks: Vec<_> = sinks.iter().map(|sink| format!("{:?}", sink.as_str())).collect();
                write!(
                    f,
                    "the staged output of {} is being made durable",
                    sinks.join(", ")
                )
            }
            Self::Segments => f.write_str("its segments are being written"),
        }
    }
}

/// A task that has not done its part of a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Straggler {
    /// The task.
    pub task: NamedTask,
    /// Why it has not.
    pub waits_for: WaitsFor,
}

/// What a task's part of a checkpoint waits for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum WaitsFor {
    /// The barrier has not come on these channels, of which there is at least one.
    Barriers {
        /// The channels.
        missing: Vec<MissingBarrier>,
        /// How many channels the task has in all.
        channels: u32,
    },
    /// What it has emitted finds no room at its consumer.
    Room {
        /// The name of the consumer's chain.
        consumer: String,
    },
    /// It has room and its barrier, and works on what came before.
    Turn,
    /// Its thread, which does not answer.
    Thread {
        /// The task that holds the thread, if one does.
        holder: Option<NamedTask>,
        /// The operator that the holder was last seen in.
        operator: Option<OperatorUid>,
        /// For how long the thread has been held.
        held_for: Duration,
    },
    /// Its state is frozen and being serialised.
    Serialisation,
}

impl fmt::Display for Straggler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} waits for {}", self.task, self.waits_for)
    }
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Barriers { missing, channels } => {
                f.write_str("the barrier from ")?;
                for (place, MissingBarrier { input, from }) in missing.iter().take(NAMED_CHANNELS).enumerate()
                {
                    let comma = if place > 0 { ", " } else { "" };
                    write!(f, "{comma}{from} on input {input}")?;
                }
                if let Some(more) = missing.len().checked_sub(NAMED_CHANNELS).filter(|more| *more > 0) {
                    write!(f, " and {more} more")?;
                }
                write!(f, ", {} of its {channels} channels", missing.len())
            }
            Self::Room { consumer } => write!(f, "room at its consumer ({consumer})"),
            Self::Turn => f.write_str("its turn, after what came before the barrier"),
            Self::Thread {
                holder,
                operator,
                held_for,
            } => {
                f.write_str("its thread, which ")?;
                match holder {
                    Some(holder) => write!(f, "{holder} has held")?,
                    None => f.write_str("has not answered")?,
                }
                write!(f, " for {held_for:.1?}")?;
                match operator {
                    Some(operator) => write!(f, " in operator {:?}", operator.as_str()),
                    None => Ok(()),
                }
            }
            Self::Serialisation => f.write_str("its state to be serialised"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::VertexId;

    fn named(vertex: u32, index: u32, name: &str) -> NamedTask {
        let vertex = VertexId(vertex);
        NamedTask {
            task: TaskId { vertex, index },
            name: name.into(),
        }
    }

    #[test]
    fn a_straggler_says_which_task_and_which_channel() {
        let missing = |count| {
            (0..count)
                .map(|index| MissingBarrier {
                    input: 1,
                    from: named(0, index, "numbers"),
                })
                .collect()
        };
        let cases = [
            (
                WaitsFor::Barriers {
                    missing: missing(1),
                    channels: 3,
                },
                "the barrier from task 0[0] (numbers) on input 1, 1 of its 3 channels",
            ),
            (
                WaitsFor::Barriers {
                    missing: missing(6),
                    channels: 6,
                },
                "the barrier from task 0[0] (numbers) on input 1, task 0[1] (numbers) on input 1, \
                 task 0[2] (numbers) on input 1, task 0[3] (numbers) on input 1 and 2 more, 6 of its 6 channels",
            ),
            (
                WaitsFor::Room {
                    consumer: "sums".into(),
                },
                "room at its consumer (sums)",
            ),
            (
                WaitsFor::Thread {
                    holder: Some(named(0, 0, "numbers → slow")),
                    operator: Some("slow".into()),
                    held_for: Duration::from_millis(1500),
                },
                "its thread, which task 0[0] (numbers → slow) has held for 1.5s in operator \"slow\"",
            ),
        ];
        for (waits_for, words) in cases {
            let straggler = Straggler {
                task: named(1, 2, "sums"),
                waits_for,
            };
            assert_eq!(
                straggler.to_string(),
                format!("task 1[2] (sums) waits for {words}")
            );
        }
    }

    #[test]
    fn a_holdup_names_so_many_tasks_and_counts_the_others() {
        let straggler = |index| Straggler {
            task: named(1, index, "sums"),
            waits_for: WaitsFor::Serialisation,
        };
        let text = |count| Holdup::Tasks((0..count).map(straggler).collect()).to_string();
        assert!(text(0).contains("had done their part"));
        assert_eq!(text(1), "task 1[0] (sums) waits for its state to be serialised");
        assert!(text(8).ends_with("task 1[7] (sums) waits for its state to be serialised"));
        assert!(text(11).ends_with("serialised; 3 more of its tasks wait"));
        let staged = Holdup::StagedOutput(vec!["a".into(), "b".into()]);
        assert_eq!(
            staged.to_string(),
            "the staged output of \"a\", \"b\" is being made durable"
        );
    }
}
