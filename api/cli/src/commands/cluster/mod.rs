//! `tidegate cluster`: a whole cluster on this machine.
//!
//! The processes that were started are noted in a file in the cluster's directory, each with what tells it from a later
//! process of the same number, so that `stop` ends those and no others.

mod launch;
mod note;
mod process;
mod start;
mod status;
mod stop;

use crate::{
    arguments::ClusterCommand, error::Result, exit_code::ExitCode, output::Output, settings::CliSettings,
};

/// Does what is to be done about the cluster on this machine.
pub(super) fn run(command: &ClusterCommand, settings: &CliSettings, output: Output) -> Result<ExitCode> {
    match command {
        ClusterCommand::Start(arguments) => start::run(arguments, settings, output),
        ClusterCommand::Stop { place } => stop::run(&place.dir),
        ClusterCommand::Status { place } => status::run(&place.dir, output),
    }
}
