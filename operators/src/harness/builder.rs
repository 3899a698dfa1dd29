//! How a harness is set up.

use std::sync::Arc;

use tidegate_core::{
    CheckpointId, EventTime, Flow, Io, KeySpace, Operator, OperatorContext, OperatorLifecycle, OperatorUid,
    Output, OutputTag, ProcessingTime, SideOutputs, TaskId, TaskProbe, TwoInputOperator, VertexId,
    chain::{ChainError, Chained, ChainedTwoInput},
    metrics::TaskMetrics,
};

use super::{
    Harness, HarnessLink, HarnessSnapshot, InlineIo, OneInputHarness, TwoInputHarness,
    capture::{Capture, Sides},
    output_of,
};

/// Sets up a [`Harness`](super::Harness).
pub struct HarnessBuilder {
    uid: OperatorUid,
    index: u32,
    parallelism: u32,
    space: KeySpace,
    now: ProcessingTime,
    room: usize,
    sides: Sides,
    side_outputs: SideOutputs,
    io: Arc<dyn Io>,
    restore: Option<HarnessSnapshot>,
}

impl HarnessBuilder {
    /// A harness for the only task of an operator with this uid, at processing time 0.
    pub fn new(uid: &str) -> Self {
        Self {
            uid: uid.into(),
            index: 0,
            parallelism: 1,
            space: KeySpace::DEFAULT,
            now: ProcessingTime(0),
            room: usize::MAX,
            sides: Sides::default(),
            side_outputs: SideOutputs::none(),
            io: Arc::new(InlineIo),
            restore: None,
        }
    }

    /// Drives task `index` of `parallelism` many. Give it only records whose keys it [owns](super::Harness::owns).
    #[must_use]
    pub fn task(mut self, index: u32, parallelism: u32) -> Self {
        (self.index, self.parallelism) = (index, parallelism);
        self
    }

    /// The job's key groups.
    #[must_use]
    pub fn key_space(mut self, space: KeySpace) -> Self {
        self.space = space;
        self
    }

    /// The processing time at the start.
    #[must_use]
    pub fn at(mut self, now: ProcessingTime) -> Self {
        self.now = now;
        self
    }

    /// How many records the main output takes until it is blocked and must be drained; unbounded by default.
    #[must_use]
    pub fn room(mut self, records: usize) -> Self {
        self.room = records;
        self
    }

    /// Reads a side output.
    #[must_use]
    pub fn side<S: Send + 'static>(self, tag: OutputTag<S>) -> Self {
        self.side_with_room(tag, usize::MAX)
    }

    /// Reads a side output that is blocked after so many records until it is drained.
    #[must_use]
    pub fn side_with_room<S: Send + 'static>(mut self, tag: OutputTag<S>, records: usize) -> Self {
        let capture = Capture::new(records);
        self.side_outputs.insert(tag, output_of(&capture));
        self.sides.insert(tag, capture);
        self
    }

    /// Where the operator starts I/O: it is done at once, on the calling thread, unless set.
    #[must_use]
    pub fn io(mut self, io: Arc<dyn Io>) -> Self {
        self.io = io;
        self
    }

    /// Starts from a snapshot. For an operator with several tasks give [`HarnessSnapshot::merge`] of all of theirs.
    #[must_use]
    pub fn restore(mut self, snapshot: &HarnessSnapshot) -> Self {
        self.restore = Some(snapshot.clone());
        self
    }

    /// Opens an operator with one input.
    pub fn one_input<I, O, P>(self, operator: P) -> Result<OneInputHarness<I, O>, ChainError>
    where
        I: Send,
        O: Send + 'static,
        P: Operator<I, O> + 'static,
    {
        self.boxed_input(Box::new(operator))
    }

    /// Opens an operator with one input that is boxed already.
    pub fn boxed_input<I, O>(
        self,
        operator: Box<dyn Operator<I, O>>,
    ) -> Result<OneInputHarness<I, O>, ChainError>
    where
        I: Send,
        O: Send + 'static,
    {
        self.build(|context, out| Chained::new(operator, context, out))
    }

    /// Opens an operator with two inputs.
    pub fn two_inputs<A, B, O, P>(self, operator: P) -> Result<TwoInputHarness<A, B, O>, ChainError>
    where
        O: Send + 'static,
        P: TwoInputOperator<A, B, O> + OperatorLifecycle<O> + 'static,
    {
        self.build(|context, out| ChainedTwoInput::new(Box::new(operator), context, out))
    }

    pub(super) fn build<L: HarnessLink, O: Send + 'static>(
        self,
        link: impl FnOnce(OperatorContext, Output<O>) -> L,
    ) -> Result<Harness<L, O>, ChainError> {
        let probe = TaskProbe::new(self.now);
        let restored = self.restore.as_ref().and_then(|snapshot| snapshot.watermark);
        probe.set_watermark(restored.unwrap_or(EventTime::MIN));
        let metrics = Arc::new(TaskMetrics::default());
        let task = TaskId {
            vertex: VertexId(0),
            index: self.index,
        };
        let context = OperatorContext::new(
            self.uid,
            task,
            self.parallelism,
            self.space,
            self.io,
            Arc::clone(&metrics),
            Arc::clone(&probe),
        );
        let groups = context.key_groups;
        let output = Capture::new(self.room);
        let out = Output::with_sides(output.link(), self.side_outputs);
        let mut harness = Harness {
            link: link(context, out),
            flow: Flow::Ready,
            output,
            sides: self.sides,
            probe,
            metrics,
            index: self.index,
            space: self.space,
            groups,
            pending: None,
            last_checkpoint: CheckpointId(0),
            claimed: HarnessSnapshot::default(),
        };
        harness.start(self.now, self.restore)?;
        Ok(harness)
    }
}

impl<L: HarnessLink, O: Send + 'static> Harness<L, O> {
    fn start(&mut self, now: ProcessingTime, restore: Option<HarnessSnapshot>) -> Result<(), ChainError> {
        let groups = self.groups;
        self.with_operator(|operator| {
            for state in operator.keyed_states() {
                state.assign(groups);
                state.set_now(now);
            }
            operator.open()?;
            match &restore {
                Some(snapshot) => snapshot.load(operator, groups),
                None => Ok(()),
            }
        })?;
        if let Some(snapshot) = restore {
            self.last_checkpoint = snapshot.checkpoint.unwrap_or_default();
            self.claimed = snapshot.within(groups);
            // As a task does: whatever comes next hears again how far event time has come, before any record.
            self.watermark(self.probe.watermark())?;
        }
        Ok(())
    }
}
