//! Removing what has expired, a little with every tick of the clock.

use tidegate_core::{Key, ProcessingTime};

use super::Table;
use crate::cell::Cell;

/// How many places in a shard one tick looks at.
const BUCKETS_PER_TICK: usize = 512;

/// How many empty shards one tick may pass over.
const SHARDS_PER_TICK: usize = 16;

impl<K: Key, C: Cell> Table<K, C> {
    pub(super) fn tick(&mut self, now: ProcessingTime) {
        let has_moved = now > self.now;
        self.now = now;
        if C::TIMED && self.ttl.is_some() && has_moved && self.live > 0 {
            self.sweep();
        }
    }

    fn sweep(&mut self) {
        let (mut buckets, mut shards) = (BUCKETS_PER_TICK, SHARDS_PER_TICK);
        while buckets > 0 && shards > 0 {
            let (shard, bucket) = (self.sweeper.shard, self.sweeper.bucket);
            let Some(entries) = self.shards.get(shard) else {
                self.sweeper = super::Cursor::default();
                return;
            };
            if bucket >= entries.num_buckets() || entries.is_empty() {
                self.sweeper.shard += 1;
                self.sweeper.bucket = 0;
                shards -= 1;
                continue;
            }
            buckets -= 1;
            self.sweeper.bucket += 1;
            let is_expired = entries
                .get_bucket(bucket)
                .is_some_and(|entry| self.is_expired(&entry.value));
            if is_expired {
                let _ = self.remove_at(shard, bucket);
            }
        }
    }
}
