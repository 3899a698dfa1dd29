//! The executables of jobs on this machine: fetched once, verified, kept until the room is needed.

mod cache;
mod error;
mod fetch;

pub(crate) use cache::{Artifact, ArtifactCache};
pub(crate) use error::ArtifactError;
