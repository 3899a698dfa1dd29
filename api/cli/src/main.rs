//! `tidegate`, the command line of a cluster: a thin client of the job manager's REST interface.
//!
//! Whatever it shows comes from there; it keeps nothing itself, but for `cluster start`, which notes the processes that
//! it has started. Standard output carries what was asked for, standard error everything else: progress, warnings and
//! errors, which say what went wrong, with what, and what to do. Its exit codes are [`ExitCode`]'s.

mod address;
#[cfg(test)]
mod agreement;
mod arguments;
mod client;
mod commands;
mod documents;
mod error;
mod exit_code;
mod output;
mod progress;
mod reference;
mod settings;
mod time;

use clap::Parser;

use crate::{arguments::Arguments, exit_code::ExitCode};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => {
            // Nobody is left to tell if even that cannot be written.
            let _ = answer.print();
            return if answer.use_stderr() {
                ExitCode::Usage
            } else {
                ExitCode::Success
            };
        }
    };
    match commands::run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}", error.report());
            error.exit_code()
        }
    }
}
