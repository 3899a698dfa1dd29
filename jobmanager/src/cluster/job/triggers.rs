//! What was triggered for a job and can be looked up later.

use std::collections::VecDeque;

use crate::cluster::view::{SavepointOperation, SavepointProgress, SavepointState, SavepointStatus};

/// How many are remembered.
const CAPACITY: usize = 128;
/// How many may be under way at a time.
const MAX_PENDING: usize = 16;

/// What was triggered, newest last; the oldest are forgotten.
#[derive(Debug, Default)]
pub(crate) struct Triggers {
    entries: VecDeque<(String, Option<SavepointOperation>)>,
}

impl Triggers {
    /// Begins one, or says how many are under way if those are too many.
    pub(crate) fn begin(&mut self, trigger: &str) -> Result<(), usize> {
        let pending = self.entries.iter().filter(|(_, done)| done.is_none()).count();
        if pending >= MAX_PENDING {
            return Err(pending);
        }
        if self.entries.len() == CAPACITY {
            let oldest_done = self.entries.iter().position(|(_, done)| done.is_some());
            self.entries.remove(oldest_done.unwrap_or(0));
        }
        self.entries.push_back((trigger.to_owned(), None));
        Ok(())
    }

    pub(crate) fn finish(&mut self, trigger: &str, result: SavepointOperation) {
        if let Some((_, done)) = self.entries.iter_mut().find(|(id, _)| id == trigger) {
            *done = Some(result);
        }
    }

    pub(crate) fn status(&self, trigger: &str) -> Option<SavepointStatus> {
        let (_, done) = self.entries.iter().find(|(id, _)| id == trigger)?;
        let id = match done {
            Some(_) => SavepointState::Completed,
            None => SavepointState::InProgress,
        };
        Some(SavepointStatus {
            status: SavepointProgress { id },
            operation: done.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(triggers: &Triggers, trigger: &str) -> Option<SavepointState> {
        triggers.status(trigger).map(|status| status.status.id)
    }

    #[test]
    fn what_was_triggered_can_be_looked_up_until_it_is_old() {
        let mut triggers = Triggers::default();
        for number in 0..CAPACITY + 1 {
            triggers.begin(&number.to_string()).unwrap();
            assert_eq!(
                state(&triggers, &number.to_string()),
                Some(SavepointState::InProgress)
            );
            triggers.finish(&number.to_string(), SavepointOperation::Location("here".into()));
            assert_eq!(
                state(&triggers, &number.to_string()),
                Some(SavepointState::Completed)
            );
        }
        assert_eq!(state(&triggers, "0"), None);
        assert_eq!(state(&triggers, "1"), Some(SavepointState::Completed));
    }

    #[test]
    fn only_so_many_are_under_way() {
        let mut triggers = Triggers::default();
        for number in 0..MAX_PENDING {
            triggers.begin(&number.to_string()).unwrap();
        }
        assert_eq!(triggers.begin("more"), Err(MAX_PENDING));
        triggers.finish("3", SavepointOperation::FailureCause("no".into()));
        assert_eq!(triggers.begin("more"), Ok(()));
    }
}
