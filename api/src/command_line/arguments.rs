//! The arguments that every job understands, and how the job's own are told from them.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand};

use crate::{
    RunOptions,
    options::{CheckpointSettings, StartSetting},
};

use super::{
    restart::parse_restart,
    worker::{JobWords, WorkerArguments},
};

/// For jobs that take no arguments of their own.
#[derive(Args, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NoArgs {}

/// What a job's executable is asked to do.
#[derive(Subcommand, Debug)]
pub(super) enum Request<A: Args> {
    /// Runs the job here; the default. It resumes where its checkpoint directory says it was.
    Run {
        #[command(flatten)]
        run: Box<RunArguments>,
        #[command(flatten)]
        job: A,
    },
    /// Shows the job's graph as it would run.
    Plan {
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// As a Mermaid flowchart, for Markdown.
        #[arg(long, conflicts_with = "json")]
        mermaid: bool,
        /// The parallelism of operators that do not say otherwise.
        #[arg(long, default_value_t = default_parallelism(), value_name = "TASKS")]
        parallelism: u32,
        #[command(flatten)]
        job: A,
    },
    /// Takes a savepoint of the job while it runs in another process on this machine, or lists them.
    Savepoint {
        #[command(flatten)]
        place: Place,
        #[command(subcommand)]
        request: SavepointRequest,
    },
    /// Shows the job's checkpoints.
    Checkpoints {
        #[command(flatten)]
        place: Place,
        #[command(subcommand)]
        request: CheckpointsRequest,
    },
    /// Describes the job, as JSON, to a job manager.
    #[command(hide = true)]
    Describe {
        #[command(flatten)]
        job: JobWords,
    },
    /// Works for the job under a job manager, until it ends.
    #[command(hide = true)]
    Worker(Box<WorkerArguments>),
}

/// What to do about savepoints.
#[derive(Subcommand, Debug)]
pub(super) enum SavepointRequest {
    /// Takes one of the running job.
    Take {
        /// Its name, by which `run --from-savepoint` finds it.
        name: String,
        /// Suspend the job with it.
        #[arg(long)]
        suspend: bool,
    },
    /// Lists those there are.
    #[command(alias = "list")]
    Ls,
}

/// What to do about checkpoints.
#[derive(Subcommand, Debug)]
pub(super) enum CheckpointsRequest {
    /// Lists those that are kept.
    #[command(alias = "list")]
    Ls,
}

/// Where a job keeps its checkpoints.
#[derive(Args, Clone, Debug)]
pub(super) struct Place {
    /// Where checkpoints are kept: a directory, or a URL of a kind the job was built for
    /// [default: tidegate-checkpoints/<job>].
    #[arg(long, value_name = "LOCATION")]
    pub(super) checkpoint_dir: Option<String>,
}

impl Place {
    pub(super) fn location(&self, job: &str) -> String {
        self.checkpoint_dir.clone().unwrap_or_else(|| {
            PathBuf::from("tidegate-checkpoints")
                .join(directory_name(job))
                .to_string_lossy()
                .into_owned()
        })
    }
}

/// A name made fit for a folder.
pub(super) fn directory_name(job: &str) -> String {
    let name: String = job
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || matches!(c, '-' | '_') {
                c
            } else {
                '_'
            }
        })
        .collect();
    if name.is_empty() { "job".to_owned() } else { name }
}

