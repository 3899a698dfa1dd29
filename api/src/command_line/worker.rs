//! `worker` and `describe`: what a job's executable does for a job manager.

use std::{
    ffi::OsString,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use clap::{Args, Command};
use tidegate_core::{Faults, JobId};
use tidegate_driver::JobStore;
use tidegate_exchange::PeerSecret;
use tidegate_proto::control::{ClusterSecret, ProtocolRange, Registration};
use tidegate_worker::{CoordinatorLink, LinkOptions, Worker, WorkerOptions};

use super::{
    arguments::{Place, default_parallelism, directory_name},
    supervision::end_of_supervision,
};
use crate::{
    Job, Result,
    error::{Error, ExitCode},
};

/// Where the cluster secret is taken from: arguments can be read by every process of the machine.
const SECRET_VARIABLE: &str = "TIDEGATE_CLUSTER_SECRET";
/// Threads for sockets, the store and timers; operators have their own.
const IO_THREADS: usize = 2;
/// How long tasks may take to end when they are told to.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// The job's own arguments, behind `--`, where they cannot be taken for those of the mode.
#[derive(Args, Clone, Debug)]
pub(super) struct JobWords {
    /// The job's own arguments.
    #[arg(last = true, value_name = "JOB ARGUMENTS")]
    words: Vec<OsString>,
}

impl JobWords {
    /// What the job makes of them.
    ///
    /// # Errors
    /// What clap says about them.
    pub(super) fn parse<A: Args>(&self, job: &str) -> Result<A> {
        let command = A::augment_args(Command::new(job.to_owned()).no_binary_name(true));
        let matches = command.try_get_matches_from(&self.words).map_err(Error::other)?;
        A::from_arg_matches(&matches).map_err(Error::other)
    }
}

/// How to work for a job manager.
#[derive(Args, Clone, Debug)]
pub(super) struct WorkerArguments {
    /// Where the job manager listens for workers.
    #[arg(long, value_name = "URL")]
    coordinator: String,
    /// The job to work for [default: the name of this one].
    #[arg(long = "job", value_name = "JOB")]
    job_id: Option<String>,
    /// What this worker is called; it replaces another of the job with the same name.
    #[arg(long, value_name = "NAME")]
    worker: String,
    /// How many slots it has [default: the cores].
    #[arg(long, value_name = "SLOTS", value_parser = clap::value_parser!(u32).range(1..=32768))]
    slots: Option<u32>,
    #[command(flatten)]
    place: Place,
    /// A folder of this machine where the worker may keep copies of its state, to restore from them when it can
    /// [default: none are kept].
    #[arg(long, value_name = "FOLDER")]
    local_dir: Option<PathBuf>,
    /// The address of this machine by which the job's other workers reach this one. Another than a loopback address needs
    /// the cluster secret.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    data_address: IpAddr,
    /// Where to listen for the job's other workers, if that is not at the data address on a port of the system's choice.
    #[arg(long, value_name = "ADDRESS:PORT")]
    data_bind: Option<SocketAddr>,
    /// The port by which the job's other workers reach this one, if it is not the one listened on.
    #[arg(long, value_name = "PORT")]
    data_port: Option<u16>,
    /// For how long to try to attach again when the job manager is lost; tasks go on meanwhile.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    reattach_timeout: Duration,
    /// End when standard input ends, which is how whoever started this process says that it is gone.
    #[arg(long)]
    supervised: bool,
    #[command(flatten)]
    pub(super) job: JobWords,
}

/// What a job manager must know of a job before it can run it, as one line of JSON.
pub(super) fn description(job: &Job) -> String {
    let protocol = ProtocolRange::worker_control();
    let description = serde_json::json!({
        "job": job.name(),
        "graph": job.graph(),
        "target": Registration::own_target(),
        "protocol": {"name": protocol.name, "oldest": protocol.oldest, "newest": protocol.newest},
    });
    format!("{description}\n")
}

/// Works until the job ends.
pub(super) fn run(job: &Job, arguments: &WorkerArguments) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(IO_THREADS)
        .thread_name("tidegate-io")
        .enable_all()
        .build()
        .map_err(Error::Threads)?;
    let worked = runtime.block_on(async {
        if !arguments.supervised {
            return work(job, arguments).await;
        }
        let orphaned = end_of_supervision()?;
        tokio::select! {
            worked = work(job, arguments) => worked,
            () = orphaned => Err(Error::Orphaned),
        }
    });
    // A blocking read of a source that hangs must not keep the process.
    runtime.shutdown_background();
    worked.map(|()| ExitCode::Success)
}

async fn work(job: &Job, arguments: &WorkerArguments) -> Result<()> {
    let store = JobStore::open(&arguments.place.location(job.name())).map_err(Error::Storage)?;
    let slots = arguments.slots.unwrap_or_else(default_parallelism);
    let secret = secret()?;
    let address = arguments.data_address;
    if address.is_unspecified() {
        return Err(Error::DataAddress { address });
    }
    let bind = arguments.data_bind.unwrap_or(SocketAddr::from((address, 0)));
    if let (Some(address), None) = (
        [address, bind.ip()].into_iter().find(|it| !it.is_loopback()),
        &secret,
    ) {
        return Err(Error::OpenDataPort { address });
    }
    let options = WorkerOptions {
        slots,
        job_root: store.root().clone(),
        data_bind: Some(bind),
        // Workers of one machine may be given one folder.
        local_directory: arguments
            .local_dir
            .as_ref()
            .map(|folder| folder.join(format!("segments-{}", directory_name(&arguments.worker)))),
        data_secret: secret.as_ref().map(|secret| PeerSecret::new(secret.as_bytes())),
        // Other workers share the cores.
        spin: Duration::ZERO,
        cancel_timeout: CANCEL_TIMEOUT,
        faults: Faults::default(),
    };
    let worker = Worker::bind(options, job.program(), Arc::clone(store.store())).map_err(Error::Worker)?;
    let registration = Registration {
        job: JobId::new(arguments.job_id.as_deref().unwrap_or(job.name())),
        worker: arguments.worker.clone(),
        protocol: ProtocolRange::worker_control(),
        graph_fingerprint: job.graph().fingerprint(),
        data: worker
            .data_address()
            .map(|bound| SocketAddr::from((address, arguments.data_port.unwrap_or(bound.port())))),
        slots,
        target: Registration::own_target(),
        running: None,
    };
    let link = LinkOptions {
        secret,
        reattach_timeout: arguments.reattach_timeout,
        ..LinkOptions::to(&arguments.coordinator)
    };
    let link = CoordinatorLink::attach(link, registration).await?;
    tracing::info!(worker = %link.worker(), name = arguments.worker, "attached");
    Ok(link.run(worker).await?)
}

fn secret() -> Result<Option<ClusterSecret>> {
    match std::env::var(SECRET_VARIABLE) {
        Ok(text) => ClusterSecret::new(&text).map(Some).map_err(Error::Secret),
        Err(_) => Ok(None),
    }
}
