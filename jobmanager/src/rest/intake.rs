//! How many executables are taken in or described at a time: each takes memory, the store's time and that of a task
//! manager.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::problem::{Problem, ProblemKind};

/// How many at a time; others wait.
const MAX_AT_A_TIME: usize = 16;
/// How long others wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// The door for executables and for jobs made of them; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Intake(Arc<Semaphore>);

impl Intake {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_AT_A_TIME)))
    }

    /// Waits for a place, which is given back when it is dropped.
    ///
    /// # Errors
    /// [`ProblemKind::Busy`] if none is free for long.
    pub(crate) async fn enter(&self) -> Result<OwnedSemaphorePermit, Problem> {
        match timeout(PATIENCE, Arc::clone(&self.0).acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            _ => {
                let detail = format!(
                    "{MAX_AT_A_TIME} executables are being taken in or submitted already; ask again when some of them are done"
                );
                Err(Problem::new(ProblemKind::Busy, detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn others_wait_for_a_place_and_are_sent_away_if_none_comes() {
        let intake = Intake::new();
        let mut places = Vec::new();
        for _ in 0..MAX_AT_A_TIME {
            places.push(intake.enter().await.unwrap());
        }
        assert_eq!(intake.enter().await.unwrap_err().kind(), ProblemKind::Busy);
        let (entered, ()) = tokio::join!(intake.enter(), async {
            places.pop();
        });
        drop(entered.unwrap());
    }
}
