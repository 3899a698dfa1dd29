//! What can go wrong, and how it is said.

use std::{fmt::Write, io, path::PathBuf};

use serde::Deserialize;

use crate::{exit_code::ExitCode, output::one_line};

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The configuration makes no sense.
    #[error(transparent)]
    Settings(#[from] tidegate_settings::Error),
    /// The command line asks for something that cannot be.
    #[error("{0}")]
    Usage(String),
    /// Nobody answers.
    #[error(
        "the job manager at {address} cannot be reached: {reason}; start it, or say where it is with --address or \
         TIDEGATE_ADDRESS"
    )]
    Unreachable {
        /// Where nobody answers.
        address: String,
        /// What happened instead.
        reason: String,
    },
    /// Somebody else answers.
    #[error("{address} does not answer like a job manager: {reason}; check --address")]
    Stranger {
        /// Who answers.
        address: String,
        /// What is odd.
        reason: String,
    },
    /// The job manager refused.
    #[error("{0}")]
    Problem(Problem),
    /// Something did not happen in time.
    #[error("{0}")]
    Timeout(String),
    /// A file or a directory cannot be used.
    #[error("{} cannot be {done}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What was to be done with it.
        done: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A process cannot be started or ended as it should.
    #[error("{0}")]
    Process(String),
    /// What was asked for cannot be written.
    #[error("the answer cannot be written: {0}")]
    Output(#[source] io::Error),
}

/// What a command answers.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// For `map_err` over a file.
    pub(crate) fn file(path: impl Into<PathBuf>, done: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, done, source }
    }

    /// The code that the process ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Settings(_) | Self::Usage(_) => ExitCode::Usage,
            Self::Problem(problem) if problem.may_pass() => ExitCode::Unavailable,
            Self::Problem(_) => ExitCode::Refused,
            Self::Unreachable { .. } | Self::Stranger { .. } | Self::Timeout(_) => ExitCode::Unavailable,
            Self::File { .. } | Self::Process(_) | Self::Output(_) => ExitCode::Local,
        }
    }

    /// Whether the same may succeed a little later: the job manager is being started again.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Problem(problem) => problem.may_pass(),
            _ => false,
        }
    }

    /// What the user reads.
    pub(crate) fn report(&self) -> String {
        match self {
            Self::Problem(problem) => problem.report(),
            other => format!("error: {other}"),
        }
    }
}

/// A problem document of the job manager, as in RFC 9457.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{title}: {detail}")]
#[serde(default)]
pub(crate) struct Problem {
    /// Which problem: a name that stays.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// What problems of the kind are called.
    pub(crate) title: String,
    /// The status of the response.
    pub(crate) status: u16,
    /// What, which, and what to do.
    pub(crate) detail: String,
    /// The field at fault.
    pub(crate) field: Option<String>,
}

impl Default for Problem {
    fn default() -> Self {
        Self {
            kind: "about:blank".to_owned(),
            title: "the job manager refused".to_owned(),
            status: 0,
            detail: String::new(),
            field: None,
        }
    }
}

impl Problem {
    /// Whether it lies with the moment and not with the request.
    fn may_pass(&self) -> bool {
        self.status >= 500 || self.status == 408 || self.status == 429
    }

    fn report(&self) -> String {
        let name = self.kind.rsplit(':').next().unwrap_or(&self.kind);
        let mut text = format!(
            "error: {} ({}, status {})",
            one_line(&self.title),
            one_line(name),
            self.status
        );
        // There may be words of an executable in it, of several lines.
        for line in self.detail.lines() {
            let _ = write!(text, "\n  {}", one_line(line).trim_end());
        }
        if let Some(field) = &self.field {
            let _ = write!(text, "\n  at: {}", one_line(field));
        }
        if self.status == 401 {
            text.push_str("\n  set TIDEGATE_TOKEN to the job manager's token");
        }
        text
    }
}
