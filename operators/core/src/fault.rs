//! Named places where tests make a process die.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

/// A place at which a crash is interesting.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FaultPoint {
    /// A task has taken a barrier and has frozen nothing yet.
    BeforeFreeze,
    /// Some of a task's frozen state has been serialised.
    MidScan,
    /// A segment is about to be uploaded.
    BeforeUpload,
    /// A segment has been uploaded and nobody knows yet.
    AfterUpload,
    /// All have acknowledged; no manifest is written.
    BeforeManifest,
    /// The manifest is written; the epoch is not claimed.
    BeforeClaim,
    /// The epoch is claimed; nobody has been told.
    AfterClaim,
    /// A worker has been told to commit and has published nothing.
    BeforeCommit,
    /// A committer has published some of its files.
    MidCommit,
    /// Everything is published; nobody knows yet.
    AfterCommit,
    /// Some of what garbage collection was to delete is deleted.
    MidCollection,
}

impl FaultPoint {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::BeforeFreeze,
        Self::MidScan,
        Self::BeforeUpload,
        Self::AfterUpload,
        Self::BeforeManifest,
        Self::BeforeClaim,
        Self::AfterClaim,
        Self::BeforeCommit,
        Self::MidCommit,
        Self::AfterCommit,
        Self::MidCollection,
    ];
}

/// Decides where to die. Production code carries the default, which never does.
///
/// Once it has struck, everything that shares it is dead: it has no further effect on the outside.
#[derive(Clone, Default)]
pub struct Faults(Option<Arc<Inner>>);

struct Inner {
    decide: Box<dyn Fn(FaultPoint) -> bool + Send + Sync>,
    dead: AtomicBool,
}

impl Faults {
    /// Faults that strike when `decide` says so.
    pub fn new(decide: impl Fn(FaultPoint) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(Inner {
            decide: Box::new(decide),
            dead: AtomicBool::new(false),
        })))
    }

    /// Whether the process dies here, or is dead already. The caller then returns without any further effect.
    #[must_use]
    pub fn strikes(&self, point: FaultPoint) -> bool {
        let Some(inner) = &self.0 else { return false };
        if inner.dead.load(SeqCst) {
            return true;
        }
        let struck = (inner.decide)(point);
        if struck {
            inner.dead.store(true, SeqCst);
        }
        struck
    }

    /// Whether a fault can strike at all; whoever waits for something a dead party would have done, watches out only
    /// then.
    pub fn is_armed(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a fault has struck.
    pub fn is_dead(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| inner.dead.load(SeqCst))
    }

    /// Kills by hand.
    pub fn kill(&self) {
        if let Some(inner) = &self.0 {
            inner.dead.store(true, SeqCst);
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults")
            .field("armed", &self.0.is_some())
            .field("dead", &self.is_dead())
            .finish()
    }
}
