//! How the programs of a cluster end.

/// The exit codes of the job manager and of task managers. They agree with those of a job's own command line where both
/// have a case, so that a supervisor needs one table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum ExitCode {
    /// It was told to end, and did in good order.
    Success = 0,
    /// Something failed that none of the others names.
    Failed = 1,
    /// The command line or the configuration makes no sense; starting it again is no use before that is mended.
    Usage = 2,
    /// An address cannot be listened on.
    Address = 3,
    /// The storage cannot be used.
    Storage = 4,
    /// The other side refused this process: a wrong secret, another version, an older generation.
    Refused = 5,
    /// A newer job manager has taken over the storage.
    Superseded = 6,
    /// It was told twice to end, or did not end in time.
    Interrupted = 130,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

impl std::process::Termination for ExitCode {
    fn report(self) -> std::process::ExitCode {
        self.into()
    }
}
