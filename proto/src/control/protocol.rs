//! Which versions of a protocol somebody speaks.

use std::fmt;

use crate::generated as wire;

/// The versions of a protocol that somebody speaks, by its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProtocolRange {
    /// The protocol.
    pub name: String,
    /// The oldest version.
    pub oldest: u32,
    /// The newest version.
    pub newest: u32,
}

/// Two parties that share no version of a protocol.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the {} speaks {other} and the job manager {job_manager}; {}", .job_manager.party(), .job_manager.remedy())]
pub struct NoCommonVersion {
    /// What the worker or the task manager speaks.
    pub other: ProtocolRange,
    /// What the job manager speaks.
    pub job_manager: ProtocolRange,
}

/// The protocol between task managers and job managers.
const TASK_MANAGER: &str = "tidegate.taskmanager";

impl ProtocolRange {
    /// What this build speaks between workers and job managers.
    pub fn worker_control() -> Self {
        Self {
            name: "tidegate.worker".to_owned(),
            oldest: 1,
            newest: 1,
        }
    }

    /// What this build speaks between task managers and job managers.
    pub fn task_manager_control() -> Self {
        Self {
            name: TASK_MANAGER.to_owned(),
            oldest: 1,
            newest: 1,
        }
    }

    fn party(&self) -> &'static str {
        if self.name == TASK_MANAGER {
            "task manager"
        } else {
            "worker"
        }
    }

    fn remedy(&self) -> &'static str {
        if self.name == TASK_MANAGER {
            "install releases of tidegate that share a version on both machines"
        } else {
            "build the job again with a release of tidegate that shares a version with the job manager's"
        }
    }

    /// The newest version that a job manager, which speaks this, shares with a worker or a task manager.
    ///
    /// # Errors
    /// If there is none, or they speak of different protocols.
    pub fn agree_with(&self, other: &Self) -> Result<u32, NoCommonVersion> {
        let newest = self.newest.min(other.newest);
        if self.name != other.name || newest < self.oldest.max(other.oldest) {
            return Err(NoCommonVersion {
                other: other.clone(),
                job_manager: self.clone(),
            });
        }
        Ok(newest)
    }
}

impl From<&ProtocolRange> for wire::ProtocolRange {
    fn from(range: &ProtocolRange) -> Self {
        Self {
            name: range.name.clone(),
            oldest: range.oldest,
            newest: range.newest,
        }
    }
}

impl From<wire::ProtocolRange> for ProtocolRange {
    fn from(range: wire::ProtocolRange) -> Self {
        Self {
            name: range.name,
            oldest: range.oldest,
            newest: range.newest,
        }
    }
}

impl fmt::Display for ProtocolRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, oldest, newest } = self;
        if oldest == newest {
            write!(f, "{name} version {oldest}")
        } else {
            write!(f, "{name} versions {oldest} to {newest}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(name: &str, oldest: u32, newest: u32) -> ProtocolRange {
        let name = name.to_owned();
        ProtocolRange { name, oldest, newest }
    }

    #[test]
    fn the_newest_shared_version_is_agreed_on() {
        let job_manager = range("tidegate.worker", 2, 4);
        let cases = [
            (range("tidegate.worker", 1, 1), None),
            (range("tidegate.worker", 1, 2), Some(2)),
            (range("tidegate.worker", 1, 9), Some(4)),
            (range("tidegate.worker", 3, 3), Some(3)),
            (range("tidegate.worker", 5, 6), None),
            (range("tidegate.worker", 4, 3), None),
            (range("another", 2, 4), None),
        ];
        for (worker, version) in cases {
            assert_eq!(job_manager.agree_with(&worker).ok(), version, "{worker}");
        }
    }

    #[test]
    fn a_refusal_names_both_ranges() {
        let error = range("tidegate.worker", 2, 4)
            .agree_with(&range("tidegate.worker", 1, 1))
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("the worker speaks tidegate.worker version 1"),
            "{text}"
        );
        assert!(
            text.contains("the job manager tidegate.worker versions 2 to 4"),
            "{text}"
        );
    }
}
