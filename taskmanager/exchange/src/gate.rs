//! A sender's credit where two threads meet: the executor that spends it, and the network thread that brings grants.

use std::time::Instant;

use crate::{
    credit::{Grant, SenderCredit},
    meter::ChannelMeter,
    sync::{Arc, Mutex, lock},
    wake::TaskWaker,
};

/// Admits frames as credit allows, and wakes the sending task when a grant comes that it waits for.
///
/// The lock is a leaf, held for a few instructions, once per frame and once per grant.
pub(crate) struct CreditGate {
    state: Mutex<State>,
    waker: TaskWaker,
    meter: Arc<ChannelMeter>,
}

#[derive(Default)]
struct State {
    credit: SenderCredit,
    /// Since when the sender has waited for credit.
    starved_since: Option<Instant>,
}

impl CreditGate {
    pub(crate) fn new(waker: TaskWaker, meter: Arc<ChannelMeter>) -> Self {
        Self {
            state: Mutex::new(State::default()),
            waker,
            meter,
        }
    }

    /// How large the next frame may be. `None` means that the task will be woken when that changes.
    pub(crate) fn room(&self) -> Option<u64> {
        let mut state = lock(&self.state);
        let room = state.credit.room();
        if room.is_none() {
            state.starved_since.get_or_insert_with(Instant::now);
        }
        room
    }

    /// Spends credit for a frame that cannot be made smaller. `false` means that there is not enough yet, and that the
    /// task will be woken when that changes.
    pub(crate) fn admit(&self, bytes: u64) -> bool {
        let mut state = lock(&self.state);
        let admitted = state.credit.may_send(bytes);
        if admitted {
            state.credit.spend(bytes);
            self.meter.credit.set(state.credit.available());
        } else {
            state.starved_since.get_or_insert_with(Instant::now);
        }
        admitted
    }

    /// Takes a grant.
    pub(crate) fn grant(&self, grant: Grant) {
        let starved_since = {
            let mut state = lock(&self.state);
            state.credit.grant(grant);
            self.meter.credit.set(state.credit.available());
            state.starved_since.take()
        };
        if let Some(since) = starved_since {
            let waited = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.meter.starved_ns.add(waited);
            self.waker.wake();
        }
    }

    /// Wakes the task whatever it waits for: its channel has failed, or the connection has room again.
    #[cfg(not(loom))]
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }
}

#[cfg(all(test, loom))]
mod models {
    use std::time::Duration;

    use super::*;
    use crate::wake::{ReadySet, ReadySlots};

    #[test]
    fn a_sender_that_waits_for_credit_is_woken() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let set = ReadySet::new(1);
            set.attach();
            let gate = Arc::new(CreditGate::new(set.waker(0), Arc::new(ChannelMeter::default())));
            let granting = Arc::clone(&gate);
            let thread = loom::thread::spawn(move || {
                granting.grant(Grant {
                    limit: 1_000,
                    window: 1_000,
                });
                granting.grant(Grant {
                    limit: 1_500,
                    window: 1_000,
                });
            });
            let mut ready = ReadySlots::default();
            let mut sent = 0;
            while sent < 1_500 {
                match gate.room() {
                    Some(room) => {
                        assert!(gate.admit(room));
                        sent += room;
                    }
                    // A lost wake-up would leave this thread parked for ever.
                    None => loop {
                        set.take_ready(&mut ready);
                        if ready.next().is_some() {
                            break;
                        }
                        set.park(Duration::ZERO, None);
                    },
                }
            }
            assert_eq!(sent, 1_500);
            thread.join().expect("the model's thread");
        });
    }
}
