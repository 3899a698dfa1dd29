//! One file per command.

mod artifacts;
mod checkpoints;
mod cluster;
mod completions;
mod describe;
mod doctor;
mod list;
mod logs;
mod plan;
mod run;
mod savepoint;
mod task_managers;
mod vertex;
mod wait;

use tidegate_settings::{ConfigRequest, key_table};

use crate::{
    arguments::{Arguments, Command},
    client::Client,
    error::Result,
    exit_code::ExitCode,
    output::{self, Output},
    settings::{self, CliSettings},
};

/// What commands about a running cluster work with.
struct Context {
    client: Client,
    settings: CliSettings,
    output: Output,
}

/// Does what the command line says.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let load = || arguments.flags.load_with(settings::usual_file());
    match &arguments.command {
        Command::Config(request) => {
            let text = match request {
                ConfigRequest::Print => tidegate_settings::print(&load()?),
                ConfigRequest::Keys => key_table::<CliSettings>(),
            };
            output::print(&text)?;
            return Ok(ExitCode::Success);
        }
        Command::Completions { shell } => return completions::run(*shell),
        Command::Cluster(command) => return cluster::run(command, &load()?.settings, arguments.output),
        Command::Doctor => return doctor::run(&load()?, arguments.output),
        _ => {}
    }
    let settings = load()?.settings;
    let context = Context {
        client: Client::new(&settings)?,
        settings,
        output: arguments.output,
    };
    match &arguments.command {
        Command::Run(arguments) => run::run(&context, arguments),
        Command::List { running } => list::run(&context, *running),
        Command::Describe { job, vertex } => match vertex {
            Some(vertex) => vertex::run(&context, job, *vertex),
            None => describe::run(&context, job),
        },
        Command::Plan { job } => plan::run(&context, job),
        Command::Logs(arguments) => logs::run(&context, arguments),
        Command::Savepoint { savepoint, status } => match status {
            Some(request) => savepoint::status(&context, &savepoint.job, request),
            None => savepoint::take(&context, savepoint),
        },
        Command::Stop(arguments) => savepoint::stop(&context, arguments),
        Command::Cancel { job, wait } => savepoint::cancel(&context, job, *wait),
        Command::Checkpoints(command) => checkpoints::run(&context, command),
        Command::Artifacts(command) => artifacts::run(&context, command),
        Command::TaskManagers { id } => task_managers::run(&context, id.as_deref()),
        Command::Cluster(_) | Command::Doctor | Command::Config(_) | Command::Completions { .. } => {
            Ok(ExitCode::Success)
        }
    }
}
