//! Buffers that go round: from a task's scan to the upload of what it serialised, and back for the next checkpoint.
//!
//! A checkpoint that has changed much needs hundreds of megabytes for as long as it takes to write them. Memory that is
//! given back to the system in between is slow to touch anew, page by page and in the executor's time; and giving it
//! back takes long enough at once to be felt.

use std::sync::{Arc, Mutex, PoisonError};

/// The buffers of a task that no checkpoint is using. Cheap to share.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpareBuffers {
    /// A leaf, held while a buffer is taken out or all are put back.
    buffers: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl SpareBuffers {
    /// An empty buffer with room for `capacity` bytes.
    pub(crate) fn take(&self, capacity: usize) -> Vec<u8> {
        let spare = self.lock().pop();
        spare
            .filter(|buffer| buffer.capacity() >= capacity)
            .unwrap_or_else(|| Vec::with_capacity(capacity))
    }

    /// Keeps the buffers of a checkpoint for the next, and no others: what it did not need goes back to the system. So
    /// no more is kept than the last checkpoint took.
    pub(crate) fn keep_only(&self, buffers: impl Iterator<Item = Vec<u8>>) {
        let buffers = buffers
            .map(|mut buffer| {
                buffer.clear();
                buffer
            })
            .collect();
        let needless = std::mem::replace(&mut *self.lock(), buffers);
        drop(needless);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_empty_and_with_their_memory() {
        let spares = SpareBuffers::default();
        let mut buffer = spares.take(1000);
        buffer.extend_from_slice(&[7; 1000]);
        let memory = buffer.as_ptr();
        spares.clone().keep_only([buffer].into_iter());
        let again = spares.take(900);
        assert!(again.is_empty() && again.capacity() >= 1000);
        assert_eq!(again.as_ptr(), memory);
    }

    #[test]
    fn a_buffer_that_is_too_small_is_not_handed_out() {
        let spares = SpareBuffers::default();
        spares.keep_only([Vec::with_capacity(10)].into_iter());
        assert!(spares.take(1 << 20).capacity() >= 1 << 20);
    }

    #[test]
    fn what_a_checkpoint_did_not_need_is_not_kept() {
        let spares = SpareBuffers::default();
        spares.keep_only((0..10).map(|_| Vec::with_capacity(100)));
        let used = spares.take(100);
        spares.keep_only([used].into_iter());
        assert_eq!(spares.lock().len(), 1);
    }
}
