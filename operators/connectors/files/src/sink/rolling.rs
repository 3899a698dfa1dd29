//! When a file is closed and another begun. Pure.

use tidegate_core::ProcessingTime;

/// The default size at which a part is closed.
const MAX_PART_BYTES: u64 = 1024 * 1024 * 1024;

/// How large and how old a part may get before the next checkpoint closes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rolling {
    /// Before compression.
    pub(super) max_bytes: u64,
    pub(super) max_age_ms: Option<i64>,
}

impl Default for Rolling {
    fn default() -> Self {
        Self {
            max_bytes: MAX_PART_BYTES,
            max_age_ms: None,
        }
    }
}

impl Rolling {
    /// Whether a part of this size, whose first record came at `since`, is to be closed.
    pub(super) fn closes(self, bytes: u64, since: Option<ProcessingTime>, now: ProcessingTime) -> bool {
        let is_old = match (self.max_age_ms, since) {
            (Some(age), Some(since)) => now.0.saturating_sub(since.0) >= age,
            _ => false,
        };
        bytes >= self.max_bytes || is_old
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_close_by_size_or_by_age() {
        let rolling = Rolling {
            max_bytes: 100,
            max_age_ms: Some(10),
        };
        let at = |ms| Some(ProcessingTime(ms));
        let cases = [
            (99, at(5), 14, false),
            (100, at(5), 5, true),
            (1, at(5), 15, true),
            (0, None, 1000, false),
            (1, at(i64::MAX), i64::MIN, false),
        ];
        for (bytes, since, now, expected) in cases {
            assert_eq!(
                rolling.closes(bytes, since, ProcessingTime(now)),
                expected,
                "{bytes} {since:?} {now}"
            );
        }
        assert!(!Rolling::default().closes(1, at(0), ProcessingTime(i64::MAX)));
    }
}
