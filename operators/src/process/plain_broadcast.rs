//! A function on a stream without keys beside a broadcast stream.

use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::{
    Barrier, Batch, BoxError, OperatorContext, OperatorError, OperatorLifecycle, Output, Progress,
    TwoInputOperator,
    snapshot::{OperatorState, RestoredState},
};
use tidegate_state::BroadcastState;

use super::{
    co_process::Side,
    context::{Counters, EmitContext},
    feed::Feed,
    shared_state::SharedState,
};

/// A function on a stream without keys, beside a broadcast stream. See [`BroadcastFunction`](super::BroadcastFunction) for what may change the
/// broadcast state.
pub trait PlainBroadcastFunction: Send + 'static {
    /// What comes in on the stream.
    type In: Send + 'static;
    /// What comes in on the broadcast stream.
    type Broadcast: Send + 'static;
    /// The keys of the broadcast state.
    type StateKey: Ord + Serialize + DeserializeOwned + Send + 'static;
    /// The values of the broadcast state.
    type StateValue: Serialize + DeserializeOwned + Send + 'static;
    /// What goes out.
    type Out: Send + 'static;

    /// Called once per task, before state is restored and before the first record.
    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        let _ = context;
        Ok(())
    }

    /// Takes a record of the stream.
    fn on_record(
        &self,
        record: Self::In,
        state: &BroadcastState<Self::StateKey, Self::StateValue>,
        context: &mut EmitContext<'_, Self::Out>,
    ) -> Result<(), BoxError>;

    /// Takes a record of the broadcast stream.
    fn on_broadcast(
        &self,
        record: Self::Broadcast,
        state: &mut BroadcastState<Self::StateKey, Self::StateValue>,
        context: &mut EmitContext<'_, Self::Out>,
    ) -> Result<(), BoxError>;

    /// Called once when the task ends for whatever reason but a crash.
    fn close(&mut self) -> Result<(), BoxError> {
        Ok(())
    }
}

/// Runs a [`PlainBroadcastFunction`]: the stream on the left, the broadcast stream on the right.
pub struct PlainBroadcast<P: PlainBroadcastFunction> {
    function: P,
    state: SharedState<P::StateKey, P::StateValue>,
    counters: Counters,
    pending: Option<Side<P::In, P::Broadcast>>,
}

impl<P: PlainBroadcastFunction> PlainBroadcast<P> {
    /// An operator with this function.
    pub fn new(function: P) -> Self {
        Self {
            function,
            state: SharedState::default(),
            counters: Counters::default(),
            pending: None,
        }
    }

    fn advance(
        &mut self,
        out: &mut Output<P::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        let (function, state, counters) = (&self.function, &mut self.state.state, &mut self.counters);
        let progress = match &mut self.pending {
            None => Progress::Done,
            Some(Side::Left(feed)) => emit_each(feed, counters, out, context, |record, emit| {
                function.on_record(record, state, emit)
            })?,
            Some(Side::Right(feed)) => emit_each(feed, counters, out, context, |record, emit| {
                function.on_broadcast(record, state, emit)
            })?,
        };
        if progress == Progress::Done {
            self.pending = None;
        }
        Ok(progress)
    }
}

/// Gives records without keys to a function until none is left or the output is full.
fn emit_each<T: 'static, O>(
    feed: &mut Feed<T>,
    counters: &mut Counters,
    out: &mut Output<O>,
    context: &OperatorContext,
    mut take: impl FnMut(T, &mut EmitContext<'_, O>) -> Result<(), BoxError>,
) -> Result<Progress, OperatorError> {
    for fed in feed {
        let mut position = context.position_from(fed.position);
        position.advance();
        let mut emit = EmitContext::new(out, context, counters, fed.time);
        take(fed.record, &mut emit).map_err(|cause| position.error(cause))?;
        if out.is_full() {
            return Ok(Progress::More);
        }
    }
    Ok(Progress::Done)
}

impl<P: PlainBroadcastFunction> OperatorLifecycle<P::Out> for PlainBroadcast<P> {
    fn open(&mut self, context: &OperatorContext) -> Result<(), OperatorError> {
        self.state.open(context);
        self.function.open(context).map_err(OperatorError::Other)
    }

    fn snapshot(&mut self, _barrier: &Barrier) -> Result<Vec<OperatorState>, OperatorError> {
        self.state.snapshot()
    }

    fn restore(&mut self, state: &RestoredState) -> Result<(), OperatorError> {
        self.state.restore(state)
    }

    fn resume(
        &mut self,
        out: &mut Output<P::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.advance(out, context)
    }

    fn close(&mut self) -> Result<(), OperatorError> {
        self.function.close().map_err(OperatorError::Other)
    }
}

impl<P: PlainBroadcastFunction> TwoInputOperator<P::In, P::Broadcast, P::Out> for PlainBroadcast<P> {
    fn process_left(
        &mut self,
        batch: Batch<P::In>,
        out: &mut Output<P::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.pending = Some(Side::Left(Feed::plain(batch, context)));
        self.advance(out, context)
    }

    fn process_right(
        &mut self,
        batch: Batch<P::Broadcast>,
        out: &mut Output<P::Out>,
        context: &OperatorContext,
    ) -> Result<Progress, OperatorError> {
        self.pending = Some(Side::Right(Feed::plain(batch, context)));
        self.advance(out, context)
    }
}
