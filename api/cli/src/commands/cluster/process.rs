//! Processes, told from later ones of the same number.

#[cfg(target_os = "linux")]
use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// A process that may have ended since.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(super) struct Process {
    /// Its number.
    pub(super) pid: i32,
    /// When it was started, as the system tells it; numbers are given again, together with this they are not.
    pub(super) started: String,
}

impl Process {
    /// The process that has a number now.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        Some(Self {
            pid,
            started: started(pid)?,
        })
    }

    /// Whether it is still that process, and runs.
    pub(super) fn is_alive(&self) -> bool {
        started(self.pid).is_some_and(|started| started == self.started)
    }

    /// Asks it to end.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid)
            && self.is_alive()
        {
            // If it has ended meanwhile, that is what was wanted.
            let _ = kill_process(pid, signal);
        }
    }
}

/// When the process was started: ticks since the boot, and which boot that was. None if there is none, or if it has
/// ended and nobody has looked yet.
#[cfg(target_os = "linux")]
fn started(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; the fields behind it are numbered from 3 in proc_pid_stat(5).
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let (state, start) = (fields.first()?, fields.get(22 - 3)?);
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    (!matches!(*state, "Z" | "X")).then(|| format!("{}:{start}", boot.trim()))
}

/// When the process was started, to the second.
#[cfg(not(target_os = "linux"))]
fn started(pid: i32) -> Option<String> {
    let told = std::process::Command::new("ps")
        .args(["-o", "stat=,lstart=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8(told.stdout).ok()?;
    let (state, start) = text.trim().split_once(char::is_whitespace)?;
    (!state.starts_with('Z')).then(|| start.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself_and_no_other() {
        let own = Process::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        let earlier = Process {
            started: "long ago".to_owned(),
            ..own
        };
        assert!(!earlier.is_alive());
        // It is not this process, so it must not end it.
        earlier.kill();
    }

    #[test]
    fn a_process_that_nobody_has_looked_at_has_ended() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let process = Process::of(child.id()).unwrap();
        assert!(process.is_alive());
        process.terminate();
        while process.is_alive() {
            std::thread::yield_now();
        }
        assert!(!child.wait().unwrap().success());
    }
}
