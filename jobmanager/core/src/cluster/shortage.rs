//! Why a job does not have its slots.

use std::{fmt, time::Duration};

use tidegate_core::JobId;

/// What a job waits for, and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shortage {
    /// There are too few free slots of its kind.
    Slots {
        /// How many it needs in all.
        needed: u32,
        /// How many of them it does not have.
        missing: u32,
        /// How many it could have now.
        free: u32,
        /// How many there are in all, free or not.
        total: u32,
        /// What its executable was compiled for, if that matters.
        target: Option<String>,
    },
    /// Another job waits for slots of the same kind, and was there before.
    Turn {
        /// That job.
        ahead: JobId,
        /// How many slots that job still needs.
        missing: u32,
    },
    /// Workers that are being stopped still hold the slots.
    Vacating {
        /// How many are missing.
        missing: u32,
    },
    /// The job manager was started again: the job's own workers may still come back.
    Reattaching {
        /// How many slots have not been heard of.
        missing: u32,
        /// For how long they are waited for.
        patience: Duration,
    },
    /// Its workers end again and again: the next is started after a pause.
    Failing {
        /// How many times in a row.
        failures: u32,
        /// How long the pause is.
        pause: Duration,
        /// How the last one ended.
        reason: String,
    },
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slots {
                needed,
                missing,
                free,
                total,
                target,
            } => {
                let kind = target.as_deref().map(|target| format!(" for {target}"));
                let kind = kind.unwrap_or_default();
                write!(
                    f,
                    "it needs {needed} slots{kind}, {missing} more than it has, and {free} of {total} are free; start \
                     task managers, or end a job"
                )
            }
            Self::Turn { ahead, missing } => write!(
                f,
                "job {ahead} was there before and waits for {missing} slots; start task managers, or end a job"
            ),
            Self::Vacating { missing } => {
                write!(
                    f,
                    "workers that hold the {missing} missing slots are being stopped"
                )
            }
            Self::Reattaching { missing, patience } => write!(
                f,
                "workers with {missing} slots may still run and are waited for, {patience:?} at most"
            ),
            Self::Failing {
                failures,
                pause,
                reason,
            } => write!(
                f,
                "its workers have ended {failures} times in a row, the last one because {reason}; another is started in \
                 {pause:?}"
            ),
        }
    }
}
