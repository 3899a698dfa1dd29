//! How the program `tidegate-taskmanager` is configured.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_core::TaskManagerId;
use tidegate_proto::control::ClusterSecret;
use tidegate_settings::{ByteSize, Duration, Error, Loaded, LogSettings, Secret, Settings};

use crate::{
    memory,
    options::{
        ArtifactOptions, DescribeOptions, LinkOptions, LogOptions, MemoryControl, TaskManagerOptions,
        WorkerOptions,
    },
};

/// The task manager's settings.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct TaskManagerSettings {
    /// What the task manager is called: 1 to 64 letters, digits, dots, hyphens and underscores. Without it one is drawn
    /// and kept in the directory.
    pub id: Option<String>,
    /// How many slots it offers. Without it, as many as the machine has cores.
    pub slots: Option<u32>,
    /// The memory that it and its workers may use, as the cluster is told. Without it, all that the machine has.
    pub memory: Option<ByteSize>,
    /// Where it keeps executables, working directories and the logs of workers. No two task managers may share one.
    pub directory: PathBuf,
    /// The job manager.
    pub cluster: ClusterSection,
    /// Workers.
    pub workers: WorkerSection,
    /// Executables.
    pub artifacts: ArtifactSection,
    /// What workers write.
    pub worker_logs: WorkerLogSection,
    /// Asking executables what they are.
    pub describe: DescribeSection,
    /// Where the task manager is watched.
    pub metrics: MetricsSection,
    /// How the task manager itself logs.
    pub log: LogSettings,
}

/// The job manager.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ClusterSection {
    /// Where the job manager listens for task managers: `host:port` or `http://host:port`.
    #[schemars(extend("flag" = "job-manager"))]
    pub job_manager: String,
    /// What the processes of the cluster must know: 16 to 1024 visible ASCII characters.
    #[schemars(extend("environment" = "TIDEGATE_CLUSTER_SECRET"))]
    pub secret: Option<Secret>,
    /// From one sign of life to the next.
    pub heartbeat_interval: Duration,
    /// A job manager that has not been heard of for so long is lost, and looked for again.
    pub heartbeat_timeout: Duration,
    /// The longest pause between two tries to attach to the job manager.
    pub longest_pause: Duration,
}

/// Workers.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct WorkerSection {
    /// The address of this machine by which workers on other machines reach those here. One that is not a loopback
    /// address needs the cluster secret.
    pub data_address: IpAddr,
    /// Where workers listen for others, as `address:port`, if that is not at the data address on a port of the system's
    /// choice: behind a translation of addresses, say. A fixed port serves one worker at a time.
    pub data_bind: Option<SocketAddr>,
    /// The port by which workers on other machines reach those here, if it is not the one that is listened on.
    pub data_port: Option<u16>,
    /// How long a worker may take to end when it is told to; then it is killed.
    pub stop_grace: Duration,
    /// For how long a worker that has lost the job manager tries to attach again; its tasks run on meanwhile.
    pub reattach_timeout: Duration,
    /// The most memory of a worker per slot that it has, if its job does not say otherwise. Without it there is no limit.
    pub memory_per_slot: Option<ByteSize>,
    /// Who keeps workers within their memory: `watch` lets the task manager look at them several times a second, `auto`
    /// lets the kernel do it as well where the task manager's control group (version 2) is delegated to it.
    pub memory_control: MemoryControl,
}

/// Executables.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ArtifactSection {
    /// What executables may occupy that nobody uses; the least recently used are removed.
    pub cache: ByteSize,
    /// How long it may take to fetch one.
    pub fetch_timeout: Duration,
}

/// What workers write.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct WorkerLogSection {
    /// A worker's log file is begun anew at this size.
    pub file_size: ByteSize,
    /// How many files each worker has.
    pub files: u32,
    /// What the files of workers that have ended may occupy; the oldest are removed.
    pub total: ByteSize,
}

/// Asking executables what they are.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct DescribeSection {
    /// How long an executable may take to say what job it is.
    pub timeout: Duration,
    /// How much memory it may have meanwhile.
    pub memory: ByteSize,
    /// How much it may print.
    pub output: ByteSize,
}

/// Where the task manager is watched.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct MetricsSection {
    /// Where `/metrics`, `/healthz` and `/readyz` are served; port 0 lets the system choose. There is no password: another
    /// address than a loopback one is for networks that are trusted.
    pub address: SocketAddr,
}

impl Settings for TaskManagerSettings {
    const PROGRAM: &'static str = "taskmanager";
}

impl Default for TaskManagerSettings {
    fn default() -> Self {
        Self {
            id: None,
            slots: None,
            memory: None,
            directory: PathBuf::from("tidegate-taskmanager"),
            cluster: ClusterSection::default(),
            workers: WorkerSection::default(),
            artifacts: ArtifactSection::default(),
            worker_logs: WorkerLogSection::default(),
            describe: DescribeSection::default(),
            metrics: MetricsSection::default(),
            log: LogSettings::default(),
        }
    }
}

impl Default for ClusterSection {
    fn default() -> Self {
        let usual = LinkOptions::to("127.0.0.1:6123");
        Self {
            job_manager: usual.job_manager,
            secret: None,
            heartbeat_interval: usual.heartbeat_interval.into(),
            heartbeat_timeout: usual.heartbeat_timeout.into(),
            longest_pause: usual.longest_pause.into(),
        }
    }
}

