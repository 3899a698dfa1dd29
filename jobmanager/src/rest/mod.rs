//! The cluster over HTTP: JSON under `/v1`, with the paths and field names of Flink's REST API wherever the concept is
//! the same, probes and metrics beside it.
//!
//! - Every refusal is a [problem document](ProblemDocument) with a stable `type`, the field at fault and what to do.
//!   Nothing that a client sends is answered with a status of 5xx.
//! - Closed by default: without a token the server is on loopback only, and then for this machine's own programs, not for
//!   pages of other sites in its browsers.
//! - Bounded: connections, headers, bodies (also what they decompress to) and the time that a client may take.
//! - The interface's description at `/v1/openapi.json` is generated from the code; [`openapi_document`] is the same.

mod artifacts;
mod body;
mod checkpoints;
mod cluster;
mod connections;
mod gate;
mod intake;
mod jobs;
mod logs;
mod openapi;
mod parameters;
mod probes;
mod problem;
mod router;
mod savepoints;
mod server;
mod submissions;
mod task_managers;
mod token;
mod vertices;

pub use openapi::openapi_document;
pub use problem::{Problem, ProblemDocument, ProblemKind};
pub use server::{Exposure, RestError, RestHandle, RestOptions, RestServer};
pub use token::{BearerToken, TokenError};
