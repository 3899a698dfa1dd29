//! The far end of an output under test: keeps what it is given.

use std::{
    any::Any,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tidegate_core::{
    Batch, Control, EventTime, Flow, OperatorVisitor, OutputTag, Push, VisitOperators, chain::ChainError,
};

/// One thing that an operator emitted.
#[derive(Clone, Debug, PartialEq)]
pub enum Emitted<T> {
    /// A record with its event time.
    Record(T, Option<EventTime>),
    /// A control element.
    Control(Control),
}

/// What arrived, batch by batch.
pub(super) enum Arrived<T> {
    Records(Batch<T>),
    Control(Control),
}

struct State<T> {
    arrived: Vec<Arrived<T>>,
    records: usize,
    /// Records taken since the last drain.
    used: usize,
    /// The most that was taken between two drains.
    most: usize,
    room: usize,
}

/// A shared handle on what has arrived at an output.
pub(super) struct Capture<T>(Arc<Mutex<State<T>>>);

impl<T> Clone for Capture<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send + 'static> Capture<T> {
    pub(super) fn new(room: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            arrived: Vec::new(),
            records: 0,
            used: 0,
            most: 0,
            room,
        })))
    }

    pub(super) fn link(&self) -> Box<dyn Push<T>> {
        Box::new(self.clone())
    }

    pub(super) fn take(&self) -> Vec<Arrived<T>> {
        let mut state = self.state();
        state.records = 0;
        std::mem::take(&mut state.arrived)
    }

    pub(super) fn len(&self) -> usize {
        self.state().records
    }

    pub(super) fn most(&self) -> usize {
        self.state().most
    }
}

impl<T> Capture<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> VisitOperators for Capture<T> {
    fn visit(&mut self, _visitor: &mut OperatorVisitor<'_>) -> Result<(), ChainError> {
        Ok(())
    }
}

impl<T: Send> Push<T> for Capture<T> {
    fn push(&mut self, batch: Batch<T>) -> Result<Flow, ChainError> {
        let mut state = self.state();
        state.records += batch.len();
        state.used += batch.len();
        state.most = state.most.max(state.used);
        state.arrived.push(Arrived::Records(batch));
        Ok(if state.used >= state.room {
            Flow::Blocked
        } else {
            Flow::Ready
        })
    }

    fn control(&mut self, control: Control) -> Result<Flow, ChainError> {
        self.state().arrived.push(Arrived::Control(control));
        Ok(Flow::Ready)
    }

    fn drain(&mut self) -> Result<Flow, ChainError> {
        self.state().used = 0;
        Ok(Flow::Ready)
    }

    fn flush(&mut self) -> Result<Flow, ChainError> {
        Ok(Flow::Ready)
    }
}

pub(super) fn batches<T>(arrived: Vec<Arrived<T>>) -> Vec<Batch<T>> {
    arrived
        .into_iter()
        .filter_map(|arrived| match arrived {
            Arrived::Records(batch) => Some(batch),
            Arrived::Control(_) => None,
        })
        .collect()
}

pub(super) fn records<T>(arrived: Vec<Arrived<T>>) -> Vec<(T, Option<EventTime>)> {
    batches(arrived)
        .into_iter()
        .flat_map(|batch| {
            let times = batch.times;
            batch
                .records
                .into_iter()
                .enumerate()
                .map(move |(index, record)| (record, times.get(index)))
        })
        .collect()
}

pub(super) fn flatten<T>(arrived: Arrived<T>) -> Vec<Emitted<T>> {
    match arrived {
        Arrived::Control(control) => vec![Emitted::Control(control)],
        Arrived::Records(batch) => records(vec![Arrived::Records(batch)])
            .into_iter()
            .map(|(record, time)| Emitted::Record(record, time))
            .collect(),
    }
}

/// The captures of side outputs, by port.
#[derive(Default)]
pub(super) struct Sides(Vec<(u16, Box<dyn Any>)>);

impl Sides {
    pub(super) fn insert<S: Send + 'static>(&mut self, tag: OutputTag<S>, capture: Capture<S>) {
        self.0.push((tag.port(), Box::new(capture)));
    }

    pub(super) fn get<S: Send + 'static>(&self, tag: OutputTag<S>) -> &Capture<S> {
        self.0
            .iter()
            .find(|(port, _)| *port == tag.port())
            .and_then(|(_, capture)| capture.downcast_ref())
            .expect("the harness was built with this side output and its type")
    }
}
