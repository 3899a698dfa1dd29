//! `tidegate cluster stop`.

use std::{path::Path, time::Duration};

use super::note::{Member, Note};
use crate::{
    commands::wait,
    error::{Error, Result},
    exit_code::ExitCode,
    output::print,
};

/// How long a process may take to end in good order.
const GRACE: Duration = Duration::from_secs(20);
/// How long one may take to be gone that was killed.
const LAST_GRACE: Duration = Duration::from_secs(5);

/// Ends what was started in the directory.
pub(super) fn run(directory: &Path) -> Result<ExitCode> {
    let Some(note) = Note::read(directory)? else {
        print(&format!("no cluster was started in {}\n", directory.display()))?;
        return Ok(ExitCode::Success);
    };
    let killed = end(&note.members)?;
    Note::remove(directory)?;
    for name in killed {
        eprintln!("warning: {name} did not end by itself and was killed");
    }
    print("the cluster has ended; jobs go on when it is started again with the same storage\n")?;
    Ok(ExitCode::Success)
}

/// Ends processes: the job manager first, as it would take the end of task managers for a failure. The names of those
/// that had to be killed.
pub(super) fn end(members: &[Member]) -> Result<Vec<&str>> {
    let (first, rest) = members.split_at(members.len().min(1));
    for group in [first, rest] {
        for member in group {
            member.process.terminate();
        }
        let gone = || Ok(group.iter().all(|member| !member.process.is_alive()));
        let ended = wait::until(GRACE, gone, || Error::Timeout("it takes too long".to_owned()));
        if ended.is_ok() {
            continue;
        }
        let stubborn: Vec<&Member> = members
            .iter()
            .filter(|member| member.process.is_alive())
            .collect();
        for member in &stubborn {
            member.process.kill();
        }
        let gone = || Ok(stubborn.iter().all(|member| !member.process.is_alive()));
        wait::until(LAST_GRACE, gone, || {
            Error::Process(
                "a process of the cluster cannot be ended; see `tidegate cluster status`".to_owned(),
            )
        })?;
        return Ok(stubborn.into_iter().map(|member| member.name.as_str()).collect());
    }
    Ok(Vec::new())
}
