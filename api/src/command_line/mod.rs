//! The command line that every job has.

mod arguments;
mod control;
mod event_time;
mod inspect;
mod live;
mod progress;
mod restart;
mod run;
mod sample;
mod supervision;
mod units;
mod worker;

use std::{ffi::OsString, io::IsTerminal};

use clap::Args;

use crate::{
    Env, Result,
    error::{Error, ExitCode},
};

pub use arguments::NoArgs;
pub(crate) use arguments::default_parallelism;

use arguments::{CheckpointsRequest, Parsed, Request, SavepointRequest};
use live::Screen;

/// Runs a job from its command line: `build` gives it its streams, with the job's own arguments, which are an ordinary
/// [`clap::Args`]; [`NoArgs`] if there are none.
///
/// ```no_run
/// use tidegate::prelude::*;
///
/// fn main() -> tidegate::Result<()> {
///     tidegate::main("numbers", |env, _: NoArgs| {
///         env.source("numbers", IteratorSource::new(|| 0..1000u64)).print("out");
///         Ok(())
///     })
/// }
/// ```
///
/// # Commands
/// | | |
/// |---|---|
/// | `run`, or nothing | runs the job in this process; it goes on where its checkpoint directory says it was |
/// | `plan [--json \| --mermaid]` | shows the graph as it would run |
/// | `savepoint take <name>`, `savepoint ls` | takes a savepoint of the job while another process on this machine runs it, or lists them |
/// | `checkpoints ls` | lists the checkpoints that are kept |
///
/// `--help` behind each tells its options. While a job runs, standard error says how it is doing: at the end of a terminal,
/// or a line a second with `--progress plain`. `--metrics-address` serves its [metrics](crate::metrics) to Prometheus.
/// Ctrl-C suspends it: it takes a checkpoint, commits its output and ends, to go on when it is started again. A second
/// Ctrl-C ends the process at once, which loses nothing either: the job goes on from its last checkpoint. Logs go to
/// standard error too, as much of them as the environment's `RUST_LOG` says.
///
/// # Exit codes
/// | code | |
/// |---|---|
/// | 0 | the job has finished, or was suspended as asked |
/// | 1 | the job has failed |
/// | 2 | the command line or the job makes no sense |
/// | 3 | state or a savepoint was refused: of another graph or type, unreadable, or not there |
/// | 4 | the place for checkpoints cannot be used |
/// | 5 | a worker was refused by its job manager, or has lost it for longer than it waits |
/// | 6 | a supervised worker has lost whoever started it |
/// | 130 | the process was told twice to stop, or to stop without a checkpoint |
///
/// On Linux with glibc, `run` starts the program again in its own place first, with an environment that
/// [lets the allocator suit it](crate::tune_allocator); what stands before this call happens twice, unless the environment has
/// `TIDEGATE_ALLOCATOR=system`.
///
/// `build` is called wherever the job's graph is needed, and must build the same graph each time.
///
/// # Errors
/// None that comes back: a failure is printed as one message with its causes, and ends the process with its code. The
/// result lets `main` be written with `?`.
pub fn main<A: Args>(name: &str, build: impl FnOnce(&Env, A) -> Result<()>) -> Result<()> {
    let screen = Screen::default();
    init_logs(&screen);
    let code = match dispatch(name, std::env::args_os(), build, &screen) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", error.with_causes());
            error.exit_code()
        }
    };
    match code {
        ExitCode::Success => Ok(()),
        code => std::process::exit(code as i32),
    }
}

fn init_logs(screen: &Screen) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    // A program that has set up its own logs keeps them.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(screen.clone())
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
}

fn dispatch<A: Args>(
    name: &str,
    arguments: impl IntoIterator<Item = OsString>,
    build: impl FnOnce(&Env, A) -> Result<()>,
    screen: &Screen,
) -> Result<ExitCode> {
    let Parsed {
        request,
        job_arguments,
    } = match arguments::parse::<A>(name, arguments) {
        Ok(parsed) => parsed,
        Err(answer) => {
            let code = if answer.use_stderr() {
                ExitCode::Usage
            } else {
                ExitCode::Success
            };
            answer.print().map_err(Error::from)?;
            return Ok(code);
        }
    };
    let built = |arguments: A| {
        let env = Env::new(name);
        build(&env, arguments)?;
        Ok::<_, Error>(env.build()?)
    };
    match request {
        Request::Run { run, job } => {
            crate::tune_allocator();
            run::run(&built(job)?, &run, job_arguments, screen)
        }
        Request::Plan {
            json,
            mermaid,
            parallelism,
            job,
        } => {
            let plan = built(job)?.plan(parallelism);
            inspect::print(&match (json, mermaid) {
                (true, _) => format!("{:#}\n", plan.to_json()),
                (_, true) => plan.to_mermaid(),
                _ => plan.to_string(),
            })
        }
        Request::Savepoint {
            place,
            request: SavepointRequest::Ls,
        } => inspect::savepoints(&place.location(name)),
        Request::Savepoint {
            place,
            request:
                SavepointRequest::Take {
                    name: savepoint,
                    suspend,
                },
        } => inspect::take_savepoint(&place.location(name), savepoint, suspend),
        Request::Checkpoints {
            place,
            request: CheckpointsRequest::Ls,
        } => inspect::checkpoints(&place.location(name)),
        Request::Describe { job } => inspect::print(&worker::description(&built(job.parse(name)?)?)),
        Request::Worker(arguments) => {
            crate::tune_allocator();
            worker::run(&built(arguments.job.parse(name)?)?, &arguments)
        }
    }
}
