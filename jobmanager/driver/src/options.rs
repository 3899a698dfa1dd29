//! Settings of a driver, as configuration files and flags write them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_coordinator::{CheckpointOptions, Requirement, RestartStrategy, StartMode};
use tidegate_core::Faults;

/// Durations as people write them: `"10s"`, `"1m 30s"`, `"200ms"`.
mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*value))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text)
            .map_err(|e| D::Error::custom(format!("{text:?} is not a duration: {e}; write it like \"10s\"")))
    }
}

/// A duration that need not be there.
mod optional_duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Written(#[serde(with = "super::duration")] Duration);

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(Written).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Option::<Written>::deserialize(deserializer).map(|written| written.map(|written| written.0))
    }
}

/// When checkpoints are taken and how many are kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct CheckpointSettings {
    /// From one trigger to the next.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// After which a checkpoint that has not been acknowledged and written is aborted.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// At least this long from the end of one to the next trigger.
    #[serde(with = "duration")]
    pub minimum_pause: Duration,
    /// How many failures in a row are tolerated; one more restarts the job.
    pub tolerable_failures: u32,
    /// How many checkpoints are kept, at least one.
    pub retained: u32,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        let CheckpointOptions {
            interval,
            timeout,
            minimum_pause,
            tolerable_failures,
            retained,
        } = CheckpointOptions::default();
        Self {
            interval,
            timeout,
            minimum_pause,
            tolerable_failures,
            retained,
        }
    }
}

impl From<&CheckpointSettings> for CheckpointOptions {
    fn from(settings: &CheckpointSettings) -> Self {
        Self {
            interval: settings.interval,
            timeout: settings.timeout,
            minimum_pause: settings.minimum_pause,
            tolerable_failures: settings.tolerable_failures,
            retained: settings.retained.max(1),
        }
    }
}

/// When and how often a failed job is restarted.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "strategy", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum RestartSettings {
    /// Waits longer after every failure, and short again after a time without any.
    ExponentialDelay {
        /// The first delay.
        #[serde(with = "duration")]
        initial: Duration,
        /// The longest delay.
        #[serde(with = "duration")]
        max: Duration,
        /// By how much each delay is longer than the one before.
        multiplier: f64,
        /// Up to which share of itself a delay is moved at random, from 0 to 1.
        jitter: f64,
        /// After how long without a failure the next delay is the first again.
        #[serde(with = "duration")]
        reset_after: Duration,
        /// How many failures without a reset are too many; without it there is no limit.
        #[serde(default)]
        attempts: Option<u32>,
    },
    /// Waits the same time, so many times.
    FixedDelay {
        /// How long.
        #[serde(with = "duration")]
        delay: Duration,
        /// How many restarts there are in all.
        attempts: u32,
    },
    /// Waits the same time, unless failures come too fast.
    FailureRate {
        /// How many failures in a window are tolerated.
        max_failures: u32,
        /// How long the window is.
        #[serde(with = "duration")]
        window: Duration,
        /// How long to wait.
        #[serde(with = "duration")]
        delay: Duration,
    },
    /// Never restarts.
    None,
}

impl Default for RestartSettings {
    /// Exponential without a limit in number: 50 ms to one minute, reset after ten minutes without a failure.
    fn default() -> Self {
        Self::ExponentialDelay {
            initial: Duration::from_millis(50),
            max: Duration::from_secs(60),
            multiplier: 2.0,
            jitter: 0.1,
            reset_after: Duration::from_secs(600),
            attempts: None,
        }
    }
}

impl From<&RestartSettings> for RestartStrategy {
    fn from(settings: &RestartSettings) -> Self {
        match *settings {
            RestartSettings::ExponentialDelay {
                initial,
                max,
                multiplier,
                jitter,
                reset_after,
                attempts,
            } => Self::ExponentialDelay {
                initial,
                max,
                multiplier,
                jitter,
                reset_after,
                attempts,
            },
            RestartSettings::FixedDelay { delay, attempts } => Self::FixedDelay { delay, attempts },
            RestartSettings::FailureRate {
                max_failures,
                window,
                delay,
            } => Self::FailureRate {
                max_failures,
                window,
                delay,
            },
            RestartSettings::None => Self::None,
        }
    }
}

