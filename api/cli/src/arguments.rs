//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tidegate_settings::{ConfigRequest, Flags};

use crate::{output::Output, settings::CliSettings};

/// What stands at the end of `--help`.
const AFTER_HELP: &str = "\
A job is named by its id, the beginning of it, or its name.

Exit codes:
  0  it is done; a job that was waited for has finished, or was stopped as asked
  1  what was asked about has failed: a job, a savepoint, a check
  2  the command line or the configuration makes no sense
  3  the cluster refused the request
  4  the cluster cannot be reached, or cannot do it now; the same may succeed later
  5  a job that was waited for was canceled or suspended by somebody else
  6  something on this machine failed: a file, a process";

/// Speaks to a Tidegate cluster: submits jobs, watches them, takes savepoints, and starts a cluster on this machine.
#[derive(Parser, Debug)]
#[command(name = "tidegate", version, after_help = AFTER_HELP, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// How answers are written.
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORM")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) flags: Flags<CliSettings>,
}

/// What is to be done.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Runs a job's executable on the cluster; uploads it unless it is there already.
    Run(RunArguments),
    /// Lists the jobs.
    #[command(alias = "ls")]
    List {
        /// Only those that have not ended.
        #[arg(long)]
        running: bool,
    },
    /// Shows everything about a job: its state, its operators and what went wrong.
    Describe {
        /// The job.
        job: String,
        /// Show the tasks of this vertex instead.
        #[arg(long, value_name = "NUMBER")]
        vertex: Option<u32>,
    },
    /// Shows a job's graph as it runs.
    Plan {
        /// The job.
        job: String,
    },
    /// Shows what a job's workers have written to standard output and error.
    Logs(LogsArguments),
    /// Takes a savepoint of a job that goes on.
    Savepoint {
        #[command(flatten)]
        savepoint: SavepointArguments,
        /// Say how far the savepoint of this request is, rather than take one.
        #[arg(long, value_name = "REQUEST", conflicts_with_all = ["name", "wait"])]
        status: Option<String>,
    },
    /// Takes a savepoint of a job and ends it there.
    Stop(SavepointArguments),
    /// Ends a job without a savepoint.
    Cancel {
        /// The job.
        job: String,
        /// Wait until it has ended.
        #[arg(long)]
        wait: bool,
    },
    /// A job's checkpoints.
    #[command(subcommand)]
    Checkpoints(CheckpointsCommand),
    /// Executables on the cluster.
    #[command(subcommand)]
    Artifacts(ArtifactsCommand),
    /// Lists the task managers, or shows one with its workers.
    TaskManagers {
        /// The one to show.
        id: Option<String>,
    },
    /// A cluster on this machine.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Checks everything between this command and a running job, and says what to do about what is wrong.
    Doctor,
    /// The settings of this command.
    #[command(subcommand)]
    Config(ConfigRequest),
    /// Writes a script that completes this command's words in a shell.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
}

/// What to run, and how.
#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// The job's executable, a file; or the id of one that is on the cluster.
    pub(crate) executable: String,
    /// The job's own arguments, behind `--`.
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub(crate) arguments: Vec<String>,
    /// The parallelism of operators that do not say otherwise [default: the cluster's].
    #[arg(short, long, value_name = "TASKS", value_parser = clap::value_parser!(u32).range(1..=32768))]
    pub(crate) parallelism: Option<u32>,
    /// Start from a savepoint or a retained checkpoint: where it lies, as `savepoint` or `checkpoints ls` say.
    #[arg(short = 's', long, value_name = "LOCATION")]
    pub(crate) from_savepoint: Option<String>,
    /// Drop state that no operator of this job claims, rather than refusing to start.
    #[arg(long)]
    pub(crate) allow_non_restored_state: bool,
    /// Makes submitting again safe: the same key and request are the same job [default: a new one].
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    /// A setting of checkpoints or restarts that differs from the cluster's, such as `checkpoints.interval=10s`; may be
    /// repeated.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub(crate) settings: Vec<(String, String)>,
    /// Wait until the job has ended; the exit code says how.
    #[arg(short, long)]
    pub(crate) wait: bool,
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected a key and a value, such as checkpoints.interval=10s".to_owned()),
    }
}

