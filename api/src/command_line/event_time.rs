//! How far event time has come in a job, and which input holds it back, in words.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime},
};

use tidegate_core::{EventTime, ProcessingTime, TaskId, metrics::WatermarkHolder};
use tidegate_worker::TaskMetricsEntry;

/// The watermarks of a job's tasks at one time.
#[derive(Clone, Debug, Default)]
pub(super) struct Watermarks {
    tasks: BTreeMap<TaskId, TaskWatermark>,
}

#[derive(Clone, Debug)]
struct TaskWatermark {
    chain: String,
    watermark: EventTime,
    held_by: WatermarkHolder,
}

impl Watermarks {
    /// What the tasks say.
    pub(super) fn take(tasks: &[TaskMetricsEntry]) -> Self {
        let tasks = tasks.iter().map(|entry| {
            let task = TaskWatermark {
                chain: entry.name.clone(),
                watermark: entry.metrics.watermark.get(),
                held_by: entry.metrics.watermark_held_by.get(),
            };
            (entry.task, task)
        });
        Self {
            tasks: tasks.collect(),
        }
    }

    /// The task that is furthest behind, the last of them, and who holds it there; `None` if nobody assigns watermarks or
    /// all input has ended.
    pub(super) fn lowest(&self, now: ProcessingTime) -> Option<EventTimeProgress> {
        let is_assigned = self.tasks.values().any(|task| {
            !matches!(
                task.held_by,
                WatermarkHolder::Nobody | WatermarkHolder::Channel { .. }
            )
        });
        let held = self
            .tasks
            .iter()
            .filter(|(_, task)| task.held_by != WatermarkHolder::Nobody)
            .filter(|(id, task)| !self.reads_before_watermarks(**id, task));
        let (last, lowest) = held
            .filter(|_| is_assigned)
            .min_by_key(|(id, task)| (task.watermark, std::cmp::Reverse(**id)))?;
        let watermark = lowest.watermark;
        Some(EventTimeProgress {
            watermark,
            lag: (watermark != EventTime::MIN).then(|| now.since(ProcessingTime(watermark.0))),
            held_by: self.holder(*last),
        })
    }

    /// Whether a task without event time hears a source that has some: it takes a stream from before the place where
    /// watermarks are assigned, such as malformed rows, and waits for nothing.
    fn reads_before_watermarks(&self, id: TaskId, task: &TaskWatermark) -> bool {
        task.watermark == EventTime::MIN
            && self
                .origin(id)
                .is_some_and(|(_, origin)| origin.watermark > EventTime::MIN)
    }

    /// The task whose input a task's watermark waits for in the end: up from channel to channel.
    fn origin(&self, mut id: TaskId) -> Option<(TaskId, &TaskWatermark)> {
        // A graph has no cycles; the bound is for tasks that were looked at one after the other.
        for _ in 0..=self.tasks.len() {
            let task = self.tasks.get(&id)?;
            match task.held_by {
                WatermarkHolder::Channel { vertex, task } => id = TaskId { vertex, index: task },
                _ => return Some((id, task)),
            }
        }
        None
    }

    /// The input that a task's watermark waits for, in words.
    fn holder(&self, id: TaskId) -> String {
        let Some((id, task)) = self.origin(id) else {
            return format!("task {id}");
        };
        let what = match task.held_by {
            WatermarkHolder::Split { split } => format!("split {split}"),
            WatermarkHolder::UnreadSplit { split } => format!("split {split}, not read yet"),
            WatermarkHolder::Input | WatermarkHolder::Channel { .. } => "its own records".to_owned(),
            WatermarkHolder::Nobody if task.watermark == EventTime::MIN => {
                "which assigns no watermarks".to_owned()
            }
            WatermarkHolder::Nobody => "which has not passed on its last one".to_owned(),
        };
        format!("[{}] task {}, {what}", task.chain, id.index)
    }
}

/// How far event time has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct EventTimeProgress {
    watermark: EventTime,
    /// How far the watermark is behind the clock.
    lag: Option<Duration>,
    held_by: String,
}

