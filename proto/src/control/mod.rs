//! What workers and a job manager say to each other, as domain types with their conversions, and the gRPC service that
//! carries them.
//!
//! The service is documented in `tidegate/v1/control.proto`. Its client and server take and give [`FromWorker`] and
//! [`ToWorker`]; what arrives malformed ends the stream with a status that says which field of which message it is.

mod codec;
mod holdup;
mod measurement;
mod message;
mod order;
mod protocol;
mod report;
mod running_attempt;
mod secret;

pub(crate) use codec::ControlCodec;
pub use codec::{MESSAGE_LIMIT_BYTES, MalformedMessage};
pub use message::{Attached, FromWorker, Registration, ToWorker, WorkerContent, WorkerDirective};
pub use protocol::{NoCommonVersion, ProtocolRange};
pub use secret::{ClusterSecret, SecretError};

pub use crate::generated::{
    worker_control_client::WorkerControlClient,
    worker_control_server::{WorkerControl, WorkerControlServer},
};
