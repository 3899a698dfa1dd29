//! The program `tidegate-jobmanager`.

use std::{process::ExitCode as ProcessExitCode, time::Duration};

use clap::{Parser, Subcommand};
use tidegate_jobmanager::{
    JobManagerSettings, PortError,
    cluster::{ClusterHandle, ClusterOptions, JobManager, JobManagerError},
    options_of,
    rest::{RestError, RestHandle, RestOptions, RestServer, openapi_document},
};
use tidegate_settings::{ConfigRequest, ExitCode, Flags, init_logs};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long answers that are being given may take to end when the process is told to.
const GOODBYE: Duration = Duration::from_secs(10);

/// Takes jobs over REST, has task managers run them, and brings them through failures.
///
/// Everything it knows is in the storage: started again on any machine, with an empty disk, it goes on with every job where
/// the last checkpoint left it. It runs no code of jobs.
///
/// When it listens it prints two lines to standard output, `rest http://…` and `cluster http://…`: where to send requests,
/// and what to give task managers as --job-manager.
#[derive(Parser)]
#[command(name = "tidegate-jobmanager", version, after_long_help = AFTER_HELP)]
struct Arguments {
    #[command(flatten)]
    settings: Flags<JobManagerSettings>,
    #[command(subcommand)]
    request: Option<Request>,
}

const AFTER_HELP: &str = "\
Every setting is also a key of the file and an environment variable: `config keys` lists them. Secrets have no flag:
  TIDEGATE_TOKEN           what REST requests must carry; needed to listen on other than loopback addresses
  TIDEGATE_CLUSTER_SECRET  what task managers and workers must know; likewise
Credentials of a bucket are taken from AWS_… variables.

Signals:
  SIGTERM, SIGINT  end. Jobs stay as they are: their workers go on for a while and attach to the job manager that is
                   started next, which otherwise restarts them from their last checkpoint. To stop a job for good,
                   stop it with a savepoint or cancel it first. A second signal ends the process at once.

Exit codes:
  0    told to end, and did
  1    something failed that none of the others names
  2    the command line or the configuration makes no sense
  3    an address cannot be listened on
  4    the storage cannot be used
  6    a newer job manager has taken over the storage
  130  told twice to end

Example:
  tidegate-jobmanager --storage /var/lib/tidegate
  tidegate-taskmanager --job-manager http://127.0.0.1:6123
  curl -H 'content-type: application/octet-stream' --data-binary @my-job http://127.0.0.1:8081/v1/artifacts
";

#[derive(Subcommand)]
enum Request {
    /// Shows or lists settings.
    #[command(subcommand)]
    Config(ConfigRequest),
    /// Prints the description of the REST interface, an OpenAPI document.
    Openapi,
}

fn main() -> ProcessExitCode {
    let arguments = Arguments::parse();
    match arguments.request {
        Some(Request::Config(request)) => show(request.answer(&arguments.settings)),
        Some(Request::Openapi) => show::<tidegate_settings::Error>(Ok(openapi_document())),
        None => run(&arguments.settings),
    }
    .into()
}

fn show<E: std::fmt::Display>(answer: Result<String, E>) -> ExitCode {
    match answer {
        Ok(text) => {
            print!("{text}");
            ExitCode::Success
        }
        Err(error) => refuse(error),
    }
}

/// What is wrong with how the program was started; there are no logs yet.
fn refuse(error: impl std::fmt::Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::Usage
}

fn run(flags: &Flags<JobManagerSettings>) -> ExitCode {
    let loaded = match flags.load() {
        Ok(loaded) => loaded,
        Err(error) => return refuse(error),
    };
    if let Err(error) = init_logs(&loaded.settings.log) {
        return refuse(loaded.refuse("log.filter", error));
    }
    let (cluster, rest) = match options_of(&loaded) {
        Ok(options) => options,
        Err(error) => return refuse(error),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve(cluster, rest)),
        Err(error) => {
            tracing::error!(%error, "the process cannot start its threads");
            ExitCode::Failed
        }
    }
}

/// Leads a cluster and serves it until a signal comes or it ends by itself.
async fn serve(cluster: ClusterOptions, rest: RestOptions) -> ExitCode {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
        tracing::error!("the process cannot listen to signals");
        return ExitCode::Failed;
    };
    // Whoever cannot be reached must not take the lead from somebody who can.
    let (server, rest) = match RestServer::bind(rest).await {
        Ok(bound) => bound,
        Err(error) => {
            tracing::error!(%error, "job manager cannot start");
            return match error {
                RestError::Open { .. } => ExitCode::Usage,
                RestError::Bind { .. } => ExitCode::Address,
            };
        }
    };
    let (manager, handle) = tokio::select! {
        started = JobManager::start(cluster) => match started {
            Ok(started) => started,
            Err(error) => return fail(&error),
        },
        () = told_to_end(&mut terminate, &mut interrupt) => return ExitCode::Success,
    };
    announce(&rest, &handle);
    let serving = tokio::spawn(server.run(handle.clone()));
    let mut leading = tokio::spawn(manager.run());
    let ended = tokio::select! {
        ended = &mut leading => Some(ended),
        () = told_to_end(&mut terminate, &mut interrupt) => None,
    };
    rest.shut_down();
    let goodbye = async {
        // Answers that are being given are given while the cluster is still there.
        let _ = tokio::time::timeout(GOODBYE, serving).await;
        handle.shut_down();
        match ended {
            Some(ended) => ended,
            None => leading.await,
        }
    };
    tokio::select! {
        ended = goodbye => match ended {
            Ok(Ok(())) => {
                tracing::info!("job manager ends; jobs are as they were");
                ExitCode::Success
            }
            Ok(Err(error)) => fail(&error),
            Err(error) => {
                tracing::error!(%error, "the task that leads the cluster broke down");
                ExitCode::Failed
            }
        },
        () = told_to_end(&mut terminate, &mut interrupt) => ExitCode::Interrupted,
    }
}

/// Says where to send requests and where task managers attach, to programs and people that wait for it.
fn announce(rest: &RestHandle, cluster: &ClusterHandle) {
    println!("rest http://{}", rest.address());
    println!("cluster http://{}", cluster.address());
    tracing::info!(rest = %rest.address(), cluster = %cluster.address(), "job manager serves");
}

fn fail(error: &JobManagerError) -> ExitCode {
    tracing::error!(%error, "job manager ends");
    match error {
        JobManagerError::Storage(_) => ExitCode::Storage,
        JobManagerError::Port(PortError::Bind { .. }) => ExitCode::Address,
        JobManagerError::Port(PortError::Open { .. } | PortError::Heartbeat { .. }) => ExitCode::Usage,
        JobManagerError::Port(PortError::Serve(_)) => ExitCode::Failed,
        JobManagerError::Superseded { .. } => ExitCode::Superseded,
    }
}

async fn told_to_end(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