impl fmt::Display for EventTimeProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event time {}", Day(self.watermark))?;
        if let Some(lag) = self.lag {
            match lag.as_secs() {
                0..60 => write!(f, ", {:.1}s behind", lag.as_secs_f64())?,
                seconds @ 60..86_400 => {
                    let lag = Duration::from_secs(seconds);
                    write!(f, ", {} behind", humantime::format_duration(lag))?;
                }
                seconds => write!(f, ", {} days behind", seconds / 86_400)?,
            }
        }
        write!(f, ", held by {}", self.held_by)
    }
}

/// An event time as a date, where it is one.
struct Day(EventTime);

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// The last second that has a date of four digits for its year.
        const YEAR_9999_S: u64 = 253_402_300_799;
        let since_epoch = u64::try_from(self.0.0).ok().map(Duration::from_millis);
        match since_epoch.filter(|since| since.as_secs() <= YEAR_9999_S) {
            Some(since) => humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + since).fmt(f),
            None => self.0.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::VertexId;

    use super::*;

    fn task(vertex: u32, index: u32, watermark: i64, held_by: WatermarkHolder) -> (TaskId, TaskWatermark) {
        let id = TaskId {
            vertex: VertexId(vertex),
            index,
        };
        let task = TaskWatermark {
            chain: ["flights", "delays", "names"][vertex as usize].to_owned(),
            watermark: EventTime(watermark),
            held_by,
        };
        (id, task)
    }

    fn channel(vertex: u32, task: u32) -> WatermarkHolder {
        WatermarkHolder::Channel {
            vertex: VertexId(vertex),
            task,
        }
    }

    fn line(tasks: impl IntoIterator<Item = (TaskId, TaskWatermark)>) -> Option<String> {
        let marks = Watermarks {
            tasks: tasks.into_iter().collect(),
        };
        let now = ProcessingTime(1_420_070_405_500);
        marks.lowest(now).map(|lowest| lowest.to_string())
    }

    #[test]
    fn the_split_that_holds_the_last_task_is_named() {
        let split = |split| WatermarkHolder::Split { split };
        assert_eq!(
            line([
                task(0, 0, 1_420_070_404_000, split(4)),
                task(0, 1, 1_420_070_400_000, split(7)),
                task(1, 0, 1_420_070_400_000, channel(0, 1)),
            ])
            .as_deref(),
            Some("event time 2015-01-01T00:00:00Z, 5.5s behind, held by [flights] task 1, split 7")
        );
        let unread = WatermarkHolder::UnreadSplit { split: 2 };
        assert_eq!(
            line([task(0, 0, i64::MIN, unread), task(1, 0, i64::MIN, channel(0, 0))]).as_deref(),
            Some("event time -∞, held by [flights] task 0, split 2, not read yet")
        );
    }

    #[test]
    fn an_input_without_watermarks_is_named() {
        assert_eq!(
            line([
                task(0, 0, 1_420_070_404_000, WatermarkHolder::Input),
                task(2, 0, i64::MIN, WatermarkHolder::Nobody),
                task(1, 0, i64::MIN, channel(2, 0)),
            ])
            .as_deref(),
            Some("event time -∞, held by [names] task 0, which assigns no watermarks")
        );
    }

    #[test]
    fn what_is_taken_from_before_the_watermarks_holds_nothing() {
        let split = WatermarkHolder::Split { split: 0 };
        assert_eq!(
            line([
                task(0, 0, 1_420_070_400_000, split),
                task(1, 0, 1_420_070_400_000, channel(0, 0)),
                task(2, 0, i64::MIN, channel(0, 0)),
            ])
            .as_deref(),
            Some("event time 2015-01-01T00:00:00Z, 5.5s behind, held by [flights] task 0, split 0")
        );
    }

    #[test]
    fn a_job_without_event_time_says_nothing() {
        assert_eq!(
            line([
                task(0, 0, i64::MIN, WatermarkHolder::Nobody),
                task(1, 0, i64::MIN, channel(0, 0))
            ]),
            None
        );
        assert_eq!(line([]), None);
    }

    #[test]
    fn a_long_lag_is_told_in_large_units() {
        for (watermark, lag) in [
            (0, "16436 days"),
            (1_420_070_405_500 - 3_725_000, "1h 2m 5s"),
            (1_420_070_405_500 + 1000, "0.0s"),
        ] {
            let line = line([task(0, 0, watermark, WatermarkHolder::Input)]).unwrap_or_default();
            assert!(line.contains(&format!(", {lag} behind, held by")), "{line}");
        }
    }
}
