//! How the program `tidegate-jobmanager` is configured.

use std::net::{Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_driver::{CheckpointSettings, RestartSettings};
use tidegate_proto::control::ClusterSecret;
use tidegate_settings::{ByteSize, Duration, Error, Loaded, LogSettings, Secret, Settings};

use crate::{
    WorkerPortOptions,
    cluster::ClusterOptions,
    rest::{BearerToken, Exposure, RestOptions},
};

/// The job manager's settings.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct JobManagerSettings {
    /// Where the cluster keeps everything: a directory, `file://`, or `s3://bucket/path`. It must mean the same on every
    /// machine of the cluster. Has to be set.
    pub storage: Option<String>,
    /// Where people reach the cluster.
    pub rest: RestSection,
    /// Where workers and task managers attach.
    pub cluster: ClusterSection,
    /// What jobs are like that do not say otherwise.
    pub jobs: JobSection,
    /// When jobs take checkpoints that do not say otherwise.
    pub checkpoints: CheckpointSection,
    /// When failed jobs are restarted that do not say otherwise.
    pub restart: RestartSection,
    /// Executables.
    pub artifacts: ArtifactSection,
    /// How the job manager logs.
    pub log: LogSettings,
}

/// Where people reach the cluster.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct RestSection {
    /// Where the REST server listens; port 0 lets the system choose. An address that is not a loopback one needs a token.
    pub address: SocketAddr,
    /// What every request must carry as `authorization: Bearer …`: 16 to 1024 visible ASCII characters.
    #[schemars(extend("environment" = "TIDEGATE_TOKEN"))]
    pub token: Option<Secret>,
    /// Serves everybody who reaches the address, without a token. Whoever does can run code in the cluster.
    #[schemars(extend("flag" = "insecure"))]
    pub insecure: bool,
    /// How many clients may be connected; for one more, the one that has been idle for the longest is disconnected.
    pub max_connections: usize,
    /// How long a client may take to say what it wants, and be connected without saying it.
    pub idle_timeout: Duration,
}

/// Where workers and task managers attach.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ClusterSection {
    /// Where task managers and workers attach; port 0 lets the system choose. An address that is not a loopback one needs
    /// a secret.
    pub address: SocketAddr,
    /// What task managers and workers must know: 16 to 1024 visible ASCII characters.
    #[schemars(extend("environment" = "TIDEGATE_CLUSTER_SECRET"))]
    pub secret: Option<Secret>,
    /// From one sign of life to the next.
    pub heartbeat_interval: Duration,
    /// A process that has not been heard of for so long is lost.
    pub heartbeat_timeout: Duration,
    /// How long a task manager may take to describe an executable or to answer about its logs.
    pub answer_timeout: Duration,
}

/// What jobs are like that do not say otherwise.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct JobSection {
    /// The parallelism of a job that is submitted without one.
    pub default_parallelism: u32,
    /// The most memory of a job's worker; one that uses more fails its job. Without it there is no limit.
    pub worker_memory: Option<ByteSize>,
}

/// When jobs take checkpoints.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct CheckpointSection {
    /// From one trigger to the next.
    pub interval: Duration,
    /// After which a checkpoint that has not been acknowledged and written is given up.
    pub timeout: Duration,
    /// At least this long from the end of one to the next trigger.
    pub minimum_pause: Duration,
    /// How many failures in a row are tolerated; one more restarts the job.
    pub tolerable_failures: u32,
    /// How many checkpoints are kept, at least one.
    pub retained: u32,
}

/// When failed jobs are restarted.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct RestartSection {
    /// `exponential-delay` waits longer after every failure, `fixed-delay` always as long, `failure-rate` as long unless
    /// failures come too fast, `none` never restarts.
    pub strategy: RestartWord,
    /// How long to wait; with `exponential-delay`, at first.
    pub delay: Duration,
    /// With `exponential-delay`: the longest delay.
    pub max_delay: Duration,
    /// With `exponential-delay`: by how much each delay is longer than the one before.
    pub multiplier: f64,
    /// With `exponential-delay`: up to which share of itself a delay is moved at random, from 0 to 1.
    pub jitter: f64,
    /// With `exponential-delay`: after how long without a failure the next delay is the first again.
    pub reset_after: Duration,
    /// With `exponential-delay` and `fixed-delay`: how many restarts there are; without it there is no limit.
    pub attempts: Option<u32>,
    /// With `failure-rate`: how many failures in a window are tolerated.
    pub max_failures: u32,
    /// With `failure-rate`: how long the window is.
    pub window: Duration,
}

/// The name of a way to restart.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum RestartWord {
    /// Waits longer after every failure.
    ExponentialDelay,
    /// Waits the same time.
    FixedDelay,
    /// Waits the same time, unless failures come too fast.
    FailureRate,
    /// Never restarts.
    None,
}

/// Executables.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ArtifactSection {
    /// The largest executable that is taken.
    pub limit: ByteSize,
    /// How old an executable that no job runs must be before it is deleted.
    pub retention: Duration,
}

