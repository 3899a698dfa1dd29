//! Whether a worker is let in: a decision, free of effects.

use tidegate_core::{Generation, InvalidId, JobId};
use tidegate_driver::NewcomerError;
use tidegate_proto::control::{NoCommonVersion, ProtocolRange, Registration};

/// The most slots that a worker may bring: as many as a job may have key groups.
const MAX_SLOTS: u32 = 32_768;

/// Why a worker is not let in.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// It does not know the cluster secret.
    #[error(
        "the cluster secret is missing or another; start the worker with the job manager's TIDEGATE_CLUSTER_SECRET"
    )]
    Stranger,
    /// It said nothing, or something else, where its registration was expected.
    #[error("the first message must be a registration; {0}")]
    NoRegistration(String),
    /// The job is not here.
    #[error(
        "job \"{job}\" is not run by this job manager; start the worker with the job's own name and address"
    )]
    UnknownJob {
        /// Which it asked for.
        job: JobId,
    },
    /// The job is here and has ended.
    #[error("job \"{job}\" is {state}; it takes no workers any more")]
    JobEnded {
        /// Which.
        job: JobId,
        /// How it ended.
        state: String,
    },
    /// The two share no version of the protocol.
    #[error(transparent)]
    Protocol(#[from] NoCommonVersion),
    /// The worker has been told of a later coordinator.
    #[error(
        "worker {worker:?} has obeyed generation {seen} of job \"{job}\" and this coordinator is generation {leads}, which is \
         over; attach it to the one that took over"
    )]
    Outdated {
        /// The worker.
        worker: String,
        /// The job.
        job: JobId,
        /// What the worker has been told of.
        seen: Generation,
        /// What this coordinator is.
        leads: Generation,
    },
    /// The worker was given up, and its place may be taken.
    #[error("worker {worker:?} of job \"{job}\" was given up; it ends, and another is started in its place")]
    GivenUp {
        /// The worker.
        worker: String,
        /// The job.
        job: JobId,
    },
    /// The worker's executable builds another graph.
    #[error(
        "worker {worker:?} builds graph {builds:016x} and job \"{job}\" runs graph {runs:016x}; start the worker from the job's \
         executable with the job's arguments"
    )]
    Graph {
        /// The worker.
        worker: String,
        /// The job.
        job: JobId,
        /// The fingerprint of what it builds.
        builds: u64,
        /// The fingerprint of what the job runs.
        runs: u64,
    },
    /// The worker's executable is for another kind of machine.
    #[error(
        "worker {worker:?} was compiled for {brings} and job \"{job}\" for {wants}; start the worker from the job's executable"
    )]
    Target {
        /// The worker.
        worker: String,
        /// The job.
        job: JobId,
        /// What the worker was compiled for.
        brings: String,
        /// What the job was compiled for.
        wants: String,
    },
    /// It brings no slots, or more than any job can use.
    #[error(
        "worker {worker:?} brings {slots} slots where 1 to {MAX_SLOTS} are taken; start it with another --slots"
    )]
    Slots {
        /// The worker.
        worker: String,
        /// How many.
        slots: u32,
    },
    /// Its name is none.
    #[error("{0}; start the worker with another --worker")]
    Name(InvalidId),
    /// The job's coordinator does not let it in.
    #[error(transparent)]
    Newcomer(#[from] NewcomerError),
}

/// What a registration is held against.
#[derive(Clone, Debug)]
pub(crate) struct Expectations<'a> {
    pub(crate) job: &'a JobId,
    pub(crate) graph_fingerprint: u64,
    /// `None` takes workers of any.
    pub(crate) target: Option<&'a str>,
    pub(crate) protocol: ProtocolRange,
    /// The generation of the job's coordinator, once it has one.
    pub(crate) leads: Option<Generation>,
}

impl Expectations<'_> {
    /// The version of the protocol to speak with a worker that has obeyed generation `seen` and registers.
    pub(crate) fn admit(&self, seen: Generation, registration: &Registration) -> Result<u32, Refusal> {
        let version = self.protocol.agree_with(&registration.protocol)?;
        let worker = registration.worker.clone();
        let job = self.job.clone();
        if let Some(leads) = self.leads.filter(|leads| seen > *leads) {
            return Err(Refusal::Outdated {
                worker,
                job,
                seen,
                leads,
            });
        }
        if let Some(wants) = self.target.filter(|wants| *wants != registration.target) {
            return Err(Refusal::Target {
                worker,
                job,
                brings: registration.target.clone(),
                wants: wants.to_owned(),
            });
        }
        if registration.graph_fingerprint != self.graph_fingerprint {
            return Err(Refusal::Graph {
                worker,
                job,
                builds: registration.graph_fingerprint,
                runs: self.graph_fingerprint,
            });
        }
        if !(1..=MAX_SLOTS).contains(&registration.slots) {
            return Err(Refusal::Slots {
                worker,
                slots: registration.slots,
            });
        }
        Ok(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration() -> Registration {
        Registration {
            job: "counts".into(),
            worker: "a".into(),
            protocol: ProtocolRange::worker_control(),
            graph_fingerprint: 7,
            data: None,
            slots: 2,
            target: "x86_64-linux".into(),
            running: None,
        }
    }

    fn admit(seen: u64, change: impl FnOnce(&mut Registration)) -> Result<u32, Refusal> {
        let mut registration = registration();
        change(&mut registration);
        let job = "counts".into();
        let expectations = Expectations {
            job: &job,
            graph_fingerprint: 7,
            target: Some("x86_64-linux"),
            protocol: ProtocolRange::worker_control(),
            leads: Some(Generation(5)),
        };
        expectations.admit(Generation(seen), &registration)
    }

    #[test]
    fn a_worker_of_the_job_is_let_in_at_the_shared_version() {
        for seen in [0, 4, 5] {
            assert_eq!(admit(seen, |_| {}), Ok(1));
        }
        assert_eq!(admit(0, |it| it.protocol.newest = 9), Ok(1));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        type Case = (Result<u32, Refusal>, &'static str);
        let cases: [Case; 7] = [
            (admit(6, |_| {}), "generation 6 of job"),
            (
                admit(0, |it| it.protocol.name = "other".into()),
                "other version 1",
            ),
            (
                admit(0, |it| it.protocol.oldest = 2),
                "the worker speaks tidegate.worker versions 2 to 1",
            ),
            (
                admit(0, |it| it.graph_fingerprint = 8),
                "builds graph 0000000000000008",
            ),
            (
                admit(0, |it| it.target = "aarch64-linux".into()),
                "compiled for aarch64-linux",
            ),
            (admit(0, |it| it.slots = 0), "brings 0 slots"),
            (admit(0, |it| it.slots = MAX_SLOTS + 1), "brings 32769 slots"),
        ];
        for (refused, says) in cases {
            let text = refused.unwrap_err().to_string();
            assert!(text.contains(says), "{text}");
        }
    }
}
