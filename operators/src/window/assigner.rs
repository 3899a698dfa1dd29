//! Which windows there are: what people ask for, and the plan that is made of it.

use std::time::Duration;

use super::{error::WindowError, grid::Grid};

/// The longest duration that can be asked for, so that no sum of a time and a few durations overflows.
const LONGEST_MS: i64 = i64::MAX / 4;

/// Which clock puts records into windows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Clock {
    /// The records' own times; windows close when the watermark has passed.
    #[default]
    Event,
    /// The machine's clock when a record comes; windows close by the same clock.
    Processing,
}

/// What windows a stream is cut into: [`Tumbling`], [`Sliding`] or [`Session`].
pub trait WindowAssigner {
    /// Checks what was asked for.
    ///
    /// # Errors
    /// What is wrong with it.
    fn plan(&self) -> Result<WindowPlan, WindowError>;
}

/// Windows that can be had. Made from a [`WindowAssigner`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WindowPlan {
    pub(crate) shape: Shape,
    pub(crate) clock: Clock,
    pub(crate) lateness_ms: i64,
}

impl WindowPlan {
    /// The clock that these windows go by.
    pub fn clock(&self) -> Clock {
        self.clock
    }
}

/// How windows lie in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    /// The same for all keys.
    Grid(Grid),
    /// As the records of each key come.
    Sessions {
        /// How long after its last record a session ends.
        gap_ms: i64,
    },
}

/// What all windows can be given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Timing {
    clock: Clock,
    lateness: Duration,
}

impl Timing {
    fn plan(self, shape: Shape) -> Result<WindowPlan, WindowError> {
        if self.clock == Clock::Processing && !self.lateness.is_zero() {
            return Err(WindowError::LatenessInProcessingTime {
                lateness: self.lateness,
            });
        }
        Ok(WindowPlan {
            shape,
            clock: self.clock,
            lateness_ms: millis("allowed lateness", self.lateness)?,
        })
    }
}

fn millis(what: &'static str, duration: Duration) -> Result<i64, WindowError> {
    let millis = i64::try_from(duration.as_millis())
        .ok()
        .filter(|millis| *millis <= LONGEST_MS)
        .ok_or(WindowError::TooLong { what, duration })?;
    if Duration::from_millis(millis.unsigned_abs()) != duration {
        return Err(WindowError::NotWholeMilliseconds { what, duration });
    }
    Ok(millis)
}

fn positive_millis(what: &'static str, duration: Duration) -> Result<i64, WindowError> {
    if duration.is_zero() {
        return Err(WindowError::Zero { what });
    }
    millis(what, duration)
}

fn grid(size: Duration, slide: Duration, offset: Duration) -> Result<Shape, WindowError> {
    let size_ms = positive_millis("size", size)?;
    let slide_ms = positive_millis("slide", slide)?;
    let offset_ms = millis("offset", offset)?;
    if slide_ms > size_ms {
        return Err(WindowError::SlideBeyondSize { slide, size });
    }
    if offset_ms >= slide_ms {
        return Err(WindowError::Offset { offset, every: slide });
    }
    Ok(Shape::Grid(Grid::new(size_ms, slide_ms, offset_ms)))
}

macro_rules! timing {
    () => {
        /// Keeps windows for so long after the watermark has passed their end. A record that comes within this time
        /// updates its windows, and their results are emitted again; one that comes later is late.
        pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
            self.timing.lateness = lateness;
            self
        }

        /// Goes by the machine's clock instead of the times of the records. No record is ever late, and no result can
        /// be had a second time.
        pub fn processing_time(mut self) -> Self {
            self.timing.clock = Clock::Processing;
            self
        }
    };
}

/// Windows of one size, side by side: every record is in one of them.
///
/// ```text
///   time  ──────●──●────┬───●───────┬●────●──●──┬────▶
///               └ 10:00 ┘  └ 11:00  ┘
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub struct Tumbling {
    size: Duration,
    offset: Duration,
    timing: Timing,
}

impl Tumbling {
    /// Windows of this size, in whole milliseconds. They start at multiples of it since the Unix epoch.
    pub fn of(size: Duration) -> Self {
        Self {
            size,
            offset: Duration::ZERO,
            timing: Timing::default(),
        }
    }

    /// Lets windows start so much later: days of a time zone, hours that start at half past.
    pub fn offset(mut self, offset: Duration) -> Self {
        self.offset = offset;
        self
    }

    timing!();
}

impl WindowAssigner for Tumbling {
    fn plan(&self) -> Result<WindowPlan, WindowError> {
        self.timing.plan(grid(self.size, self.size, self.offset)?)
    }
}

/// Windows of one size that start more often than that: every record is in several of them.
///
/// ```text
///   time  ───●──●───●────●─────●──●────▶
///         └───── 10:00 ─────┘
///              └───── 10:15 ─────┘
///                   └───── 10:30 ─────┘
/// ```
///
/// What is kept is kept once per *slice*, the time between two window bounds, however many windows a record is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub struct Sliding {
    size: Duration,
    slide: Duration,
    offset: Duration,
    timing: Timing,
}

impl Sliding {
    /// Windows of `size` that start every `slide`, both in whole milliseconds, since the Unix epoch.
    pub fn of(size: Duration, slide: Duration) -> Self {
        Self {
            size,
            slide,
            offset: Duration::ZERO,
            timing: Timing::default(),
        }
    }

    /// Lets windows start so much later.
    pub fn offset(mut self, offset: Duration) -> Self {
        self.offset = offset;
        self
    }

    timing!();
}

impl WindowAssigner for Sliding {
    fn plan(&self) -> Result<WindowPlan, WindowError> {
        self.timing.plan(grid(self.size, self.slide, self.offset)?)
    }
}

/// Windows that each key makes for itself: records not more than a gap apart are in one of them. It ends a gap after the last.
///
/// ```text
///   ord  ──●─●──●─────────────●──●──▶
///          └──────gap┘        └─────gap┘
///   sfo  ─────●──────────●────────────▶
///             └─gap┘     └─gap┘
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub struct Session {
    gap: Duration,
    timing: Timing,
}

impl Session {
    /// Sessions that end when nothing came for `gap`, in whole milliseconds.
    pub fn with_gap(gap: Duration) -> Self {
        Self {
            gap,
            timing: Timing::default(),
        }
    }

    timing!();
}

impl WindowAssigner for Session {
    fn plan(&self) -> Result<WindowPlan, WindowError> {
        let gap_ms = positive_millis("gap", self.gap)?;
        self.timing.plan(Shape::Sessions { gap_ms })
    }
}
