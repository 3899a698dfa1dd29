//! Window operators, made from a plan.

use std::sync::Arc;

use tidegate_core::{KeySelector, KeySpace, Operator};

use super::{
    assigner::{Shape, WindowPlan},
    contents::WindowContents,
    sessions::SessionWindows,
    sliced::SlicedWindows,
};

/// An operator that puts records into windows and emits what `contents` makes of them.
pub fn windows<T, S, C>(
    plan: WindowPlan,
    selector: Arc<S>,
    contents: Arc<C>,
    space: KeySpace,
) -> Box<dyn Operator<T, C::Out>>
where
    T: Send + 'static,
    S: KeySelector<T>,
    C: WindowContents<S::Key, T>,
{
    let (clock, lateness) = (plan.clock, plan.lateness_ms);
    match plan.shape {
        Shape::Grid(grid) => Box::new(SlicedWindows::new(
            selector, contents, grid, clock, lateness, space,
        )),
        Shape::Sessions { gap_ms } => Box::new(SessionWindows::new(
            selector, contents, gap_ms, clock, lateness, space,
        )),
    }
}
