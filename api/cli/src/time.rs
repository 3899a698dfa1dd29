//! Times and durations as people read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A time in milliseconds since the Unix epoch, in UTC and to the second; `-` for one that has not come.
pub(crate) fn time(milliseconds: i64) -> String {
    match u64::try_from(milliseconds) {
        Ok(milliseconds) => at(milliseconds).map_or_else(
            || "-".to_owned(),
            |time| humantime::format_rfc3339_seconds(time).to_string(),
        ),
        Err(_) => "-".to_owned(),
    }
}

fn at(milliseconds: u64) -> Option<SystemTime> {
    // What `humantime` can write ends with the year 9999.
    const LAST: u64 = 253_402_300_799_000;
    (milliseconds <= LAST).then(|| UNIX_EPOCH + Duration::from_millis(milliseconds))
}

/// A duration in milliseconds, in its two largest units; `-` for one that has not begun.
pub(crate) fn duration(milliseconds: i64) -> String {
    let Ok(milliseconds) = u64::try_from(milliseconds) else {
        return "-".to_owned();
    };
    let duration = if milliseconds >= 10_000 {
        Duration::from_secs(milliseconds / 1000)
    } else {
        Duration::from_millis(milliseconds)
    };
    let written = humantime::format_duration(duration).to_string();
    written.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// A duration in microseconds, in its two largest units.
pub(crate) fn microseconds(microseconds: u64) -> String {
    let written = humantime::format_duration(Duration::from_micros(microseconds)).to_string();
    written.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations_are_readable() {
        assert_eq!(time(-1), "-");
        assert_eq!(time(i64::MAX), "-");
        assert_eq!(time(1_700_000_000_123), "2023-11-14T22:13:20Z");
        for (milliseconds, text) in [
            (-1, "-"),
            (0, "0s"),
            (7, "7ms"),
            (9_250, "9s 250ms"),
            (61_250, "1m 1s"),
            (90_061_000, "1day 1h"),
        ] {
            assert_eq!(duration(milliseconds), text);
        }
        assert!(!duration(i64::MAX).is_empty());
        assert_eq!(microseconds(1_002_003), "1s 2ms");
    }
}
