//! What can be wrong with a configuration.

use std::path::PathBuf;

use crate::Origin;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("the configuration file {} cannot be read: {source}; create it or name another with --config", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("the configuration file {} is no TOML: {reason}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Where in it, and why.
        reason: String,
    },
    /// Nobody knows the key.
    #[error("there is no setting `{key}` ({origin}); {}", suggestion(nearest.as_ref()))]
    UnknownKey {
        /// As it was written.
        key: String,
        /// Where it stands.
        origin: Origin,
        /// The known one most like it, if any is.
        nearest: Option<String>,
    },
    /// What should be a section has a value.
    #[error("`{key}` ({origin}) is a section and has no value; write its keys under [{key}]")]
    Section {
        /// Which.
        key: String,
        /// Where it stands.
        origin: Origin,
    },
    /// An environment variable is no text.
    #[error("the environment variable {variable} is no UTF-8")]
    NotText {
        /// Which.
        variable: String,
    },
    /// The value makes no sense.
    #[error("`{key}` ({origin}) cannot be used: {reason}")]
    Value {
        /// Whose.
        key: String,
        /// Where it stands.
        origin: Origin,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

fn suggestion(nearest: Option<&String>) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "`config keys` lists those there are".to_owned(),
    }
}
