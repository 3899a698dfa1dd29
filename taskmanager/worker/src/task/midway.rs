//! What a task takes in while an operator is in the middle of a step that a snapshot tells: a checkpoint does not wait
//! for a firing of minutes.
//!
//! No records are taken, so a barrier passes when nothing but control elements comes before it. The watermarks and the
//! end that it overtakes wait in front of the operator; they are heard again after a restore, when the operator has gone
//! on with its step.

use super::{Feed, Phase, Stop, Task, unreadable};

impl Task {
    /// Takes the control elements that come next, if the chain is in the middle of something that a snapshot tells. While
    /// it only waits for room, they stay where they are: nothing would bound their number.
    pub(super) fn take_controls(&mut self) -> Result<(), Stop> {
        let channels = match &self.feed {
            Feed::Edges(edges) => edges.channels.len(),
            Feed::Source { .. } => return Ok(()),
        };
        if !self.is_midway()? {
            return Ok(());
        }
        let mut channel = 0;
        while channel < channels {
            let Feed::Edges(edges) = &mut self.feed else {
                return Ok(());
            };
            let taken = edges.take_control(channel);
            let Some(control) = taken.map_err(|error| unreadable(&self.name, error))? else {
                channel += 1;
                continue;
            };
            self.on_control(channel, control)?;
            if !self.is_midway()? {
                return Ok(());
            }
        }
        // When all channels have ended no barrier comes through them any more.
        if self.phase == Phase::Ending {
            self.take_trigger()?;
        }
        Ok(())
    }

    /// Whether something is pending in the chain, and a barrier may pass it all the same.
    fn is_midway(&mut self) -> Result<bool, Stop> {
        let (mut is_pending, mut may_pass) = (false, true);
        self.chain().visit(&mut |operator| {
            is_pending |= operator.is_pending();
            may_pass &= operator.barrier_may_pass();
            Ok(())
        })?;
        Ok(is_pending && may_pass)
    }
}