impl Settings for JobManagerSettings {
    const PROGRAM: &'static str = "jobmanager";
}

impl Default for RestSection {
    fn default() -> Self {
        let RestOptions {
            max_connections,
            idle_timeout,
            ..
        } = RestOptions::default();
        Self {
            address: (Ipv4Addr::LOCALHOST, 8081).into(),
            token: None,
            insecure: false,
            max_connections,
            idle_timeout: idle_timeout.into(),
        }
    }
}

impl Default for ClusterSection {
    fn default() -> Self {
        let port = WorkerPortOptions::default();
        Self {
            address: (Ipv4Addr::LOCALHOST, 6123).into(),
            secret: None,
            heartbeat_interval: port.heartbeat_interval.into(),
            heartbeat_timeout: port.heartbeat_timeout.into(),
            answer_timeout: usual().answer_timeout.into(),
        }
    }
}

impl Default for JobSection {
    fn default() -> Self {
        let usual = usual();
        Self {
            default_parallelism: usual.default_parallelism,
            worker_memory: usual.worker_memory_bytes.map(ByteSize::bytes),
        }
    }
}

impl Default for CheckpointSection {
    fn default() -> Self {
        let CheckpointSettings {
            interval,
            timeout,
            minimum_pause,
            tolerable_failures,
            retained,
        } = usual().checkpoints;
        Self {
            interval: interval.into(),
            timeout: timeout.into(),
            minimum_pause: minimum_pause.into(),
            tolerable_failures,
            retained,
        }
    }
}

impl Default for RestartSection {
    fn default() -> Self {
        let mut section = Self {
            strategy: RestartWord::ExponentialDelay,
            delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(60),
            multiplier: 2.0,
            jitter: 0.1,
            reset_after: Duration::from_secs(600),
            attempts: None,
            max_failures: 3,
            window: Duration::from_secs(60),
        };
        if let RestartSettings::ExponentialDelay {
            initial,
            max,
            multiplier,
            jitter,
            reset_after,
            attempts,
        } = usual().restart
        {
            section.delay = initial.into();
            section.max_delay = max.into();
            section.multiplier = multiplier;
            section.jitter = jitter;
            section.reset_after = reset_after.into();
            section.attempts = attempts;
        }
        section
    }
}

impl Default for ArtifactSection {
    fn default() -> Self {
        let usual = usual();
        Self {
            limit: ByteSize::bytes(usual.artifact_limit_bytes),
            retention: usual.artifact_retention.into(),
        }
    }
}

/// The library's own defaults.
fn usual() -> ClusterOptions {
    ClusterOptions::at("")
}

/// The options of the library that settings stand for.
///
/// # Errors
/// If a value cannot be used; names its key and where it is set.
pub fn options_of(loaded: &Loaded<JobManagerSettings>) -> Result<(ClusterOptions, RestOptions), Error> {
    let settings = &loaded.settings;
    Ok((
        cluster_options(loaded, settings)?,
        rest_options(loaded, &settings.rest)?,
    ))
}

fn cluster_options(
    loaded: &Loaded<JobManagerSettings>,
    settings: &JobManagerSettings,
) -> Result<ClusterOptions, Error> {
    let Some(storage) = &settings.storage else {
        let reason =
            "it is not set; name a directory that all machines share, or a bucket, such as s3://bucket/path";
        return Err(loaded.refuse("storage", reason));
    };
    if !(1..=32_768).contains(&settings.jobs.default_parallelism) {
        return Err(loaded.refuse("jobs.default-parallelism", "it is from 1 to 32768"));
    }
    let cluster = &settings.cluster;
    let secret = cluster
        .secret
        .as_ref()
        .map(|secret| ClusterSecret::new(secret.expose()));
    let port = WorkerPortOptions {
        listen: cluster.address,
        secret: secret
            .transpose()
            .map_err(|error| loaded.refuse("cluster.secret", error))?,
        heartbeat_interval: cluster.heartbeat_interval.into(),
        heartbeat_timeout: cluster.heartbeat_timeout.into(),
    };
    Ok(ClusterOptions {
        port,
        default_parallelism: settings.jobs.default_parallelism,
        checkpoints: checkpoints(&settings.checkpoints),
        restart: restart(loaded, &settings.restart)?,
        artifact_limit_bytes: settings.artifacts.limit.get(),
        artifact_retention: settings.artifacts.retention.into(),
        worker_memory_bytes: settings.jobs.worker_memory.map(ByteSize::get),
        answer_timeout: cluster.answer_timeout.into(),
        ..ClusterOptions::at(storage)
    })
}

