//! Event time on streams: where it is assigned.

use tidegate_core::{Output, graph::NodeKind};
use tidegate_operators::{AssignWatermarks, DeadLetter, WatermarkStrategy};
use tidegate_worker::Port;

use crate::{
    BuildError, Record, Stream,
    env::{Assemble, NodeSpec, OutputPort, Sides},
};

impl<T: Record> Stream<T> {
    /// Gives records their event time and tells how far event time has come: what
    /// [timers](crate::operators::ProcessContext::register_event_time_timer) and windows go by.
    ///
    /// It belongs right behind a source, or behind operations that keep nothing (`map`, `filter`, `flat_map` and their like):
    /// there the watermark is the minimum over the splits that the source reads, and one that has not been read yet holds
    /// it back. Behind anything that distributes records anew it goes by the records of each task. See
    /// [`watermarks`](crate::operators::watermarks).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tidegate::prelude::*;
    /// #[derive(Serialize, Deserialize)]
    /// struct Click {
    ///     user: String,
    ///     at_ms: i64,
    /// }
    ///
    /// /// Emits users who have done nothing for a minute.
    /// struct Left {
    ///     last_ms: ValueState<i64>,
    /// }
    ///
    /// impl ProcessFunction for Left {
    ///     type Key = String;
    ///     type In = Click;
    ///     type Out = String;
    ///
    ///     fn on_record(&self, click: Click, context: &mut ProcessContext<'_, String, String>) -> Result<(), BoxError> {
    ///         self.last_ms.update(context, || 0, |last| *last = click.at_ms.max(*last));
    ///         context.register_event_time_timer(EventTime(click.at_ms + 60_000));
    ///         Ok(())
    ///     }
    ///
    ///     fn on_event_time_timer(
    ///         &self,
    ///         time: EventTime,
    ///         context: &mut ProcessContext<'_, String, String>,
    ///     ) -> Result<(), BoxError> {
    ///         if self.last_ms.get(context).is_some_and(|last| last + 60_000 <= time.0) {
    ///             self.last_ms.take(context);
    ///             context.emit(context.key().clone());
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # let env = Env::new("watermarks");
    /// let clicks = [("ann", 0), ("bob", 20_000), ("ann", 50_000), ("bob", 90_000), ("ann", 70_000)];
    /// let clicks = env.source(
    ///     "clicks",
    ///     IteratorSource::new(move || clicks.map(|(user, at_ms)| Click { user: user.to_string(), at_ms })),
    /// );
    /// let left = clicks
    ///     .watermarks(
    ///         WatermarkStrategy::bounded_out_of_orderness(Duration::from_secs(30)).event_time(|click: &Click| click.at_ms),
    ///     )
    ///     .key_by(|click| click.user.clone())
    ///     .process("left", |states| Ok(Left { last_ms: states.value("last", StateOptions::default())? }))
    ///     .collect("left-out");
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(left.sorted(), ["ann", "bob"]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    ///
    /// Its state is kept under the name of the source, or of the nearest operator above that has one.
    pub fn watermarks(self, strategy: WatermarkStrategy<T>) -> Self {
        let env = self.env().clone();
        if let Err(cause) = strategy.check() {
            env.mistake(BuildError::Watermarks(cause));
        }
        let inputs = self.inputs(0);
        let uid = inputs
            .first()
            .map(|(input, _)| env.uid_behind(input.from, "watermarks"));
        let assemble = move |sides: Sides| {
            tidegate_worker::operator::<T>(move |mut parts| {
                let sides = sides.attach(&mut parts);
                let out = Output::with_sides(parts.link::<T>(0), sides);
                Ok(Box::new(AssignWatermarks::new(
                    strategy.clone(),
                    parts.context,
                    out,
                )))
            })
        };
        let node = env.add(NodeSpec {
            operation: "watermarks",
            name: None,
            kind: NodeKind::Operator,
            inputs,
            port: Some(Port::<T>::single()),
            assemble: Assemble::WithSides(Box::new(assemble)),
        });
        env.set_watermarks(node);
        if let Some(uid) = uid {
            env.change(node, |node| node.uid = uid);
        }
        Self::at(env, OutputPort { node, port: 0 })
    }

    /// [`watermarks`](Self::watermarks) that sends records whose time is missing or not accepted to a stream of their own,
    /// as they came and with the reason.
    ///
    /// ```
    /// # use tidegate::prelude::*;
    /// # let env = Env::new("watermarks-with-dead-letters");
    /// let times = env.source("times", IteratorSource::new(|| [Some(1000), None, Some(1_700_000_000_000_000)]));
    /// let (timed, untimely) = times
    ///     .watermarks_with_dead_letters(WatermarkStrategy::monotonous().event_time(|time: &Option<i64>| *time));
    /// let (timed, untimely) = (timed.collect("timed"), untimely.map(|letter| letter.error).collect("untimely"));
    /// # env.build()?.run(RunOptions::in_memory())?;
    /// assert_eq!(timed.sorted(), [Some(1000)]);
    /// assert!(untimely.sorted()[0].starts_with("event time 1700000000000000 ms lies after"));
    /// assert!(untimely.sorted()[1].starts_with("the record has no event time"));
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn watermarks_with_dead_letters(
        self,
        strategy: WatermarkStrategy<T>,
    ) -> (Self, Stream<DeadLetter<T>>) {
        let timed = self.watermarks(strategy.or_drop());
        let untimely = timed.side_output(WatermarkStrategy::<T>::DEAD_LETTERS);
        (timed, untimely)
    }
}
