//! How the command ends.

/// The exit codes of `tidegate`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum ExitCode {
    /// It is done; a job that was waited for has finished, or has been stopped as asked.
    Success = 0,
    /// What was asked about has failed: a job, a savepoint, a check.
    Failed = 1,
    /// The command line or the configuration makes no sense.
    Usage = 2,
    /// The cluster refused the request.
    Refused = 3,
    /// The cluster cannot be reached, or cannot do it now; the same again may succeed later.
    Unavailable = 4,
    /// A job that was waited for was canceled or suspended by somebody else.
    Canceled = 5,
    /// Something on this machine failed: a file, a process.
    Local = 6,
}

impl std::process::Termination for ExitCode {
    fn report(self) -> std::process::ExitCode {
        std::process::ExitCode::from(self as u8)
    }
}
