//! Sums and means of what is measured of each element.

use std::marker::PhantomData;

use serde::{Serialize, de::DeserializeOwned};
use tidegate_state::Aggregator;

/// The type in which measures are summed.
pub trait Total: Copy + Default + Serialize + DeserializeOwned + Send + 'static {
    /// Adds. Integers wrap, so that the order of addition never matters; floating-point sums depend on it in their
    /// last digits.
    fn add(&mut self, other: Self);

    /// The nearest floating-point number.
    fn to_f64(self) -> f64;
}

/// A number, or an [`Option`] of one, that can be summed and averaged.
pub trait Measure {
    /// What sums of it are: 64 bits of its kind, or the type itself where it is wider.
    type Total: Total;
    /// What means of it are: `f64`, optional if the measure is.
    type Mean: Send + 'static;

    /// The number as a total of one, if there is one.
    fn measure(self) -> Option<Self::Total>;

    /// The mean of `count` measures.
    fn mean(total: Self::Total, count: u64) -> Self::Mean;
}

macro_rules! totals {
    ($($total:ty: |$a:ident, $b:ident| $add:expr),*) => {$(
        impl Total for $total {
            #[inline]
            fn add(&mut self, other: Self) {
                let ($a, $b) = (*self, other);
                *self = $add;
            }

            #[inline]
            fn to_f64(self) -> f64 {
                self as f64
            }
        }
    )*};
}

totals! {
    i64: |a, b| a.wrapping_add(b), u64: |a, b| a.wrapping_add(b),
    i128: |a, b| a.wrapping_add(b), u128: |a, b| a.wrapping_add(b),
    f64: |a, b| a + b
}

macro_rules! measures {
    ($($number:ty => $total:ty),*) => {$(
        impl Measure for $number {
            type Total = $total;
            type Mean = f64;

            #[inline]
            fn measure(self) -> Option<$total> {
                Some(<$total>::from(self))
            }

            fn mean(total: $total, count: u64) -> f64 {
                total.to_f64() / count as f64
            }
        }
    )*};
}

measures! {
    i8 => i64, i16 => i64, i32 => i64, i64 => i64, i128 => i128,
    u8 => u64, u16 => u64, u32 => u64, u64 => u64, u128 => u128,
    f32 => f64, f64 => f64
}

impl<M: Measure> Measure for Option<M> {
    type Total = M::Total;
    type Mean = Option<M::Mean>;

    #[inline]
    fn measure(self) -> Option<M::Total> {
        self.and_then(M::measure)
    }

    fn mean(total: M::Total, count: u64) -> Option<M::Mean> {
        (count > 0).then(|| M::mean(total, count))
    }
}

/// The sum of what a function measures; elements of which nothing is measured add nothing.
pub struct Sum<T, F> {
    measure: F,
    elements: PhantomData<fn(&T)>,
}

impl<T, M: Measure, F: Fn(&T) -> M> Sum<T, F> {
    /// Sums what `measure` gives for each element.
    pub fn of(measure: F) -> Self {
        Self {
            measure,
            elements: PhantomData,
        }
    }
}

impl<T, M, F> Aggregator for Sum<T, F>
where
    T: 'static,
    M: Measure,
    F: Fn(&T) -> M + Send + Sync + 'static,
{
    type In = T;
    type Acc = M::Total;
    type Out = M::Total;

    #[inline]
    fn lift(&self, element: &T) -> M::Total {
        (self.measure)(element).measure().unwrap_or_default()
    }

    #[inline]
    fn combine(&self, into: &mut M::Total, later: M::Total) {
        into.add(later);
    }

    fn lower(&self, accumulator: &M::Total) -> M::Total {
        *accumulator
    }
}

/// The arithmetic mean of what a function measures; elements of which nothing is measured do not count.
pub struct Mean<T, F> {
    measure: F,
    elements: PhantomData<fn(&T)>,
}

impl<T, M: Measure, F: Fn(&T) -> M> Mean<T, F> {
    /// Averages what `measure` gives for each element.
    pub fn of(measure: F) -> Self {
        Self {
            measure,
            elements: PhantomData,
        }
    }
}

impl<T, M, F> Aggregator for Mean<T, F>
where
    T: 'static,
    M: Measure,
    F: Fn(&T) -> M + Send + Sync + 'static,
{
    type In = T;
    type Acc = (M::Total, u64);
    type Out = M::Mean;

    #[inline]
    fn lift(&self, element: &T) -> (M::Total, u64) {
        match (self.measure)(element).measure() {
            Some(total) => (total, 1),
            None => (M::Total::default(), 0),
        }
    }

    #[inline]
    fn combine(&self, into: &mut (M::Total, u64), later: (M::Total, u64)) {
        into.0.add(later.0);
        into.1 += later.1;
    }

    fn lower(&self, accumulator: &(M::Total, u64)) -> M::Mean {
        M::mean(accumulator.0, accumulator.1)
    }
}
