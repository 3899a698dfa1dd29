//! Where an executor's thread sleeps.

#[cfg(loom)]
pub(crate) use modelled::Parker;
#[cfg(not(loom))]
pub(crate) use native::Parker;

#[cfg(not(loom))]
mod native {
    use std::{
        sync::{Mutex, PoisonError},
        thread::{self, Thread},
        time::Duration,
    };

    /// Parks one thread. An unpark that comes first is kept for the next park.
    #[derive(Default)]
    pub(crate) struct Parker(Mutex<Option<Thread>>);

    impl Parker {
        /// Makes the calling thread the one that parks.
        pub(crate) fn attach(&self) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread::current());
        }

        /// Parks the calling thread, which must be the attached one. May return early.
        pub(crate) fn park(&self, timeout: Option<Duration>) {
            match timeout {
                Some(timeout) => thread::park_timeout(timeout),
                None => thread::park(),
            }
        }

        /// Unparks the attached thread. The lock is taken only when there is a thread to unpark.
        pub(crate) fn unpark(&self) {
            if let Some(thread) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
                thread.unpark();
            }
        }
    }
}

/// The model checker's own parking also ends other waits of the same thread, so the model gets the same contract made of
/// a condition.
#[cfg(loom)]
mod modelled {
    use std::time::Duration;

    use loom::sync::{Condvar, Mutex};

    use crate::sync::lock;

    pub(crate) struct Parker {
        is_unparked: Mutex<bool>,
        changed: Condvar,
    }

    impl Default for Parker {
        fn default() -> Self {
            Self {
                is_unparked: Mutex::new(false),
                changed: Condvar::new(),
            }
        }
    }

    impl Parker {
        pub(crate) fn attach(&self) {}

        pub(crate) fn park(&self, _timeout: Option<Duration>) {
            let mut is_unparked = lock(&self.is_unparked);
            while !*is_unparked {
                is_unparked = match self.changed.wait(is_unparked) {
                    Ok(guard) => guard,
                    Err(poisoned) => poisoned.into_inner(),
                };
            }
            *is_unparked = false;
        }

        pub(crate) fn unpark(&self) {
            *lock(&self.is_unparked) = true;
            self.changed.notify_one();
        }
    }
}
