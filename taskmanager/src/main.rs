//! The program `tidegate-taskmanager`.

use std::process;

use clap::{Parser, Subcommand};
use tidegate_settings::{ConfigRequest, ExitCode, Flags, init_logs};
use tidegate_taskmanager::{
    MetricsEndpoint, TaskManager, TaskManagerError, TaskManagerHandle, TaskManagerSettings,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Runs the workers of jobs on this machine, for a job manager.
///
/// It attaches to the job manager, offers slots, and then starts and ends worker processes as it is told: it fetches the
/// jobs' executables from the cluster's storage, verifies them, keeps what workers write, and kills those that use more
/// memory than they may. When the job manager is lost, workers run on and it attaches again. When it is lost itself, its
/// workers end, and the job manager starts others elsewhere.
///
/// The credentials for the cluster's storage (AWS_… for S3) are taken from the environment, as is the cluster secret.
/// SIGTERM and SIGINT let it tell the job manager that it leaves and end its workers; a second one ends it at once.
#[derive(Parser)]
#[command(
    name = "tidegate-taskmanager",
    version,
    after_help = "Examples:\n  \
        tidegate-taskmanager --job-manager 127.0.0.1:6123 --slots 4 --directory /var/lib/tidegate\n  \
        tidegate-taskmanager --config taskmanager.toml config print\n\n\
        Exit codes: 0 ended as told, 1 failed, 2 the command line or the configuration makes no sense, 3 an address cannot \
        be listened on, 4 the directory cannot be used, 5 refused by the job manager, 130 told twice to end."
)]
struct Arguments {
    #[command(flatten)]
    settings: Flags<TaskManagerSettings>,
    #[command(subcommand)]
    request: Option<Request>,
}

#[derive(Subcommand)]
enum Request {
    /// Shows the configuration.
    #[command(subcommand)]
    Config(ConfigRequest),
}

fn main() -> process::ExitCode {
    let arguments = Arguments::parse();
    let code = match arguments.request {
        None => work(&arguments.settings),
        Some(Request::Config(request)) => match request.answer(&arguments.settings) {
            Ok(text) => {
                print!("{text}");
                ExitCode::Success
            }
            Err(error) => complain(ExitCode::Usage, &error),
        },
    };
    code.into()
}

fn complain(code: ExitCode, error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("error: {error}");
    code
}

fn work(flags: &Flags<TaskManagerSettings>) -> ExitCode {
    let loaded = match flags.load() {
        Ok(loaded) => loaded,
        Err(error) => return complain(ExitCode::Usage, &error),
    };
    let options = match TaskManagerSettings::options(&loaded) {
        Ok(options) => options,
        Err(error) => return complain(ExitCode::Usage, &error),
    };
    let settings = loaded.settings;
    if let Err(error) = init_logs(&settings.log) {
        return complain(ExitCode::Usage, &error);
    }
    let endpoint = match MetricsEndpoint::bind(settings.metrics.address) {
        Ok(endpoint) => endpoint,
        Err(error) => {
            let address = settings.metrics.address;
            let text =
                format!("cannot listen on {address} for metrics: {error}; choose another metrics.address");
            return complain(ExitCode::Address, &text);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(ExitCode::Failed, &format!("threads cannot be had: {error}")),
    };
    let ended = runtime.block_on(async {
        let (task_manager, handle) = TaskManager::new(options)?;
        tracing::info!(id = %handle.id(), metrics = %endpoint.address(), directory = %settings.directory.display(), "task manager starts");
        tokio::spawn(serve(endpoint, handle.clone()));
        tokio::spawn(heed_signals(handle));
        task_manager.run().await
    });
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::Success,
        Err(error) => complain(exit_code(&error), &error),
    }
}

fn exit_code(error: &TaskManagerError) -> ExitCode {
    match error {
        TaskManagerError::Option { .. } | TaskManagerError::JobManagerAddress { .. } => ExitCode::Usage,
        TaskManagerError::Directory { .. } | TaskManagerError::DirectoryInUse { .. } => ExitCode::Storage,
        TaskManagerError::Refused { .. } | TaskManagerError::Replaced { .. } => ExitCode::Refused,
    }
}

async fn serve(endpoint: MetricsEndpoint, handle: TaskManagerHandle) {
    if let Err(error) = endpoint.serve(handle).await {
        tracing::error!(%error, "metrics are not served any more");
    }
}

/// The first signal lets the task manager end, the second ends it.
async fn heed_signals(handle: TaskManagerHandle) {
    let signals =
        signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    let (mut term, mut interrupt) = match signals {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "signals cannot be heard");
            return;
        }
    };
    either(&mut term, &mut interrupt).await;
    tracing::info!("told to end");
    handle.shut_down();
    either(&mut term, &mut interrupt).await;
    process::exit(ExitCode::Interrupted as i32);
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
