//! Processes of jobs' executables: how they are started and ended.
//!
//! Each has a process group of its own, so that a signal of the terminal does not reach it, and so that what it started
//! itself ends with it.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tidegate_proto::taskmanager::WorkerEnd;
use tokio::process::{Child, Command};

/// How often starting is tried while the executable is still open for writing somewhere: in a process that another thread
/// is about to start, which has all of our files for a moment.
const BUSY_TRIES: u32 = 50;
/// The pause between those tries.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// A command that is killed when nobody holds it any more, and whose words are caught.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// Starts a process.
pub(crate) async fn spawn(command: &mut Command) -> io::Result<Child> {
    for _ in 0..BUSY_TRIES {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            spawned => return spawned,
        }
    }
    command.spawn()
}

/// Asks a process, and what it has started, to end.
pub(crate) fn terminate(child: &Child) {
    signal(child, Signal::TERM);
}

/// Ends a process, and what it has started, at once.
pub(crate) async fn kill(child: &mut Child) -> io::Result<ExitStatus> {
    signal(child, Signal::KILL);
    child.wait().await
}

fn signal(child: &Child, signal: Signal) {
    // A process that has been waited for has no id any more: its number may be somebody else's.
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(pid) = pid {
        // It may have ended by itself.
        let _ = kill_process_group(pid, signal);
    }
}

/// How a process ended.
pub(crate) fn end_of(status: io::Result<ExitStatus>) -> WorkerEnd {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => WorkerEnd::Exited(code),
            (None, signal) => WorkerEnd::Signaled(signal.unwrap_or_default().unsigned_abs()),
        },
        Err(error) => WorkerEnd::NotStarted {
            reason: format!("it cannot be waited for: {error}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut shell = command(Path::new("/bin/sh"));
        shell.args(["-c", script]).stdin(Stdio::null());
        shell
    }

    #[tokio::test]
    async fn ends_are_told_apart() {
        for (script, end) in [
            ("exit 0", WorkerEnd::Exited(0)),
            ("exit 5", WorkerEnd::Exited(5)),
            ("kill -SEGV $$", WorkerEnd::Signaled(11)),
        ] {
            let mut child = spawn(&mut shell(script)).await.unwrap();
            assert_eq!(end_of(child.wait().await), end, "{script}");
        }
    }

    #[tokio::test]
    async fn what_it_has_started_ends_with_it() {
        use tokio::io::AsyncReadExt;
        // The pipe ends when both are gone.
        let mut child = spawn(&mut shell("sleep 1000 & sleep 1000")).await.unwrap();
        let mut output = child.stdout.take().unwrap();
        assert_eq!(end_of(kill(&mut child).await), WorkerEnd::Signaled(9));
        let mut rest = String::new();
        output.read_to_string(&mut rest).await.unwrap();
        let mut child = spawn(&mut shell("sleep 1000 & sleep 1000")).await.unwrap();
        let mut output = child.stdout.take().unwrap();
        terminate(&child);
        assert_eq!(end_of(child.wait().await), WorkerEnd::Signaled(15));
        output.read_to_string(&mut rest).await.unwrap();
    }
}
