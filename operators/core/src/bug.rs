//! Seeded bugs: known ways to be wrong, to show that the test suite notices.
//!
//! They exist only in builds with the feature `seeded-bugs`; there, the environment variable `TIDEGATE_SEEDED_BUG`
//! chooses one by its name.

/// A known way to be wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// A task takes its snapshot at the first barrier instead of the last.
    SkipAlignment,
    /// Sinks publish before the epoch is claimed.
    CommitBeforeClaim,
    /// One barrier of a fan-out is not sent.
    DropBarrier,
    /// A deletion leaves no tombstone.
    ForgetTombstone,
    /// A delta is measured from the last checkpoint tried, not from the last claimed.
    DeltaFromAborted,
    /// Channel ids are the same in every attempt and frames of another attempt are let through.
    ReuseChannelId,
    /// After a restore event time starts anew.
    WatermarkRegresses,
    /// A split or a channel that is idle holds the watermark back.
    IdleSplitHolds,
    /// A split that nobody has begun to read does not hold the watermark back.
    UnreadSplitIsIdle,
    /// A firing that a restore found under way starts from its beginning.
    RepeatFiring,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::SkipAlignment,
        Self::CommitBeforeClaim,
        Self::DropBarrier,
        Self::ForgetTombstone,
        Self::DeltaFromAborted,
        Self::ReuseChannelId,
        Self::RepeatFiring,
        Self::WatermarkRegresses,
        Self::IdleSplitHolds,
        Self::UnreadSplitIsIdle,
    ];
}

/// Whether `bug` is to be committed.
#[cfg(not(feature = "seeded-bugs"))]
#[inline(always)]
pub const fn is_seeded(_bug: Bug) -> bool {
    false
}

/// Whether `bug` is to be committed.
#[cfg(feature = "seeded-bugs")]
pub fn is_seeded(bug: Bug) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| std::env::var("TIDEGATE_SEEDED_BUG").ok());
    chosen.as_deref() == Some(format!("{bug:?}").as_str())
}
