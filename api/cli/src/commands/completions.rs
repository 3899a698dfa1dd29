//! `tidegate completions`.

use clap::CommandFactory;

use crate::{arguments::Arguments, error::Result, exit_code::ExitCode, output};

/// Writes the script of a shell.
pub(super) fn run(shell: clap_complete::Shell) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "tidegate", &mut script);
    output::print_bytes(&script)?;
    Ok(ExitCode::Success)
}