/// From where a job starts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartSetting {
    /// From the tail of its chain; from nothing when there is none.
    #[default]
    Resume,
    /// From nothing, as a new lineage. What the chain held is no longer reachable and is collected in time.
    Fresh,
    /// From a savepoint, as a new lineage: the name of one of this job's own, or the location of any.
    FromSavepoint(String),
}

impl From<&StartSetting> for StartMode {
    fn from(setting: &StartSetting) -> Self {
        match setting {
            StartSetting::Resume => Self::Resume,
            StartSetting::Fresh => Self::Fresh,
            StartSetting::FromSavepoint(location) => Self::FromSavepoint {
                location: location.clone(),
            },
        }
    }
}

/// What must be attached before tasks are deployed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequirementSetting {
    /// So many workers, whatever slots they have.
    Workers(u32),
    /// So many slots, on any number of workers.
    Slots(u32),
}

impl From<RequirementSetting> for Requirement {
    fn from(setting: RequirementSetting) -> Self {
        match setting {
            RequirementSetting::Workers(workers) => Self::Workers(workers),
            RequirementSetting::Slots(slots) => Self::Slots(slots),
        }
    }
}

/// Everything a driver can be told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct DriverOptions {
    /// From where to start.
    pub start: StartSetting,
    /// What to wait for before deploying.
    pub requirement: RequirementSetting,
    /// For how long workers that still run what a driver before this one deployed are waited for, to be gone on with; without
    /// it they are stopped, and the job begins anew from the tail. A job without a cluster has none: its workers die with it.
    #[serde(with = "optional_duration")]
    pub adoption: Option<Duration>,
    /// When to take checkpoints.
    pub checkpoints: CheckpointSettings,
    /// When to restart.
    pub restart: RestartSettings,
    /// How long workers may take to stop, and a cancelled job to finish a commit.
    #[serde(with = "duration")]
    pub stop_timeout: Duration,
    /// Whether state that no operator claims is dropped rather than refused.
    pub allow_non_restored_state: bool,
    /// Where tests make the process die.
    #[serde(skip)]
    pub faults: Faults,
}

impl Default for DriverOptions {
    fn default() -> Self {
        Self {
            start: StartSetting::Resume,
            requirement: RequirementSetting::Workers(1),
            adoption: None,
            checkpoints: CheckpointSettings::default(),
            restart: RestartSettings::default(),
            stop_timeout: Duration::from_secs(30),
            allow_non_restored_state: false,
            faults: Faults::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_written_as_people_write_them() {
        let options: DriverOptions = serde_json::from_str(
            r#"{"start": {"from-savepoint": "before-the-move"},
                "checkpoints": {"interval": "1m 30s", "retained": 5},
                "requirement": {"slots": 6}, "adoption": "5s",
                "restart": {"strategy": "fixed-delay", "delay": "200ms", "attempts": 3}}"#,
        )
        .unwrap();
        assert_eq!(
            options.start,
            StartSetting::FromSavepoint("before-the-move".into())
        );
        assert_eq!(options.checkpoints.interval, Duration::from_secs(90));
        assert_eq!(options.checkpoints.timeout, Duration::from_secs(600));
        assert_eq!(
            options.restart,
            RestartSettings::FixedDelay {
                delay: Duration::from_millis(200),
                attempts: 3
            }
        );
        assert_eq!(options.requirement, RequirementSetting::Slots(6));
        assert_eq!(options.adoption, Some(Duration::from_secs(5)));
        let text = serde_json::to_string(&options).unwrap();
        let again: DriverOptions = serde_json::from_str(&text).unwrap();
        assert_eq!(again.checkpoints, options.checkpoints);
    }

    #[test]
    fn mistakes_are_named() {
        let unknown = serde_json::from_str::<DriverOptions>(r#"{"checkpoint": {}}"#).unwrap_err();
        assert!(unknown.to_string().contains("checkpoint"), "{unknown}");
        let number = serde_json::from_str::<DriverOptions>(r#"{"stop-timeout": "ten"}"#).unwrap_err();
        assert!(number.to_string().contains("not a duration"), "{number}");
    }

    #[test]
    fn defaults_are_those_of_the_coordinator() {
        assert_eq!(
            RestartStrategy::from(&RestartSettings::default()),
            RestartStrategy::default()
        );
        assert_eq!(
            CheckpointOptions::from(&CheckpointSettings::default()),
            CheckpointOptions::default()
        );
    }
}