fn rest_options(loaded: &Loaded<JobManagerSettings>, rest: &RestSection) -> Result<RestOptions, Error> {
    let token = rest.token.as_ref().map(|token| BearerToken::new(token.expose()));
    if rest.max_connections == 0 {
        return Err(loaded.refuse("rest.max-connections", "nobody could be served; allow at least 1"));
    }
    if rest.idle_timeout.get().is_zero() {
        return Err(loaded.refuse(
            "rest.idle-timeout",
            "nobody could be served; allow at least \"1s\"",
        ));
    }
    Ok(RestOptions {
        listen: rest.address,
        token: token
            .transpose()
            .map_err(|error| loaded.refuse("rest.token", error))?,
        exposure: match rest.insecure {
            true => Exposure::Insecure,
            false => Exposure::LoopbackOnly,
        },
        max_connections: rest.max_connections,
        idle_timeout: rest.idle_timeout.into(),
        // Secrets redact themselves.
        shown_settings: serde_json::to_value(&loaded.settings)
            .map_err(|error| loaded.refuse("storage", format!("the settings cannot be shown: {error}")))?,
    })
}

fn checkpoints(section: &CheckpointSection) -> CheckpointSettings {
    CheckpointSettings {
        interval: section.interval.into(),
        timeout: section.timeout.into(),
        minimum_pause: section.minimum_pause.into(),
        tolerable_failures: section.tolerable_failures,
        retained: section.retained,
    }
}

fn restart(loaded: &Loaded<JobManagerSettings>, section: &RestartSection) -> Result<RestartSettings, Error> {
    if !section.multiplier.is_finite() || section.multiplier < 1.0 {
        return Err(loaded.refuse("restart.multiplier", "it is at least 1"));
    }
    if !(0.0..=1.0).contains(&section.jitter) {
        return Err(loaded.refuse("restart.jitter", "it is from 0 to 1"));
    }
    Ok(match section.strategy {
        RestartWord::ExponentialDelay => RestartSettings::ExponentialDelay {
            initial: section.delay.into(),
            max: section.max_delay.into(),
            multiplier: section.multiplier,
            jitter: section.jitter,
            reset_after: section.reset_after.into(),
            attempts: section.attempts,
        },
        RestartWord::FixedDelay => RestartSettings::FixedDelay {
            delay: section.delay.into(),
            attempts: section.attempts.unwrap_or(u32::MAX),
        },
        RestartWord::FailureRate => RestartSettings::FailureRate {
            max_failures: section.max_failures,
            window: section.window.into(),
            delay: section.delay.into(),
        },
        RestartWord::None => RestartSettings::None,
    })
}

#[cfg(test)]
mod tests {
    use tidegate_settings::{Sources, load, print};

    use super::*;

    fn load_flags(flags: &[(&str, &str)]) -> Loaded<JobManagerSettings> {
        let flags = flags
            .iter()
            .map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
        let sources = Sources {
            flags: flags.collect(),
            ..Sources::default()
        };
        load(&sources).unwrap()
    }

    #[test]
    fn defaults_are_those_of_the_library() {
        let (cluster, rest) = options_of(&load_flags(&[("storage", "/data")])).unwrap();
        let usual = ClusterOptions::at("/data");
        assert_eq!(cluster.storage, usual.storage);
        assert_eq!(cluster.checkpoints, usual.checkpoints);
        assert_eq!(cluster.restart, usual.restart);
        assert_eq!(cluster.artifact_limit_bytes, usual.artifact_limit_bytes);
        assert_eq!(rest.exposure, Exposure::LoopbackOnly);
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_its_key() {
        let cases: [(&[(&str, &str)], &str); 6] = [
            (&[], "storage"),
            (
                &[("storage", "d"), ("jobs.default-parallelism", "0")],
                "jobs.default-parallelism",
            ),
            (&[("storage", "d"), ("restart.jitter", "1.5")], "restart.jitter"),
            (
                &[("storage", "d"), ("restart.multiplier", "0.5")],
                "restart.multiplier",
            ),
            (
                &[("storage", "d"), ("rest.max-connections", "0")],
                "rest.max-connections",
            ),
            (
                &[("storage", "d"), ("rest.idle-timeout", "0s")],
                "rest.idle-timeout",
            ),
        ];
        for (flags, key) in cases {
            let refused = options_of(&load_flags(flags)).unwrap_err().to_string();
            assert!(refused.contains(&format!("`{key}`")), "{refused}");
        }
    }

    #[test]
    fn secrets_are_checked_and_never_shown() {
        let environment = |token: &str| Sources {
            environment: vec![
                ("TIDEGATE_TOKEN".to_owned(), token.to_owned()),
                (
                    "TIDEGATE_CLUSTER_SECRET".to_owned(),
                    "fedcba9876543210".to_owned(),
                ),
            ],
            flags: vec![("storage".to_owned(), "d".to_owned())],
            ..Sources::default()
        };
        let refused = options_of(&load(&environment("short")).unwrap())
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("`rest.token`") && !refused.contains("short"),
            "{refused}"
        );
        let loaded = load::<JobManagerSettings>(&environment("0123456789abcdef")).unwrap();
        let (cluster, rest) = options_of(&loaded).unwrap();
        assert!(rest.token.is_some() && cluster.port.secret.is_some());
        let shown = format!("{}{}{rest:?}{cluster:?}", rest.shown_settings, print(&loaded));
        assert!(
            !shown.contains("0123456789abcdef") && !shown.contains("fedcba9876543210"),
            "{shown}"
        );
    }
}
