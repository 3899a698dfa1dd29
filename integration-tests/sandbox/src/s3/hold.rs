//! A request that waits while a test does something at just that moment.
//!
//! What a process does is seen in what it asks of the store. So the points of a checkpoint at which a death is interesting
//! are requests: before and after a segment is uploaded, the manifest is written, the epoch is claimed, the commit is noted.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::wait::within;

/// When a request waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// Before it is carried out.
    Before,
    /// When it has been carried out and nobody knows yet.
    After,
}

/// Where requests wait until they are let go. Clones are the same place.
#[derive(Clone, Debug)]
pub struct Hold {
    moment: Moment,
    waiting: Arc<watch::Sender<u32>>,
    released: Arc<watch::Sender<bool>>,
}

impl PartialEq for Hold {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.waiting, &other.waiting)
    }
}

impl Eq for Hold {}

impl Hold {
    /// A place at which nobody waits yet.
    pub fn at(moment: Moment) -> Self {
        Self {
            moment,
            waiting: Arc::new(watch::Sender::new(0)),
            released: Arc::new(watch::Sender::new(false)),
        }
    }

    /// When requests wait.
    pub fn moment(&self) -> Moment {
        self.moment
    }

    /// Waits until a request is here.
    ///
    /// # Panics
    /// When none has come in that time.
    pub fn reached(&self, limit: Duration) {
        within(limit, "a request comes to where it is held", || {
            (*self.waiting.borrow() > 0).then_some(())
        });
    }

    /// Lets everybody go who waits here or comes later.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    pub(super) async fn wait(&self) {
        self.waiting.send_modify(|waiting| *waiting += 1);
        // It is let go by this, or when its connection is closed.
        let _ = self.released.subscribe().wait_for(|released| *released).await;
    }
}
