//! Side outputs: the outputs of an operator beyond its main one, each with a record type of its own.
//!
//! They live inside the operator's [`Output`], so that whoever settles, drains, flushes or controls the output does the
//! same to all of them, and an operator that emits into one that is blocked counts as full.

use std::{any::Any, fmt, marker::PhantomData};

use crate::{
    chain::ChainError,
    output::{Control, Flow, OperatorVisitor, Output, VisitOperators},
};

/// Names a side output of an operator and the type of its records.
///
/// Ports count from 1; port 0 is the main output. The same port is in
/// [`GraphInput::port`](crate::graph::GraphInput::port).
pub struct OutputTag<S> {
    port: u16,
    records: PhantomData<fn() -> S>,
}

impl<S> OutputTag<S> {
    /// The tag of a port.
    ///
    /// # Panics
    /// If the port is 0, which is the main output: in a `const` this is a compile error.
    pub const fn new(port: u16) -> Self {
        assert!(port != 0, "port 0 is the main output; side outputs count from 1");
        Self {
            port,
            records: PhantomData,
        }
    }

    /// The port.
    pub const fn port(self) -> u16 {
        self.port
    }
}

impl<S> Clone for OutputTag<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for OutputTag<S> {}

impl<S> fmt::Debug for OutputTag<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OutputTag").field(&self.port).finish()
    }
}

/// The side outputs that somebody reads, by port.
#[derive(Default)]
pub struct SideOutputs {
    ports: Vec<(u16, Box<dyn SideOutput>)>,
}

/// An [`Output`] whose record type has been forgotten.
trait SideOutput: VisitOperators + Send {
    fn is_full(&self) -> bool;
    fn settle(&mut self) -> Result<Flow, ChainError>;
    fn control(&mut self, control: Control) -> Result<Flow, ChainError>;
    fn drain(&mut self) -> Result<Flow, ChainError>;
    fn flush(&mut self) -> Result<Flow, ChainError>;
    fn as_any(&mut self) -> &mut dyn Any;
}

impl<S: Send + 'static> SideOutput for Output<S> {
    fn is_full(&self) -> bool {
        Output::is_full(self)
    }

    fn settle(&mut self) -> Result<Flow, ChainError> {
        Output::settle(self)
    }

    fn control(&mut self, control: Control) -> Result<Flow, ChainError> {
        Output::control(self, control)
    }

    fn drain(&mut self) -> Result<Flow, ChainError> {
        Output::drain(self)
    }

    fn flush(&mut self) -> Result<Flow, ChainError> {
        Output::flush(self)
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

impl SideOutputs {
    /// None.
    pub const fn none() -> Self {
        Self { ports: Vec::new() }
    }

    /// Adds the output of a port.
    ///
    /// # Panics
    /// If the port has one: several readers of a port share one output through a [`FanOut`](crate::chain::FanOut).
    pub fn insert<S: Send + 'static>(&mut self, tag: OutputTag<S>, output: Output<S>) {
        assert!(
            self.ports.iter().all(|(port, _)| *port != tag.port),
            "side output {} is connected twice; its readers share one output",
            tag.port
        );
        self.ports.push((tag.port, Box::new(output)));
    }

    /// Adds the output of a port.
    #[must_use]
    pub fn with<S: Send + 'static>(mut self, tag: OutputTag<S>, output: Output<S>) -> Self {
        self.insert(tag, output);
        self
    }

    pub(crate) fn get<S: 'static>(&mut self, tag: OutputTag<S>) -> Option<&mut Output<S>> {
        let (_, output) = self.ports.iter_mut().find(|(port, _)| *port == tag.port)?;
        let typed = output.as_any().downcast_mut();
        assert!(
            typed.is_some(),
            "side output {} does not carry records of type {}; give each type a port of its own",
            tag.port,
            std::any::type_name::<S>()
        );
        typed
    }

    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.ports.iter().any(|(_, output)| output.is_full())
    }

    pub(crate) fn settle(&mut self) -> Result<Flow, ChainError> {
        self.each(|output| output.settle())
    }

    pub(crate) fn control(&mut self, control: Control) -> Result<Flow, ChainError> {
        self.each(|output| output.control(control))
    }

    pub(crate) fn drain(&mut self) -> Result<Flow, ChainError> {
        self.each(|output| output.drain())
    }

    pub(crate) fn flush(&mut self) -> Result<Flow, ChainError> {
        self.each(|output| output.flush())
    }

    fn each(
        &mut self,
        mut step: impl FnMut(&mut dyn SideOutput) -> Result<Flow, ChainError>,
    ) -> Result<Flow, ChainError> {
        self.ports.iter_mut().try_fold(Flow::Ready, |flow, (_, output)| {
            Ok(flow.and(step(output.as_mut())?))
        })
    }
}

