//! The messages of both directions.

use tidegate_core::Generation;

use super::{Order, Registration, Report, ResourceUse};
use crate::{convert::required, generated as wire, object::DecodeReason};

/// What a task manager sends.
#[derive(Clone, PartialEq, Debug)]
pub struct FromTaskManager {
    /// The highest generation of the cluster that it has been told of; 0 if of none.
    pub generation: Generation,
    /// What it says.
    pub content: Content,
}

/// What a task manager says.
#[derive(Clone, PartialEq, Debug)]
pub enum Content {
    /// Who it is: the first message, and only the first.
    Registration(Registration),
    /// It is alive, and uses so much.
    Heartbeat(ResourceUse),
    /// What has happened.
    Report(Report),
    /// It is shut down: the last message.
    Leaving {
        /// Why.
        reason: String,
    },
}

/// What a job manager sends.
#[derive(Clone, PartialEq, Debug)]
pub struct ToTaskManager {
    /// The generation of the cluster.
    pub generation: Generation,
    /// What it says.
    pub directive: Directive,
}

/// What a job manager says.
#[derive(Clone, PartialEq, Debug)]
pub enum Directive {
    /// The task manager is one of the cluster's: the first message, and only the first.
    Attached(Attached),
    /// It is alive.
    Heartbeat,
    /// What is to be done.
    Order(Order),
}

/// What a task manager is told when it is let in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attached {
    /// The version of the protocol that both speak from now on.
    pub protocol_version: u32,
    /// The root of the cluster's objects: a directory, or a URL of an object store.
    pub storage: String,
}

impl From<&FromTaskManager> for wire::FromTaskManager {
    fn from(message: &FromTaskManager) -> Self {
        use wire::from_task_manager::Content as Wire;
        let content = match &message.content {
            Content::Registration(registration) => Wire::Registration(registration.into()),
            Content::Heartbeat(resources) => Wire::Heartbeat(resources.into()),
            Content::Report(report) => Wire::Report(report.into()),
            Content::Leaving { reason } => Wire::Leaving(wire::Leaving {
                reason: reason.clone(),
            }),
        };
        Self {
            generation: message.generation.0,
            content: Some(content),
        }
    }
}

impl TryFrom<wire::FromTaskManager> for FromTaskManager {
    type Error = DecodeReason;

    fn try_from(message: wire::FromTaskManager) -> Result<Self, DecodeReason> {
        use wire::from_task_manager::Content as Wire;
        let content = match required("content", message.content)? {
            Wire::Registration(registration) => Content::Registration(registration.try_into()?),
            Wire::Heartbeat(resources) => Content::Heartbeat(resources.try_into()?),
            Wire::Report(report) => Content::Report(report.try_into()?),
            Wire::Leaving(leaving) => Content::Leaving {
                reason: leaving.reason,
            },
        };
        Ok(Self {
            generation: Generation(message.generation),
            content,
        })
    }
}

impl From<&ToTaskManager> for wire::ToTaskManager {
    fn from(message: &ToTaskManager) -> Self {
        use wire::to_task_manager::Content as Wire;
        let content = match &message.directive {
            Directive::Attached(attached) => Wire::Attached(wire::TaskManagerAttached {
                protocol_version: attached.protocol_version,
                storage: attached.storage.clone(),
            }),
            Directive::Heartbeat => Wire::Heartbeat(wire::Heartbeat {}),
            Directive::Order(order) => Wire::Order(order.into()),
        };
        Self {
            generation: message.generation.0,
            content: Some(content),
        }
    }
}

impl TryFrom<wire::ToTaskManager> for ToTaskManager {
    type Error = DecodeReason;

    fn try_from(message: wire::ToTaskManager) -> Result<Self, DecodeReason> {
        use wire::to_task_manager::Content as Wire;
        let directive = match required("content", message.content)? {
            Wire::Attached(attached) => Directive::Attached(Attached {
                protocol_version: attached.protocol_version,
                storage: attached.storage,
            }),
            Wire::Heartbeat(_) => Directive::Heartbeat,
            Wire::Order(order) => Directive::Order(order.try_into()?),
        };
        Ok(Self {
            generation: Generation(message.generation),
            directive,
        })
    }
}
