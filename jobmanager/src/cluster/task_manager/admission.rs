//! Whether a task manager is let in: a decision, free of effects.

use tidegate_core::Generation;
use tidegate_proto::{
    control::{NoCommonVersion, ProtocolRange},
    taskmanager::Registration,
};

/// The most slots that a task manager may bring: as many as a job may have key groups.
const MAX_SLOTS: u32 = 32_768;
/// The most workers that a task manager may claim to run.
const MAX_WORKERS: usize = 4_096;

/// Why a task manager is not let in.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(
        "the cluster secret is missing or another; start the task manager with the job manager's TIDEGATE_CLUSTER_SECRET"
    )]
    Stranger,
    #[error("the first message must be a registration; {0}")]
    NoRegistration(String),
    #[error(transparent)]
    Protocol(#[from] NoCommonVersion),
    #[error(
        "the task manager has obeyed generation {seen} of the cluster and this job manager is generation {leads}, which is \
         over; point the task manager at the one that took over"
    )]
    Outdated { seen: Generation, leads: Generation },
    #[error(
        "the task manager brings {slots} slots where 1 to {MAX_SLOTS} are taken; configure another number"
    )]
    Slots { slots: u32 },
    #[error("the task manager claims to run {workers} workers where {MAX_WORKERS} are the most")]
    Workers { workers: usize },
    #[error("the job manager is starting or ending; attach again later")]
    NotReady,
}

/// The version of the protocol to speak with a task manager that has obeyed generation `seen`.
pub(crate) fn admit(
    seen: Generation,
    leads: Generation,
    registration: &Registration,
) -> Result<u32, Refusal> {
    let version = ProtocolRange::task_manager_control().agree_with(&registration.protocol)?;
    if seen > leads {
        return Err(Refusal::Outdated { seen, leads });
    }
    let slots = registration.slots;
    if !(1..=MAX_SLOTS).contains(&slots) {
        return Err(Refusal::Slots { slots });
    }
    let workers = registration.workers.len();
    if workers > MAX_WORKERS {
        return Err(Refusal::Workers { workers });
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use tidegate_core::TaskManagerId;

    use super::*;

    fn attempt(seen: u64, change: impl FnOnce(&mut Registration)) -> Result<u32, Refusal> {
        let mut registration = Registration {
            task_manager: TaskManagerId::parse("a").unwrap(),
            incarnation: 1,
            protocol: ProtocolRange::task_manager_control(),
            slots: 2,
            memory_bytes: 0,
            target: "x86_64-linux".into(),
            release: "1".into(),
            host_name: "here".into(),
            workers: vec![],
        };
        change(&mut registration);
        admit(Generation(seen), Generation(3), &registration)
    }

    #[test]
    fn a_task_manager_that_fits_is_let_in_at_the_shared_version() {
        for seen in [0, 2, 3] {
            assert_eq!(attempt(seen, |_| {}), Ok(1));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_in_words() {
        for (refused, says) in [
            (attempt(4, |_| {}), "obeyed generation 4"),
            (attempt(0, |it| it.protocol.oldest = 9), "versions 9 to 1"),
            (attempt(0, |it| it.slots = 0), "brings 0 slots"),
            (attempt(0, |it| it.slots = MAX_SLOTS + 1), "brings 32769 slots"),
        ] {
            let text = refused.unwrap_err().to_string();
            assert!(text.contains(says), "{text}");
        }
    }
}
