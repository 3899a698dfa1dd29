//! The messages of both directions.

use std::net::SocketAddr;

use tidegate_core::{
    Generation, JobId, RunningAttempt, WorkerId,
    control::{WorkerOrder, WorkerReport},
    metrics::WorkerMeasurement,
};

use super::ProtocolRange;
use crate::{
    convert::{bad, required},
    generated as wire,
    object::DecodeReason,
};

/// What a worker sends.
#[derive(Clone, PartialEq, Debug)]
pub struct FromWorker {
    /// The highest generation that it has been told of; 0 if of none.
    pub generation: Generation,
    /// What it says.
    pub content: WorkerContent,
}

/// What a worker says.
#[derive(Clone, PartialEq, Debug)]
pub enum WorkerContent {
    /// Who it is: the first message, and only the first.
    Registration(Registration),
    /// It is alive.
    Heartbeat,
    /// What has happened.
    Report(WorkerReport),
    /// What it has measured.
    Measurement(WorkerMeasurement),
    /// It ends by itself: the last message.
    Leaving {
        /// Why.
        reason: String,
    },
}

/// Who a worker is and what it brings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registration {
    /// The job that it works for.
    pub job: JobId,
    /// What whoever started the process calls it. A worker replaces another of the job with the same name.
    pub worker: String,
    /// The versions of the protocol that it speaks.
    pub protocol: ProtocolRange,
    /// The fingerprint of the graph that its executable builds.
    pub graph_fingerprint: u64,
    /// Where the job's other workers connect; `None` for a worker that can only be alone.
    pub data: Option<SocketAddr>,
    /// How many executor threads it runs.
    pub slots: u32,
    /// What its executable was compiled for.
    pub target: String,
    /// What it still runs, if it attaches again.
    pub running: Option<RunningAttempt>,
}

/// What a job manager sends.
#[derive(Clone, PartialEq, Debug)]
pub struct ToWorker {
    /// The generation of the job's coordinator.
    pub generation: Generation,
    /// What it says.
    pub directive: WorkerDirective,
}

/// What a job manager says.
#[derive(Clone, PartialEq, Debug)]
pub enum WorkerDirective {
    /// The worker is one of the job's: the first message, and only the first.
    Attached(Attached),
    /// It is alive.
    Heartbeat,
    /// What is to be done.
    Order(WorkerOrder),
}

/// What a worker is told when it is let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attached {
    /// Its number within the job.
    pub worker: WorkerId,
    /// The version of the protocol that both speak from now on.
    pub protocol_version: u32,
}

impl Registration {
    /// What this build was compiled for.
    pub fn own_target() -> String {
        format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
    }
}

impl From<&FromWorker> for wire::FromWorker {
    fn from(message: &FromWorker) -> Self {
        use wire::from_worker::Content;
        let content = match &message.content {
            WorkerContent::Registration(registration) => Content::Registration(registration.into()),
            WorkerContent::Heartbeat => Content::Heartbeat(wire::Heartbeat {}),
            WorkerContent::Report(report) => Content::Report(report.into()),
            WorkerContent::Measurement(measurement) => Content::Measurement(measurement.into()),
            WorkerContent::Leaving { reason } => Content::Leaving(wire::Leaving {
                reason: reason.clone(),
            }),
        };
        Self {
            generation: message.generation.0,
            content: Some(content),
        }
    }
}

impl TryFrom<wire::FromWorker> for FromWorker {
    type Error = DecodeReason;

    fn try_from(message: wire::FromWorker) -> Result<Self, DecodeReason> {
        use wire::from_worker::Content;
        let content = match required("content", message.content)? {
            Content::Registration(registration) => WorkerContent::Registration(registration.try_into()?),
            Content::Heartbeat(wire::Heartbeat {}) => WorkerContent::Heartbeat,
            Content::Report(report) => WorkerContent::Report(report.try_into()?),
            Content::Measurement(measurement) => WorkerContent::Measurement(measurement.try_into()?),
            Content::Leaving(leaving) => WorkerContent::Leaving {
                reason: leaving.reason,
            },
        };
        Ok(Self {
            generation: Generation(message.generation),
            content,
        })
    }
}

impl From<&ToWorker> for wire::ToWorker {
    fn from(message: &ToWorker) -> Self {
        use wire::to_worker::Content;
        let content = match &message.directive {
            WorkerDirective::Attached(attached) => Content::Attached(wire::Attached {
                worker: attached.worker.0,
                protocol_version: attached.protocol_version,
            }),
            WorkerDirective::Heartbeat => Content::Heartbeat(wire::Heartbeat {}),
            WorkerDirective::Order(order) => Content::Order(order.into()),
        };
        Self {
            generation: message.generation.0,
            content: Some(content),
        }
    }
}

impl TryFrom<wire::ToWorker> for ToWorker {
    type Error = DecodeReason;

    fn try_from(message: wire::ToWorker) -> Result<Self, DecodeReason> {
        use wire::to_worker::Content;
        let directive = match required("content", message.content)? {
            Content::Attached(attached) => WorkerDirective::Attached(Attached {
                worker: WorkerId(attached.worker),
                protocol_version: attached.protocol_version,
            }),
            Content::Heartbeat(wire::Heartbeat {}) => WorkerDirective::Heartbeat,
            Content::Order(order) => WorkerDirective::Order(order.try_into()?),
        };
        Ok(Self {
            generation: Generation(message.generation),
            directive,
        })
    }
}

impl From<&Registration> for wire::Registration {
    fn from(registration: &Registration) -> Self {
        Self {
            job: registration.job.as_str().to_owned(),
            worker: registration.worker.clone(),
            protocol: Some((&registration.protocol).into()),
            graph_fingerprint: registration.graph_fingerprint,
            data_address: registration.data.map(|address| address.to_string()),
            slots: registration.slots,
            target: registration.target.clone(),
            running: registration.running.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<wire::Registration> for Registration {
    type Error = DecodeReason;

    fn try_from(registration: wire::Registration) -> Result<Self, DecodeReason> {
        Ok(Self {
            job: JobId::new(registration.job),
            worker: registration.worker,
            protocol: required("registration.protocol", registration.protocol)?.into(),
            graph_fingerprint: registration.graph_fingerprint,
            data: data_address(registration.data_address)?,
            slots: registration.slots,
            target: registration.target,
            running: registration.running.map(TryInto::try_into).transpose()?,
        })
    }
}

pub(super) fn data_address(address: Option<String>) -> Result<Option<SocketAddr>, DecodeReason> {
    let parse = |address: String| address.parse().map_err(|_| bad("data_address", address));
    address.map(parse).transpose()
}
