//! Who a task manager is, and what it uses.

use tidegate_core::{JobId, TaskManagerId, WorkerName};

use crate::{
    control::ProtocolRange,
    convert::{checked, required},
    generated as wire,
    object::DecodeReason,
};

/// Who a task manager is and what it brings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registration {
    /// What it is called. It replaces another of the same name.
    pub task_manager: TaskManagerId,
    /// Drawn anew with each start of its process.
    pub incarnation: u64,
    /// The versions of the protocol that it speaks.
    pub protocol: ProtocolRange,
    /// How many slots it offers, those of its workers included.
    pub slots: u32,
    /// The memory that it and its workers may use, in bytes.
    pub memory_bytes: u64,
    /// What it was compiled for; see [`own_target`](crate::control::Registration::own_target).
    pub target: String,
    /// The release of Tidegate that it is of, for people.
    pub release: String,
    /// The name of its machine.
    pub host_name: String,
    /// The workers that it runs. Whatever is not listed has ended.
    pub workers: Vec<RunningWorker>,
}

/// A worker that a task manager runs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RunningWorker {
    /// The job that it works for.
    pub job: JobId,
    /// What it is called.
    pub worker: WorkerName,
    /// The slots that it has.
    pub slots: u32,
}

/// What a task manager and its workers use.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ResourceUse {
    /// Processor time since the last such message over the time that has passed, in thousandths of a core.
    pub cpu_millicores: u64,
    /// Resident memory of the task manager and its workers, in bytes.
    pub memory_bytes: u64,
    /// What artifacts, working directories and logs occupy, in bytes.
    pub disk_bytes: u64,
    /// What each worker has of it.
    pub workers: Vec<WorkerUse>,
}

/// What a worker uses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkerUse {
    /// The job that it works for.
    pub job: JobId,
    /// What it is called.
    pub worker: WorkerName,
    /// Processor time, as in [`ResourceUse`].
    pub cpu_millicores: u64,
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
}

impl From<&Registration> for wire::TaskManagerRegistration {
    fn from(registration: &Registration) -> Self {
        let running = |worker: &RunningWorker| wire::RunningWorker {
            worker: worker.worker.to_string(),
            job: worker.job.to_string(),
            slots: worker.slots,
        };
        Self {
            task_manager: registration.task_manager.to_string(),
            incarnation: registration.incarnation,
            protocol: Some((&registration.protocol).into()),
            slots: registration.slots,
            memory_bytes: registration.memory_bytes,
            target: registration.target.clone(),
            release: registration.release.clone(),
            host_name: registration.host_name.clone(),
            workers: registration.workers.iter().map(running).collect(),
        }
    }
}

impl TryFrom<wire::TaskManagerRegistration> for Registration {
    type Error = DecodeReason;

    fn try_from(registration: wire::TaskManagerRegistration) -> Result<Self, DecodeReason> {
        let running = |worker: wire::RunningWorker| {
            Ok(RunningWorker {
                job: checked("workers.job", &worker.job, JobId::parse)?,
                worker: checked("workers.worker", &worker.worker, WorkerName::parse)?,
                slots: worker.slots,
            })
        };
        let workers: Result<_, DecodeReason> = registration.workers.into_iter().map(running).collect();
        Ok(Self {
            task_manager: checked(
                "registration.task_manager",
                &registration.task_manager,
                TaskManagerId::parse,
            )?,
            incarnation: registration.incarnation,
            protocol: required("registration.protocol", registration.protocol)?.into(),
            slots: registration.slots,
            memory_bytes: registration.memory_bytes,
            target: registration.target,
            release: registration.release,
            host_name: registration.host_name,
            workers: workers?,
        })
    }
}

impl From<&ResourceUse> for wire::ResourceUse {
    fn from(resources: &ResourceUse) -> Self {
        let worker = |worker: &WorkerUse| wire::WorkerUse {
            job: worker.job.to_string(),
            worker: worker.worker.to_string(),
            cpu_millicores: worker.cpu_millicores,
            memory_bytes: worker.memory_bytes,
        };
        Self {
            cpu_millicores: resources.cpu_millicores,
            memory_bytes: resources.memory_bytes,
            disk_bytes: resources.disk_bytes,
            workers: resources.workers.iter().map(worker).collect(),
        }
    }
}

impl TryFrom<wire::ResourceUse> for ResourceUse {
    type Error = DecodeReason;

    fn try_from(resources: wire::ResourceUse) -> Result<Self, DecodeReason> {
        let worker = |worker: wire::WorkerUse| {
            Ok(WorkerUse {
                job: checked("workers.job", &worker.job, JobId::parse)?,
                worker: checked("workers.worker", &worker.worker, WorkerName::parse)?,
                cpu_millicores: worker.cpu_millicores,
                memory_bytes: worker.memory_bytes,
            })
        };
        let workers: Result<_, DecodeReason> = resources.workers.into_iter().map(worker).collect();
        Ok(Self {
            cpu_millicores: resources.cpu_millicores,
            memory_bytes: resources.memory_bytes,
            disk_bytes: resources.disk_bytes,
            workers: workers?,
        })
    }
}
