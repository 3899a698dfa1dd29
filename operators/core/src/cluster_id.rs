//! Identities of what a cluster is made of. They become parts of paths and object names, so that each is checked where
//! it enters: an id of one of these types holds no separator, no blank, no leading dot, and is not too long.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::id::JobId;

/// How long the name of a task manager may be, in bytes.
const MAX_TASK_MANAGER: usize = 64;
/// How long the name of a worker may be, in bytes: a task manager's, a hyphen and a number.
const MAX_WORKER: usize = MAX_TASK_MANAGER + 21;
/// The digits of a job's id in a cluster.
const JOB_DIGITS: usize = 32;
/// The digits of an artifact's id: SHA-256.
const ARTIFACT_DIGITS: usize = 64;

/// A text that is not the id it should be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text:?} is no {of}; expected {expected}")]
pub struct InvalidId {
    /// What it should be the id of.
    pub of: &'static str,
    /// The text, or its beginning.
    pub text: String,
    /// What is taken.
    pub expected: String,
}

impl InvalidId {
    fn new(of: &'static str, text: &str, expected: String) -> Self {
        let text = text.chars().take(2 * MAX_TASK_MANAGER).collect();
        Self { of, text, expected }
    }
}

macro_rules! checked_id {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a text as the id.
            ///
            /// # Errors
            /// If it is none.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                $check(text)?;
                Ok(Self(text.into()))
            }

            /// The id as a text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text)
            }
        }
    };
}

checked_id! {
    /// A task manager: 1 to 64 of `A-Z a-z 0-9 . _ -`, not a dot at the beginning. It stays the same when the process is
    /// started again.
    TaskManagerId, task_manager_id
}
checked_id! {
    /// A worker process of a job: `<task manager>-<number>`, used once only. As a task manager's id, a little longer.
    WorkerName, worker_name
}
checked_id! {
    /// An executable: the SHA-256 of its bytes, as 64 lower-case hexadecimal digits.
    ArtifactId, artifact_id
}

impl JobId {
    /// Takes a text as the id of a job in a cluster: 32 lower-case hexadecimal digits. A job that runs by itself has its
    /// name for an id, which [`new`](Self::new) takes as it is.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        hexadecimal("job id", text, JOB_DIGITS)?;
        Ok(Self::new(text))
    }
}

impl WorkerName {
    /// The name of a task manager's worker with a number that it has not used before.
    pub fn of(task_manager: &TaskManagerId, number: u64) -> Self {
        Self(format!("{task_manager}-{number}").into())
    }
}

fn task_manager_id(text: &str) -> Result<(), InvalidId> {
    portable("task manager id", text, MAX_TASK_MANAGER)
}

fn worker_name(text: &str) -> Result<(), InvalidId> {
    portable("worker name", text, MAX_WORKER)
}

fn artifact_id(text: &str) -> Result<(), InvalidId> {
    hexadecimal("artifact id", text, ARTIFACT_DIGITS)
}

fn portable(of: &'static str, text: &str, longest: usize) -> Result<(), InvalidId> {
    let fits = (1..=longest).contains(&text.len())
        && !text.starts_with('.')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    if fits {
        return Ok(());
    }
    let expected = format!("1 to {longest} letters, digits, dots, hyphens and underscores, not a dot first");
    Err(InvalidId::new(of, text, expected))
}

fn hexadecimal(of: &'static str, text: &str, digits: usize) -> Result<(), InvalidId> {
    let fits = text.len() == digits
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'));
    if fits {
        return Ok(());
    }
    let expected = format!("{digits} lower-case hexadecimal digits");
    Err(InvalidId::new(of, text, expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_leave_its_folder_is_no_id() {
        for text in ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "a\0", "ä", "a\n"] {
            assert!(TaskManagerId::parse(text).is_err(), "{text:?}");
            assert!(WorkerName::parse(text).is_err(), "{text:?}");
            assert!(ArtifactId::parse(text).is_err(), "{text:?}");
            assert!(JobId::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn lengths_are_bounded() {
        assert!(TaskManagerId::parse(&"a".repeat(64)).is_ok());
        assert!(TaskManagerId::parse(&"a".repeat(65)).is_err());
        assert!(JobId::parse(&"0f".repeat(16)).is_ok());
        assert!(JobId::parse(&"0F".repeat(16)).is_err());
        assert!(JobId::parse(&"0f".repeat(17)).is_err());
        assert!(ArtifactId::parse(&"0f".repeat(32)).is_ok());
        assert!(ArtifactId::parse(&"0g".repeat(32)).is_err());
        let long = WorkerName::parse(&"a".repeat(10_000)).unwrap_err();
        assert!(long.to_string().len() < 300, "{long}");
    }

    #[test]
    fn the_name_of_a_worker_is_always_one() {
        let task_manager = TaskManagerId::parse(&"a".repeat(64)).unwrap();
        let worker = WorkerName::of(&task_manager, u64::MAX);
        assert_eq!(WorkerName::parse(worker.as_str()), Ok(worker));
    }
}