impl VisitOperators for SideOutputs {
    fn visit(&mut self, visitor: &mut OperatorVisitor<'_>) -> Result<(), ChainError> {
        self.ports
            .iter_mut()
            .try_for_each(|(_, output)| output.visit(visitor))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::{Batch, Push, VisitOperators};

    /// Keeps what it is given; is blocked until drained, if told so.
    struct Recorder {
        seen: Seen,
        blocks: bool,
    }

    impl VisitOperators for Recorder {
        fn visit(&mut self, _visitor: &mut OperatorVisitor<'_>) -> Result<(), ChainError> {
            Ok(())
        }
    }

    impl<T: fmt::Debug + Send> Push<T> for Recorder {
        fn push(&mut self, batch: Batch<T>) -> Result<Flow, ChainError> {
            self.seen.lock().unwrap().push(format!("{:?}", batch.records));
            Ok(if self.blocks { Flow::Blocked } else { Flow::Ready })
        }

        fn control(&mut self, control: Control) -> Result<Flow, ChainError> {
            self.seen.lock().unwrap().push(format!("{control:?}"));
            Ok(Flow::Ready)
        }

        fn drain(&mut self) -> Result<Flow, ChainError> {
            self.seen.lock().unwrap().push("drain".into());
            Ok(Flow::Ready)
        }

        fn flush(&mut self) -> Result<Flow, ChainError> {
            Ok(Flow::Ready)
        }
    }

    type Seen = Arc<Mutex<Vec<String>>>;

    const LATE: OutputTag<&str> = OutputTag::new(1);

    fn output(blocks: bool) -> (Output<u32>, Seen, Seen) {
        let (main, late) = (Seen::default(), Seen::default());
        let link = |seen: &Seen, blocks| {
            Box::new(Recorder {
                seen: Arc::clone(seen),
                blocks,
            })
        };
        let sides = SideOutputs::none().with(LATE, Output::new(link(&late, blocks)));
        (Output::with_sides(link(&main, false), sides), main, late)
    }

    #[test]
    fn a_side_output_is_settled_and_controlled_with_the_main_one() {
        let (mut out, main, late) = output(false);
        out.emit(1, None);
        out.emit_side(LATE, "late", None);
        assert_eq!(out.control(Control::End).unwrap(), Flow::Ready);
        assert_eq!(*main.lock().unwrap(), ["[1]", "End"]);
        assert_eq!(*late.lock().unwrap(), ["[\"late\"]", "End"]);
    }

    #[test]
    fn a_blocked_side_output_makes_the_operator_pause_until_it_is_drained() {
        let (mut out, _main, late) = output(true);
        out.emit_side(LATE, "late", None);
        assert!(!out.is_full());
        assert_eq!(out.settle().unwrap(), Flow::Blocked);
        assert!(out.is_full());
        assert_eq!(out.drain().unwrap(), Flow::Ready);
        assert!(!out.is_full());
        assert_eq!(*late.lock().unwrap(), ["[\"late\"]", "drain"]);
    }

    #[test]
    fn what_nobody_reads_is_dropped() {
        let (mut out, _main, late) = output(false);
        out.emit_side(OutputTag::<u64>::new(2), 7, None);
        assert_eq!(out.settle().unwrap(), Flow::Ready);
        assert!(late.lock().unwrap().is_empty());
    }
}
