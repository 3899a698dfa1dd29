//! Restart strategies as words.

use std::time::Duration;

use crate::options::RestartSettings;

/// A restart strategy from its form on the command line.
///
/// # Errors
/// In words, with all the forms there are.
pub(super) fn parse_restart(text: &str) -> Result<RestartSettings, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let strategy = match parts.as_slice() {
        ["none"] => RestartSettings::None,
        ["fixed", delay, attempts] => RestartSettings::FixedDelay {
            delay: duration(delay)?,
            attempts: count(attempts)?,
        },
        ["exponential", initial, max, attempts @ ..] if attempts.len() <= 1 => exponential(
            duration(initial)?,
            duration(max)?,
            attempts.first().map(|attempts| count(attempts)).transpose()?,
        ),
        ["rate", failures, window, delay] => RestartSettings::FailureRate {
            max_failures: count(failures)?,
            window: duration(window)?,
            delay: duration(delay)?,
        },
        _ => {
            return Err("expected `none`, `fixed:<delay>:<attempts>`, \
                        `exponential:<initial>:<max>[:<attempts>]` or `rate:<failures>:<window>:<delay>`"
                .to_owned());
        }
    };
    Ok(strategy)
}

fn exponential(first: Duration, longest: Duration, limit: Option<u32>) -> RestartSettings {
    match RestartSettings::default() {
        RestartSettings::ExponentialDelay {
            multiplier,
            jitter,
            reset_after,
            ..
        } => RestartSettings::ExponentialDelay {
            initial: first,
            max: longest,
            multiplier,
            jitter,
            reset_after,
            attempts: limit,
        },
        other => other,
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{text:?} is no duration: {error}"))
}

fn count(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text:?} is no count"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        assert_eq!(parse_restart("none").unwrap(), RestartSettings::None);
        assert_eq!(
            parse_restart("fixed:2s:3").unwrap(),
            RestartSettings::FixedDelay {
                delay: Duration::from_secs(2),
                attempts: 3
            }
        );
        assert!(matches!(
            parse_restart("exponential:100ms:1m").unwrap(),
            RestartSettings::ExponentialDelay { attempts: None, max, .. } if max == Duration::from_secs(60)
        ));
        assert!(matches!(
            parse_restart("rate:3:1m:1s").unwrap(),
            RestartSettings::FailureRate { max_failures: 3, .. }
        ));
    }

    #[test]
    fn other_words_are_refused() {
        for text in [
            "",
            "fixed",
            "fixed:2s",
            "fixed:x:3",
            "fixed:2s:x",
            "exponential:1s:2s:3:4",
            "rate:1:2",
        ] {
            assert!(parse_restart(text).is_err(), "{text:?} was accepted");
        }
    }
}
