//! Prices, spread evenly over six orders of magnitude.

use super::random::Draws;

const STEPS: usize = 4096;
/// 10^(6 / 4096). Prices are made by multiplying with it, which is the same on every machine where a power may not be.
const FACTOR: f64 = 1.003_378_622_102_704_8;

#[derive(Clone, Debug)]
pub(crate) struct Prices(Box<[u64]>);

impl Prices {
    pub(crate) fn new() -> Self {
        let prices = std::iter::successors(Some(100.0_f64), |price| Some(price * FACTOR));
        Self(prices.take(STEPS).map(|price| price.round() as u64).collect())
    }

    /// A price in cents.
    #[inline]
    pub(crate) fn draw(&self, draws: &mut Draws) -> u64 {
        self.0[draws.bits() as usize % STEPS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_span_six_orders_of_magnitude() {
        let prices = Prices::new();
        assert_eq!(prices.0[0], 100);
        let last = prices.0[STEPS - 1];
        assert!((99_000_000..=100_000_000).contains(&last), "{last}");
        let median = prices.0[STEPS / 2];
        assert!((99_000..=101_000).contains(&median), "{median}");
    }
}
