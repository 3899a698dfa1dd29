//! Pairs of a key and a value, made beforehand: what keyed sums are measured on.

use std::sync::Arc;

use crate::nexmark::Draws;

/// How many pairs there are; longer inputs go round. A power of two.
const PAIRS: usize = 1 << 24;

/// Pairs whose keys are spread evenly over some 64-bit numbers, cheap to share.
#[derive(Clone, Debug)]
pub struct KeyedInput {
    pairs: Arc<[(u64, u64)]>,
}

/// The key with the given place: neighbours have nothing in common.
#[inline]
pub fn key(place: u64) -> u64 {
    Draws::of(place).bits()
}

impl KeyedInput {
    /// Pairs of `keys` different keys.
    pub fn uniform(keys: u64) -> Self {
        let pairs = (0..PAIRS as u64).map(|place| {
            // Far from the numbers that the keys themselves are drawn from.
            let mut draws = Draws::of(place | 1 << 63);
            let key = key(draws.below(keys));
            // The same for all records of a key: then its running sums are the same in whatever order they come.
            (key, key % 1_000)
        });
        Self {
            pairs: pairs.collect(),
        }
    }

    /// Pair `place`, counted round.
    #[inline]
    pub fn pair(&self, place: u64) -> (u64, u64) {
        self.pairs[place as usize & (PAIRS - 1)]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn keys_are_spread_evenly() {
        let input = KeyedInput::uniform(100);
        let mut counts: HashMap<u64, u32> = HashMap::new();
        (0..100_000).for_each(|place| *counts.entry(input.pair(place).0).or_default() += 1);
        assert_eq!(counts.len(), 100);
        assert!(counts.values().all(|count| (800..1_200).contains(count)));
        assert_eq!(input.pair(7), input.pair(7 + PAIRS as u64));
    }
}