/// Which logs.
#[derive(Args, Debug)]
pub(crate) struct LogsArguments {
    /// The job.
    pub(crate) job: String,
    /// List the files rather than show them.
    #[arg(short, long)]
    pub(crate) list: bool,
    /// Only files of this task manager.
    #[arg(long, value_name = "ID")]
    pub(crate) task_manager: Option<String>,
    /// Only files of this name.
    #[arg(long, value_name = "NAME")]
    pub(crate) file: Option<String>,
    /// Only the last so many bytes of each file.
    #[arg(long, value_name = "BYTES")]
    pub(crate) tail: Option<u64>,
    /// Go on showing what is written until the job has ended.
    #[arg(short, long, conflicts_with = "list")]
    pub(crate) follow: bool,
}

/// Which savepoint.
#[derive(Args, Debug)]
pub(crate) struct SavepointArguments {
    /// The job.
    pub(crate) job: String,
    /// What to call it among the job's savepoints [default: a new name].
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Wait until it is done, and say where it lies.
    #[arg(short, long)]
    pub(crate) wait: bool,
}

/// What to do about checkpoints.
#[derive(Subcommand, Debug)]
pub(crate) enum CheckpointsCommand {
    /// Lists those that are remembered.
    #[command(alias = "list")]
    Ls {
        /// The job.
        job: String,
    },
    /// Shows what each task had to do with a checkpoint.
    Describe {
        /// The job.
        job: String,
        /// The checkpoint's number.
        checkpoint: u64,
    },
    /// Has the cluster read each retained checkpoint's manifest, and says which cannot be used.
    Verify {
        /// The job.
        job: String,
    },
    /// Takes one before its time.
    Take {
        /// The job.
        job: String,
        /// Wait until it is done.
        #[arg(short, long)]
        wait: bool,
    },
}

/// What to do about executables.
#[derive(Subcommand, Debug)]
pub(crate) enum ArtifactsCommand {
    /// Uploads an executable, unless it is there already, and says its id.
    Upload {
        /// The file.
        file: PathBuf,
    },
    /// Lists them.
    #[command(alias = "list")]
    Ls,
    /// Deletes one that no job runs.
    #[command(alias = "delete")]
    Rm {
        /// Its id, or a beginning of it that is clear.
        id: String,
    },
}

/// What to do about a cluster on this machine.
#[derive(Subcommand, Debug)]
pub(crate) enum ClusterCommand {
    /// Starts a job manager and task managers, and waits until they are ready; of a cluster that runs in part, what is
    /// gone.
    Start(StartArguments),
    /// Ends what `cluster start` has started.
    Stop {
        #[command(flatten)]
        place: ClusterPlace,
    },
    /// Says which of the processes that `cluster start` has started are alive.
    Status {
        #[command(flatten)]
        place: ClusterPlace,
    },
}

/// Where a cluster on this machine keeps its things.
#[derive(Args, Debug)]
pub(crate) struct ClusterPlace {
    /// The directory of its logs, of what its processes keep, and of the note of which they are.
    #[arg(long, value_name = "DIRECTORY", default_value = "tidegate-cluster")]
    pub(crate) dir: PathBuf,
}

/// Which cluster to start.
#[derive(Args, Debug)]
pub(crate) struct StartArguments {
    #[command(flatten)]
    pub(crate) place: ClusterPlace,
    /// How many task managers.
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) task_managers: u32,
    /// How many slots each has.
    #[arg(long, default_value_t = 2, value_name = "SLOTS", value_parser = clap::value_parser!(u32).range(1..=32768))]
    pub(crate) slots: u32,
    /// Where the cluster keeps checkpoints, executables and what it knows of jobs: a directory or a URL such as
    /// s3://bucket/path [default: `storage` in the directory].
    #[arg(long, value_name = "LOCATION")]
    pub(crate) storage: Option<String>,
    /// Where the programs tidegate-jobmanager and tidegate-taskmanager are [default: beside this one].
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) bin_dir: Option<PathBuf>,
    /// Where workers and task managers attach; port 0 lets the system choose. Where people reach the cluster says
    /// --address, likewise.
    #[arg(long, default_value = "127.0.0.1:6123", value_name = "ADDRESS")]
    pub(crate) control_address: std::net::SocketAddr,
    /// How long to wait until everything is ready.
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) ready_within: std::time::Duration,
}
