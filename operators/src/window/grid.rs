//! Where windows of one size and one slide begin and end, and the slices they are made of.
//!
//! A slice is the time between two neighbouring bounds of windows. There are at most two of them per slide: windows start
//! once per slide, and end once per slide (Krishnamurthy, Wu, Franklin, "On-the-fly sharing for streamed aggregation",
//! SIGMOD 2006, section 4, *paired windows*; Traub et al., "Efficient Window Aggregation with General Stream Slicing",
//! EDBT 2019). That is never more than slices of gcd(size, slide), and often far less.
//!
//! ```text
//!   size 10, slide 4      ├─────────┤
//!                             ├─────────┤
//!                                 ├─────────┤
//!   slices               ─┼─┼─┼─┼─┼─┼─┼─┼─┼─┼──▶
//! ```
//!
//! All bounds are milliseconds; starts are included, ends are not. Times beyond [`FARTHEST`] have no window, so that no
//! sum overflows.

/// How far from the epoch a record may be.
pub(crate) const FARTHEST: i64 = i64::MAX / 4;

/// Windows of one size that start once per slide.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Grid {
    size: i64,
    slide: i64,
    offset: i64,
    /// How long after a start of windows there is an end of windows.
    edge: i64,
}

impl Grid {
    /// Windows of `size` that start at `offset` and every `slide` before and after.
    ///
    /// The caller has seen to it that 0 ≤ offset < slide ≤ size ≤ `FARTHEST`.
    pub(crate) fn new(size: i64, slide: i64, offset: i64) -> Self {
        Self {
            size,
            slide,
            offset,
            edge: size % slide,
        }
    }

    /// The size of windows.
    pub(crate) fn size(&self) -> i64 {
        self.size
    }

    /// How many slices there are in a window.
    pub(crate) fn slices_per_window(&self) -> i64 {
        let per_slide = 1 + i64::from(self.edge != 0);
        self.size / self.slide * per_slide + i64::from(self.edge != 0)
    }

    /// The slice that `time` is in: its start and its end.
    #[inline]
    pub(crate) fn slice_of(&self, time: i64) -> (i64, i64) {
        let phase = (time - self.offset).rem_euclid(self.slide);
        let base = time - phase;
        if self.edge == 0 {
            (base, base + self.slide)
        } else if phase < self.edge {
            (base, base + self.edge)
        } else {
            (base + self.edge, base + self.slide)
        }
    }

    /// The end of the first window that ends at `time` or later.
    pub(crate) fn first_end(&self, time: i64) -> i64 {
        time.saturating_add(
            (self.offset + self.edge)
                .wrapping_sub(time)
                .rem_euclid(self.slide),
        )
    }

    /// The end of the last window that the slice ending at `slice_end` is in.
    pub(crate) fn last_end(&self, slice_end: i64) -> i64 {
        let inside = slice_end - 1;
        inside - (inside - self.offset).rem_euclid(self.slide) + self.size
    }

    /// The ends of the windows that the slice ending at `slice_end` is in, in order.
    pub(crate) fn ends(&self, slice_end: i64) -> impl Iterator<Item = i64> + use<> {
        let (last, slide) = (self.last_end(slice_end), self.slide);
        std::iter::successors(Some(self.first_end(slice_end)), move |end| Some(end + slide))
            .take_while(move |end| *end <= last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_fall_into_slices() {
        // (size, slide, offset), time, slice
        let table = [
            ((10, 10, 0), 0, (0, 10)),
            ((10, 10, 0), 9, (0, 10)),
            ((10, 10, 0), 10, (10, 20)),
            ((10, 10, 0), -1, (-10, 0)),
            ((10, 10, 3), 2, (-7, 3)),
            ((10, 10, 3), 3, (3, 13)),
            ((10, 5, 0), 7, (5, 10)),
            ((10, 4, 0), 0, (0, 2)),
            ((10, 4, 0), 2, (2, 4)),
            ((10, 4, 0), 5, (4, 6)),
            ((10, 4, 1), 0, (-1, 1)),
            ((3_600_001, 1000, 0), 1500, (1001, 2000)),
        ];
        for ((size, slide, offset), time, slice) in table {
            let grid = Grid::new(size, slide, offset);
            assert_eq!(grid.slice_of(time), slice, "{grid:?}, {time}");
        }
    }

    #[test]
    fn slices_know_their_windows() {
        // (size, slide, offset), slice end, window ends
        let table: [(_, _, &[i64]); 5] = [
            ((10, 10, 0), 10, &[10]),
            ((10, 5, 0), 10, &[10, 15]),
            ((10, 4, 0), 2, &[2, 6, 10]),
            ((10, 4, 0), 4, &[6, 10]),
            ((10, 10, 3), 3, &[3]),
        ];
        for ((size, slide, offset), slice, ends) in table {
            let grid = Grid::new(size, slide, offset);
            assert_eq!(Vec::from_iter(grid.ends(slice)), ends, "{grid:?}, {slice}");
        }
    }

    proptest! {
        #[test]
        fn a_time_is_in_the_windows_of_its_slice_and_in_no_other(
            slide in 1i64..50, longer in 0i64..200, offset in 0i64..50, time in -1000i64..1000,
        ) {
            let grid = Grid::new(slide + longer, slide, offset % slide);
            let (start, end) = grid.slice_of(time);
            prop_assert!(start <= time && time < end);
            prop_assert_eq!(grid.slice_of(end).0, end);
            prop_assert_eq!(grid.slice_of(start), (start, end));
            let naive = (time + 1..=time + grid.size)
                .filter(|window_end| (window_end - grid.size - grid.offset).rem_euclid(slide) == 0);
            prop_assert_eq!(Vec::from_iter(grid.ends(end)), Vec::from_iter(naive));
        }

        #[test]
        fn a_window_has_as_many_slices_as_it_says(slide in 1i64..50, longer in 0i64..200, offset in 0i64..50) {
            let grid = Grid::new(slide + longer, slide, offset % slide);
            let end = grid.first_end(0);
            let cuts = std::iter::successors(Some(end - grid.size), |at| Some(grid.slice_of(*at).1));
            let slices = cuts.take_while(|at| *at < end).count();
            prop_assert_eq!(slices as i64, grid.slices_per_window());
        }
    }
}
