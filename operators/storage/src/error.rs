//! Why a place cannot be used.

use std::{io, path::PathBuf};

use crate::Refusal;

/// A location that leads to no store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It says nothing that can be understood.
    #[error(
        "location {location:?} cannot be used: {reason}; give a directory, or file://, memory:// or s3://bucket/path"
    )]
    Location {
        /// The location.
        location: String,
        /// Why.
        reason: String,
    },
    /// The program was built without what it takes.
    #[error(
        "location {location:?} cannot be used: this build has no support for it, enable the feature {feature:?} of the crate that opens it"
    )]
    NotBuilt {
        /// The location.
        location: String,
        /// What has to be enabled.
        feature: &'static str,
    },
    /// A directory that cannot be made or opened.
    #[error(
        "location {location:?} cannot be used: the directory {path:?} cannot be opened: {source}; check its path and permissions"
    )]
    Directory {
        /// The location.
        location: String,
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory that is not there and was not to be made.
    #[error("location {location:?} cannot be used: there is no such directory; check its path")]
    NoDirectory {
        /// The location.
        location: String,
    },
    /// An option that the store does not know.
    #[error(
        "location {location:?} cannot be used: its store has no option {option:?}; look for its name in the documentation of `object_store`"
    )]
    Option {
        /// The location.
        location: String,
        /// The option.
        option: String,
    },
}

impl OpenError {
    /// What a location cannot be used for.
    pub(crate) fn location<E: ToString>(location: &str) -> impl FnOnce(E) -> Self {
        let location = location.to_owned();
        move |reason| Self::Location {
            location,
            reason: reason.to_string(),
        }
    }
}

/// A store that was opened and does not serve.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// It says no, and will until somebody puts it right.
    #[error("location {location:?} cannot be used: {refusal}")]
    Refused {
        /// The location.
        location: String,
        /// Why.
        refusal: Refusal,
    },
    /// It does not answer, or not as it should.
    #[error("location {location:?} does not answer: {reason}; check the endpoint and that the store runs")]
    Unreachable {
        /// The location.
        location: String,
        /// What happened, with its causes.
        reason: String,
    },
}