/// How to run.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Run options")]
pub(super) struct RunArguments {
    #[command(flatten)]
    pub(super) place: Place,
    /// How many slots each worker has: as many tasks of each operator run there [default: the cores, shared among the
    /// workers].
    #[arg(long, value_name = "SLOTS", value_parser = clap::value_parser!(u32).range(1..=32768))]
    parallelism: Option<u32>,
    /// How many workers to run in this process; two or more exchange records over loopback TCP.
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=256))]
    workers: u32,
    /// From one checkpoint to the next.
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// After which a checkpoint is given up.
    #[arg(long, default_value = "10m", value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// At least this long from the end of one checkpoint to the start of the next.
    #[arg(long, default_value = "0s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    min_pause: Duration,
    /// How many checkpoints in a row may fail before the job restarts.
    #[arg(long, default_value_t = 10, value_name = "COUNT")]
    tolerable_failures: u32,
    /// How many checkpoints are kept.
    #[arg(long, default_value_t = 2, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    retained: u32,
    /// What happens after a failure: `none`, `fixed:<delay>:<attempts>`, `exponential:<initial>:<max>[:<attempts>]` or
    /// `rate:<failures>:<window>:<delay>`.
    #[arg(long, default_value = "exponential:50ms:1m:10", value_name = "STRATEGY", value_parser = parse_restart)]
    restart: crate::options::RestartSettings,
    /// Start from a savepoint, by name or location, as a new lineage of output.
    #[arg(long, value_name = "SAVEPOINT", conflicts_with = "fresh")]
    from_savepoint: Option<String>,
    /// Start from nothing, as a new lineage of output.
    #[arg(long)]
    fresh: bool,
    /// Drop state that no operator of this job claims, rather than refusing to start.
    #[arg(long)]
    allow_non_restored_state: bool,
    /// Serve metrics for Prometheus at http://<ADDRESS>/metrics while the job runs. A port alone is one on loopback, port
    /// 0 any that is free; the address is printed.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    pub(super) metrics_address: Option<SocketAddr>,
    /// How standard error says, every second, what the job is doing.
    #[arg(long, default_value = "auto", value_name = "HOW")]
    pub(super) progress: ProgressStyle,
}

/// An address and a port; a port alone is on loopback, as nobody else is served without being asked for.
fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let port = text
        .parse()
        .map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    port.or_else(|_| text.parse())
        .map_err(|_| "expected an IP address and a port, such as 127.0.0.1:9249, or a port".to_owned())
}

/// How a job says what it is doing.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ProgressStyle {
    /// Live on a terminal, else not at all.
    Auto,
    /// In lines that change, at the end of a terminal; where there is none, as plain.
    Live,
    /// A line each time.
    #[value(alias = "always")]
    Plain,
    /// Not at all.
    Never,
}

/// How progress is shown, once it is known where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ProgressView {
    Live,
    Plain,
    None,
}

impl ProgressStyle {
    /// What that means where lines can change, or cannot.
    pub(super) fn on(self, live_terminal: bool) -> ProgressView {
        match (self, live_terminal) {
            (Self::Auto | Self::Live, true) => ProgressView::Live,
            (Self::Plain, _) | (Self::Live, false) => ProgressView::Plain,
            (Self::Never, _) | (Self::Auto, false) => ProgressView::None,
        }
    }
}

impl RunArguments {
    pub(super) fn options(&self, job: &str, arguments: Vec<String>) -> RunOptions {
        let start = match (&self.from_savepoint, self.fresh) {
            (Some(location), _) => StartSetting::FromSavepoint(location.clone()),
            (None, true) => StartSetting::Fresh,
            (None, false) => StartSetting::Resume,
        };
        let options = RunOptions::at(self.place.location(job))
            .workers(self.workers)
            .checkpoints(CheckpointSettings {
                interval: self.interval,
                timeout: self.timeout,
                minimum_pause: self.min_pause,
                tolerable_failures: self.tolerable_failures,
                retained: self.retained,
            })
            .restart(self.restart.clone())
            .start(start)
            .allow_non_restored_state(self.allow_non_restored_state)
            .arguments(arguments);
        match self.parallelism {
            Some(slots) => options.parallelism(slots),
            None => options.parallelism((default_parallelism() / self.workers).max(1)),
        }
    }
}

/// The cores of this machine.
pub(crate) fn default_parallelism() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1))
}

/// What was asked, and the job's own arguments as they were given: kept in checkpoints, to warn when they change.
pub(super) struct Parsed<A: Args> {
    pub(super) request: Request<A>,
    pub(super) job_arguments: Vec<String>,
}

/// The words that are not a job's own first argument.
const REQUESTS: [&str; 11] = [
    "run",
    "plan",
    "savepoint",
    "checkpoints",
    "describe",
    "worker",
    "help",
    "-h",
    "--help",
    "-V",
    "--version",
];

