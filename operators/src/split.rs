//! Deals records to several outputs.

use std::sync::Arc;

use tidegate_core::{
    Batch, Operator, OperatorContext, OperatorError, OperatorLifecycle, Output, OutputTag, Progress,
};

/// Deals each record to one of several routes. Route 0 is the main output, route *n* the side output of port *n*; a
/// route that nobody reads drops its records.
pub struct Split<F> {
    route: Arc<F>,
    routes: u16,
}

/// A route that a split does not have.
#[derive(Debug, thiserror::Error)]
#[error("the split has routes 0 to {last}, and its function chose {chosen}")]
struct NoSuchRoute {
    chosen: usize,
    last: u16,
}

impl<F> Split<F> {
    /// Deals to `routes` many routes by the index that `route` gives.
    pub fn new(route: impl Into<Arc<F>>, routes: u16) -> Self {
        Self {
            route: route.into(),
            routes,
        }
    }
}

impl<T, F: Send + Sync> OperatorLifecycle<T> for Split<F> {}

impl<T, F> Operator<T, T> for Split<F>
where
    T: 'static,
    F: Fn(&T) -> usize + Send + Sync,
{
    fn process(
        &mut self,
        mut batch: Batch<T>,
        out: &mut Output<T>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let mut position = context.position();
        let mut routes: Vec<Batch<T>> = (0..self.routes).map(|_| Batch::new()).collect();
        for (index, record) in batch.records.drain(..).enumerate() {
            position.advance();
            let chosen = (self.route)(&record);
            let Some(route) = routes.get_mut(chosen) else {
                let last = self.routes.saturating_sub(1);
                return Err(position.error(NoSuchRoute { chosen, last }));
            };
            route.push(record, batch.times.get(index));
        }
        drop(position);
        batch.recycle();
        for (port, route) in (0..).zip(routes) {
            if port == 0 {
                out.emit_batch(route);
            } else if let Some(side) = out.side(OutputTag::new(port)) {
                side.emit_batch(route);
            }
        }
        Ok(Progress::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::HarnessBuilder;

    const SECOND: OutputTag<u32> = OutputTag::new(1);

    #[test]
    fn records_are_dealt_in_order() {
        let mut harness = HarnessBuilder::new("deal")
            .side(SECOND)
            .one_input(Split::new(|n: &u32| (*n % 3) as usize, 3))
            .unwrap();
        harness.push(0..8).unwrap();
        assert_eq!(harness.take(), [0, 3, 6]);
        assert_eq!(harness.take_side(SECOND), [1, 4, 7]);
    }

    #[test]
    fn a_route_that_does_not_exist_is_an_error() {
        let mut harness = HarnessBuilder::new("deal")
            .one_input(Split::new(|n: &u32| *n as usize, 2))
            .unwrap();
        let error = harness.push([0, 2]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "operator \"deal\": record 1: the split has routes 0 to 1, and its function chose 2"
        );
    }

    #[test]
    fn a_blocked_route_blocks_the_split() {
        let mut harness = HarnessBuilder::new("deal")
            .side_with_room(SECOND, 1)
            .one_input(Split::new(|n: &u32| (*n % 2) as usize, 2))
            .unwrap();
        harness.push_batch(vec![1].into()).unwrap();
        assert!(!harness.is_ready());
        harness.settle().unwrap();
        assert!(harness.is_ready());
        assert_eq!(harness.take_side(SECOND), [1]);
    }
}
