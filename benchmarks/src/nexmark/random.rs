//! Randomness that can be asked for in any order: a hash of a counter instead of a generator that is carried along.

/// The odd constant nearest to 2^64 divided by the golden ratio: steps of it visit all of 2^64 evenly.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A sequence of numbers that belongs to one event and depends on its number only.
///
/// The mixing function is that of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators",
/// OOPSLA 2014, section 4), started at a mixed event number so that the sequences of neighbours do not overlap.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    state: u64,
}

impl Draws {
    /// The sequence of event `number`.
    #[inline]
    pub fn of(number: u64) -> Self {
        Self {
            state: mix(number.wrapping_mul(STEP)),
        }
    }

    /// The next 64 bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// The next number below `bound`, which must not be 0. Even enough for bounds far below 2^32.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        scale(self.bits() as u32, bound)
    }

    /// Two numbers below their bounds for the price of one draw.
    #[inline]
    pub fn pair_below(&mut self, first: u64, second: u64) -> (u64, u64) {
        let bits = self.bits();
        (scale(bits as u32, first), scale((bits >> 32) as u32, second))
    }
}

/// Scales 32 random bits to a range by multiplication, without a division.
#[inline]
fn scale(bits: u32, bound: u64) -> u64 {
    (u64::from(bits) * bound) >> 32
}

#[inline]
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_below_a_bound_are_even() {
        let mut counts = [0u32; 7];
        for number in 0..7_000 {
            let mut draws = Draws::of(number);
            for _ in 0..10 {
                counts[draws.below(7) as usize] += 1;
            }
        }
        assert!(
            counts.iter().all(|count| (9_500..10_500).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn the_halves_of_a_pair_do_not_depend_on_each_other() {
        let mut counts = [[0u32; 4]; 4];
        for number in 0..16_000 {
            let (a, b) = Draws::of(number).pair_below(4, 4);
            counts[a as usize][b as usize] += 1;
        }
        assert!(
            counts.iter().flatten().all(|count| (850..1150).contains(count)),
            "{counts:?}"
        );
    }
}