/// Reads a command line; the first argument is the name of the program.
///
/// # Errors
/// What clap says, which is also how it asks for help to be printed.
pub(super) fn parse<A: Args>(
    job: &str,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Parsed<A>, clap::Error> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let first = arguments.get(1).and_then(|first| first.to_str());
    if !first.is_some_and(|first| REQUESTS.contains(&first)) {
        arguments.insert(1.min(arguments.len()), "run".into());
    }
    let mut command = Request::<A>::augment_subcommands(
        Command::new(job.to_owned())
            .about(format!("The job {job:?}, on Tidegate"))
            .version(env!("CARGO_PKG_VERSION"))
            .subcommand_required(true)
            .after_help("Without a command, `run` is meant. Its options: `run --help`."),
    );
    let matches = command.try_get_matches_from_mut(arguments)?;
    let request = Request::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    let job_arguments = matches
        .subcommand()
        .map_or_else(Vec::new, |(_, matches)| job_arguments::<A>(matches));
    Ok(Parsed {
        request,
        job_arguments,
    })
}

/// The values of `A`'s arguments, as `id=value`, in the order of their declaration.
fn job_arguments<A: Args>(matches: &ArgMatches) -> Vec<String> {
    let declared = A::augment_args(Command::new("job"));
    let values = declared.get_arguments().filter_map(|argument| {
        let id = argument.get_id().as_str();
        let raw = matches.try_get_raw(id).ok().flatten()?;
        Some(raw.map(move |value| format!("{id}={}", value.to_string_lossy())))
    });
    values.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Args, Debug)]
    struct Own {
        #[arg(long)]
        input: String,
        #[arg(long, default_value_t = 3)]
        limit: u32,
    }

    fn parse_words(words: &str) -> Result<Parsed<Own>, clap::Error> {
        parse("test", words.split(' ').map(OsString::from))
    }

    #[test]
    fn run_is_the_default_and_job_arguments_are_told_apart() {
        for words in [
            "job --input here --parallelism 2",
            "job run --parallelism 2 --input here",
        ] {
            let parsed = parse_words(words).unwrap();
            assert!(
                matches!(&parsed.request, Request::Run { job, .. } if job.input == "here" && job.limit == 3)
            );
            assert_eq!(parsed.job_arguments, ["input=here", "limit=3"]);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in [
            "job",
            "job --input x --parallelism 0",
            "job --input x --interval soon",
            "job --input x --restart sometimes",
            "job --input x --fresh --from-savepoint y",
            "job --input x --metrics-address here",
            "job --input x --metrics-address 127.0.0.1",
            "job --input x --progress sometimes",
            "job savepoint",
            "job plan",
            "job plan --input x --json --mermaid",
        ] {
            assert!(parse_words(words).is_err(), "{words} was accepted");
        }
    }

    #[test]
    fn metrics_stay_on_loopback_unless_another_address_is_given() {
        for (given, address) in [
            ("0", "127.0.0.1:0"),
            ("9249", "127.0.0.1:9249"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("0.0.0.0:9249", "0.0.0.0:9249"),
            ("[::1]:9249", "[::1]:9249"),
        ] {
            let parsed = parse_words(&format!("job --input x --metrics-address {given}")).unwrap();
            let Request::Run { run, .. } = parsed.request else {
                panic!("running was meant");
            };
            assert_eq!(run.metrics_address, Some(address.parse().unwrap()));
        }
    }

    #[test]
    fn progress_is_live_only_where_lines_can_change() {
        use ProgressView::*;
        for (words, on_terminal, elsewhere) in [
            ("", Live, None),
            (" --progress auto", Live, None),
            (" --progress live", Live, Plain),
            (" --progress plain", Plain, Plain),
            (" --progress always", Plain, Plain),
            (" --progress never", None, None),
        ] {
            let parsed = parse_words(&format!("job --input x{words}")).unwrap();
            let Request::Run { run, .. } = parsed.request else {
                panic!("running was meant");
            };
            let views = (run.progress.on(true), run.progress.on(false));
            assert_eq!(views, (on_terminal, elsewhere), "{words}");
        }
    }

    #[test]
    fn savepoints_and_checkpoints_need_no_job_arguments() {
        for words in [
            "job savepoint take before-upgrade",
            "job savepoint --checkpoint-dir here ls",
            "job checkpoints ls",
        ] {
            parse_words(words).unwrap();
        }
    }

    #[test]
    fn the_default_directory_is_named_after_the_job() {
        let place = Place { checkpoint_dir: None };
        assert!(place.location("carrier-delays").ends_with("carrier-delays"));
        assert!(place.location("../x").ends_with("___x"));
    }
}
