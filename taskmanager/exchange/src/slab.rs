//! Where received bytes lie until the last frame sliced from them is gone.

use std::collections::VecDeque;

use bytes::BytesMut;

/// How much is received at once.
const SLAB_BYTES: usize = 256 * 1024;
/// Room in a slab below which another is begun.
const MIN_READ: usize = 16 * 1024;
/// How many used slabs are kept to be used again: what a connection has in flight, as a rule, and at most 2 MiB.
const KEPT_SLABS: usize = 8;

/// The slab that is being filled and those whose frames may still be in use. Memory that goes back to the system comes
/// again a page fault at a time, so a slab whose frames are all gone is used again.
#[derive(Default)]
pub(crate) struct Slabs {
    current: BytesMut,
    /// Used up, oldest first.
    used: VecDeque<BytesMut>,
}

impl Slabs {
    /// The bytes received and not taken yet, to be appended to and taken from the front.
    pub(crate) fn current(&mut self) -> &mut BytesMut {
        &mut self.current
    }

    /// Makes room for the next read, when `missing` more bytes would complete a frame. What is there stays.
    pub(crate) fn make_room(&mut self, missing: usize) {
        let there = self.current.len();
        if self.current.capacity() - there >= MIN_READ {
            return;
        }
        // A long frame gets memory as its bytes come, not as its header claims.
        let more = missing.min(there).max(SLAB_BYTES);
        if self.current.try_reclaim(more) {
            return;
        }
        let free = self
            .used
            .iter_mut()
            .position(|slab| slab.try_reclaim(there + more));
        let mut next = free
            .and_then(|place| self.used.remove(place))
            .unwrap_or_else(|| BytesMut::with_capacity(there + more));
        next.extend_from_slice(&self.current);
        let mut full = std::mem::replace(&mut self.current, next);
        full.clear();
        if self.used.len() == KEPT_SLABS {
            // The oldest is the one whose frames somebody holds on to: it goes when they do.
            self.used.pop_front();
        }
        self.used.push_back(full);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills the slab and takes everything off it as one piece.
    fn fill(slabs: &mut Slabs) -> bytes::Bytes {
        slabs.make_room(0);
        let room = slabs.current().capacity() - slabs.current().len();
        slabs.current().resize(room, 7);
        slabs.current().split_to(room).freeze()
    }

    #[test]
    fn a_slab_is_used_again_when_its_frames_are_gone() {
        let mut slabs = Slabs::default();
        let places: Vec<usize> = (0..100).map(|_| fill(&mut slabs).as_ptr() as usize).collect();
        let mut distinct = places.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(
            distinct.len() <= 3,
            "{} slabs for one in use at a time",
            distinct.len()
        );
    }

    #[test]
    fn frames_in_use_are_left_alone_and_few_slabs_are_kept() {
        let mut slabs = Slabs::default();
        let held: Vec<_> = (0..3 * KEPT_SLABS).map(|_| fill(&mut slabs)).collect();
        assert!(slabs.used.len() <= KEPT_SLABS);
        assert!(held.iter().all(|frame| frame.iter().all(|byte| *byte == 7)));
    }

    #[test]
    fn the_beginning_of_a_frame_moves_along() {
        let mut slabs = Slabs::default();
        slabs.make_room(0);
        let room = slabs.current().capacity();
        slabs.current().resize(room, 1);
        let frame = slabs.current().split_to(room - 5).freeze();
        slabs.make_room(1000);
        assert_eq!(slabs.current()[..], [1; 5]);
        assert!(slabs.current().capacity() >= 5 + SLAB_BYTES && frame.len() == room - 5);
    }

    #[test]
    fn a_frame_gets_memory_as_its_bytes_come() {
        let mut slabs = Slabs::default();
        slabs.current().extend_from_slice(&[0; 100]);
        slabs.make_room(1 << 40);
        assert!(slabs.current().capacity() < 2 * SLAB_BYTES);
    }
}
