//! What waits to be written to one peer.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use tokio::sync::Notify;

use crate::wake::TaskWaker;

/// How many bytes may wait for one peer before senders are held back. Credit bounds data by itself; this also bounds
/// control elements, which need no credit, while a peer does not read.
pub(crate) const OUTBOUND_BYTES: usize = 32 * 1024 * 1024;
/// The same, in frames.
pub(crate) const OUTBOUND_FRAMES: usize = 16 * 1024;
/// How many written buffers are kept to be filled again.
const POOLED_BUFFERS: usize = 64;
/// Buffers larger than this are not kept.
const POOLED_BUFFER_BYTES: usize = 1024 * 1024;

/// The queue between executors, which fill it, and the connection's writer, which empties it.
#[derive(Default)]
pub(crate) struct Outbound {
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
    pool: Vec<Vec<u8>>,
    waiting: Vec<TaskWaker>,
}

impl Queue {
    fn is_full(&self) -> bool {
        self.bytes >= OUTBOUND_BYTES || self.frames.len() >= OUTBOUND_FRAMES
    }
}

impl Outbound {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty buffer, used before if there is one.
    pub(crate) fn buffer(&self) -> Vec<u8> {
        self.lock().pool.pop().unwrap_or_default()
    }

    /// Appends a frame. It is kept even if the queue is full: whoever sends asks [`has_room`](Self::has_room) first.
    pub(crate) fn push(&self, frame: Vec<u8>) {
        let was_empty = {
            let mut queue = self.lock();
            let was_empty = queue.frames.is_empty();
            queue.bytes += frame.len();
            queue.frames.push_back(frame);
            was_empty
        };
        // The writer takes all there is, so it need not be told twice.
        if was_empty {
            self.filled.notify_one();
        }
    }

    /// Whether more may be pushed; if not, `waker` is woken when that changes.
    pub(crate) fn has_room(&self, waker: &TaskWaker) -> bool {
        let mut queue = self.lock();
        if !queue.is_full() {
            return true;
        }
        if !queue.waiting.iter().any(|waiting| waiting.is_same(waker)) {
            queue.waiting.push(waker.clone());
        }
        false
    }

    /// Takes all frames there are, waiting for the first. Cancelling it loses nothing.
    pub(crate) async fn take(&self, frames: &mut Vec<Vec<u8>>) {
        loop {
            let waiting = {
                let mut queue = self.lock();
                frames.extend(queue.frames.drain(..));
                queue.bytes = 0;
                std::mem::take(&mut queue.waiting)
            };
            waiting.iter().for_each(TaskWaker::wake);
            if !frames.is_empty() {
                return;
            }
            self.filled.notified().await;
        }
    }

    /// Takes buffers back that have been written.
    pub(crate) fn recycle(&self, frames: &mut Vec<Vec<u8>>) {
        let mut queue = self.lock();
        for mut frame in frames.drain(..) {
            if queue.pool.len() < POOLED_BUFFERS && frame.capacity() <= POOLED_BUFFER_BYTES {
                frame.clear();
                queue.pool.push(frame);
            }
        }
    }

    /// Drops what waits: it belongs to an attempt that is over.
    pub(crate) fn clear(&self) {
        let mut queue = self.lock();
        queue.frames.clear();
        queue.bytes = 0;
        queue.waiting.clear();
    }
}
