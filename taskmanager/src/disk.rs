//! What the task manager's directory occupies.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::node::Node;

/// From one count to the next: it walks through all folders.
const COUNT_INTERVAL: Duration = Duration::from_secs(30);

/// Counts what is on the disk, now and then, on another thread.
#[derive(Debug, Default)]
pub(crate) struct DiskUse {
    bytes: Arc<AtomicU64>,
    counted: Option<Instant>,
}

impl DiskUse {
    /// As of the last count, in bytes; starts another one when it is due.
    pub(crate) fn bytes(&mut self, node: &Arc<Node>) -> u64 {
        if self.counted.is_none_or(|at| at.elapsed() >= COUNT_INTERVAL) {
            self.counted = Some(Instant::now());
            let (node, bytes) = (Arc::clone(node), Arc::clone(&self.bytes));
            // Nobody waits for it.
            drop(tokio::task::spawn_blocking(move || {
                bytes.store(node.directories.used_bytes(), Ordering::Relaxed);
            }));
        }
        self.bytes.load(Ordering::Relaxed)
    }
}