impl Default for WorkerSection {
    fn default() -> Self {
        let usual = WorkerOptions::default();
        Self {
            data_address: usual.data_address,
            data_bind: usual.data_bind,
            data_port: usual.data_port,
            stop_grace: usual.stop_grace.into(),
            reattach_timeout: usual.reattach_timeout.into(),
            memory_per_slot: usual.memory_per_slot_bytes.map(ByteSize::bytes),
            memory_control: MemoryControl::Auto,
        }
    }
}

impl Default for ArtifactSection {
    fn default() -> Self {
        let usual = ArtifactOptions::default();
        Self {
            cache: ByteSize::bytes(usual.cache_bytes),
            fetch_timeout: usual.fetch_timeout.into(),
        }
    }
}

impl Default for WorkerLogSection {
    fn default() -> Self {
        let usual = LogOptions::default();
        Self {
            file_size: ByteSize::bytes(usual.file_bytes),
            files: usual.files,
            total: ByteSize::bytes(usual.total_bytes),
        }
    }
}

impl Default for DescribeSection {
    fn default() -> Self {
        let usual = DescribeOptions::default();
        Self {
            timeout: usual.timeout.into(),
            memory: ByteSize::bytes(usual.memory_bytes),
            output: ByteSize::bytes(usual.output_bytes),
        }
    }
}

impl Default for MetricsSection {
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
        }
    }
}

impl TaskManagerSettings {
    /// The options that the settings stand for.
    ///
    /// # Errors
    /// If a value cannot be used; names its key and where it is set.
    pub fn options(loaded: &Loaded<Self>) -> Result<TaskManagerOptions, Error> {
        let settings = &loaded.settings;
        let id = settings.id.as_deref().map(TaskManagerId::parse).transpose();
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
        let memory = settings.memory.map(ByteSize::get).or_else(memory::machine_bytes);
        Ok(TaskManagerOptions {
            id: id.map_err(|error| loaded.refuse("id", error))?,
            slots: settings.slots.unwrap_or(cores),
            memory_bytes: memory.unwrap_or(0),
            directory: settings.directory.clone(),
            link: link(loaded, &settings.cluster)?,
            artifacts: ArtifactOptions {
                cache_bytes: settings.artifacts.cache.get(),
                fetch_timeout: settings.artifacts.fetch_timeout.into(),
            },
            workers: WorkerOptions {
                data_address: settings.workers.data_address,
                data_bind: settings.workers.data_bind,
                data_port: settings.workers.data_port,
                stop_grace: settings.workers.stop_grace.into(),
                reattach_timeout: settings.workers.reattach_timeout.into(),
                memory_per_slot_bytes: settings.workers.memory_per_slot.map(ByteSize::get),
                memory_control: settings.workers.memory_control,
            },
            logs: LogOptions {
                file_bytes: settings.worker_logs.file_size.get(),
                files: settings.worker_logs.files,
                total_bytes: settings.worker_logs.total.get(),
            },
            describe: DescribeOptions {
                timeout: settings.describe.timeout.into(),
                memory_bytes: settings.describe.memory.get(),
                output_bytes: settings.describe.output.get(),
                ..DescribeOptions::default()
            },
        })
    }
}

fn link(loaded: &Loaded<TaskManagerSettings>, cluster: &ClusterSection) -> Result<LinkOptions, Error> {
    let secret = cluster
        .secret
        .as_ref()
        .map(|secret| ClusterSecret::new(secret.expose()));
    let job_manager = match cluster.job_manager.contains("://") {
        true => cluster.job_manager.clone(),
        false => format!("http://{}", cluster.job_manager),
    };
    Ok(LinkOptions {
        job_manager,
        secret: secret
            .transpose()
            .map_err(|error| loaded.refuse("cluster.secret", error))?,
        heartbeat_interval: cluster.heartbeat_interval.into(),
        heartbeat_timeout: cluster.heartbeat_timeout.into(),
        longest_pause: cluster.longest_pause.into(),
    })
}

#[cfg(test)]
mod tests {
    use tidegate_settings::{Sources, load, print};

    use super::*;

    fn loaded(environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Loaded<TaskManagerSettings> {
        let texts = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
            pairs.collect()
        };
        load(&Sources {
            environment: texts(environment),
            flags: texts(flags),
            ..Sources::default()
        })
        .unwrap()
    }

    #[test]
    fn defaults_stay_on_loopback_and_use_the_machine() {
        let options = TaskManagerSettings::options(&loaded(&[], &[])).unwrap();
        assert!(options.slots >= 1 && options.memory_bytes > 0);
        assert_eq!(options.link.job_manager, "http://127.0.0.1:6123");
        assert!(options.workers.data_address.is_loopback());
        assert!(MetricsSection::default().address.ip().is_loopback());
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_its_key() {
        type Pairs = &'static [(&'static str, &'static str)];
        let cases: [(Pairs, Pairs, &str); 2] = [
            (&[], &[("id", "../x")], "`id`"),
            (&[("TIDEGATE_CLUSTER_SECRET", "short")], &[], "`cluster.secret`"),
        ];
        for (environment, flags, key) in cases {
            let refused = TaskManagerSettings::options(&loaded(environment, flags)).unwrap_err();
            assert!(refused.to_string().contains(key), "{refused}");
        }
    }

    #[test]
    fn the_secret_is_taken_and_never_shown() {
        let loaded = loaded(&[("TIDEGATE_CLUSTER_SECRET", "fedcba9876543210")], &[]);
        let options = TaskManagerSettings::options(&loaded).unwrap();
        assert!(options.link.secret.is_some());
        let shown = format!("{options:?}{}", print(&loaded));
        assert!(!shown.contains("fedcba9876543210"), "{shown}");
    }
}
