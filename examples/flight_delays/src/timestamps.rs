//! Event time in records: RFC 3339 in files that people read, milliseconds everywhere else.

use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use tidegate::EventTime;

/// Writes a time.
///
/// # Errors
/// A time before 1970 or after the year 9999 has no text.
pub(crate) fn serialize<S: Serializer>(time: &EventTime, serializer: S) -> Result<S::Ok, S::Error> {
    if !serializer.is_human_readable() {
        return time.0.serialize(serializer);
    }
    let since_1970 = u64::try_from(time.0).map_err(|_| S::Error::custom(format!("{time} is before 1970")))?;
    let time = UNIX_EPOCH + Duration::from_millis(since_1970);
    // Fails where the formatter does, instead of panicking like `to_string`.
    serializer.collect_str(&humantime::format_rfc3339_seconds(time))
}

/// Reads a time.
///
/// # Errors
/// What is no RFC 3339 time in UTC, such as `2013-01-01T10:15:00Z`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EventTime, D::Error> {
    if !deserializer.is_human_readable() {
        return i64::deserialize(deserializer).map(EventTime);
    }
    let text = String::deserialize(deserializer)?;
    let time = humantime::parse_rfc3339(&text).map_err(|why| {
        D::Error::custom(format!(
            "{text:?} is no time like \"2013-01-01T10:15:00Z\": {why}"
        ))
    })?;
    let since_1970 = time.duration_since(UNIX_EPOCH).map_err(D::Error::custom)?;
    i64::try_from(since_1970.as_millis())
        .map(EventTime)
        .map_err(D::Error::custom)
}
