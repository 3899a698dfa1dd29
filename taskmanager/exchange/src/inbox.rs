//! Where a channel's frames wait between the network thread that received them and the executor that decodes them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use tidegate_core::{ChannelId, Control};
use tokio::sync::Notify;

use crate::{
    credit::{Grant, ReceiverCredit, WindowBounds, WindowBudget},
    frame::HEADER_BYTES,
    meter::ChannelMeter,
    remote::{PeerFailure, Received},
    wake::TaskWaker,
};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Grants on their way to one peer, gathered until its connection writes them.
#[derive(Default)]
pub(crate) struct GrantQueue {
    grants: Mutex<Vec<(ChannelId, Grant)>>,
    filled: Notify,
}

impl GrantQueue {
    fn push(&self, channel: ChannelId, grant: Grant) {
        let was_empty = {
            let mut grants = lock(&self.grants);
            grants.push((channel, grant));
            grants.len() == 1
        };
        if was_empty {
            self.filled.notify_one();
        }
    }

    /// Takes all grants there are, waiting for the first. Cancelling it loses nothing.
    pub(crate) async fn take(&self) -> Vec<(ChannelId, Grant)> {
        loop {
            let grants = std::mem::take(&mut *lock(&self.grants));
            if !grants.is_empty() {
                return grants;
            }
            self.filled.notified().await;
        }
    }

    pub(crate) fn clear(&self) {
        lock(&self.grants).clear();
    }
}

/// The credit of one incoming channel, returned by the slowest of its local consumers.
pub(crate) struct SharedCredit {
    channel: ChannelId,
    state: Mutex<CreditState>,
    budget: Arc<WindowBudget>,
    grants: Arc<GrantQueue>,
}

struct CreditState {
    credit: ReceiverCredit,
    /// What each consumer has taken.
    consumed: Vec<u64>,
    /// What all of them have taken.
    returned: u64,
}

impl SharedCredit {
    /// Opens the channel for `consumers` many.
    pub(crate) fn open(
        channel: ChannelId,
        consumers: usize,
        bounds: WindowBounds,
        budget: Arc<WindowBudget>,
        grants: Arc<GrantQueue>,
    ) -> Arc<Self> {
        let credit = ReceiverCredit::open(bounds, &budget, Instant::now());
        Arc::new(Self {
            channel,
            state: Mutex::new(CreditState {
                credit,
                consumed: vec![0; consumers],
                returned: 0,
            }),
            budget,
            grants,
        })
    }

    /// Grants the first window: from here on data may come.
    pub(crate) fn start(&self) {
        let first = lock(&self.state).credit.current();
        self.grants.push(self.channel, first);
    }

    fn consume(&self, consumer: usize, bytes: u64) {
        let grant = {
            let mut state = lock(&self.state);
            state.consumed[consumer] = state.consumed[consumer].saturating_add(bytes);
            let all = state.consumed.iter().copied().min().unwrap_or(u64::MAX);
            if all == u64::MAX || all <= state.returned {
                return;
            }
            let more = all - state.returned;
            state.returned = all;
            state.credit.consume(more, &self.budget, Instant::now())
        };
        if let Some(grant) = grant {
            self.grants.push(self.channel, grant);
        }
    }

    /// A consumer that is gone holds nobody back.
    fn leave(&self, consumer: usize) {
        self.consume(consumer, u64::MAX);
    }
}

impl Drop for SharedCredit {
    fn drop(&mut self) {
        lock(&self.state).credit.close(&self.budget);
    }
}

/// One consumer's queue of one channel.
pub(crate) struct Inbox {
    state: Mutex<State>,
    waker: TaskWaker,
    credit: Arc<SharedCredit>,
    consumer: usize,
    pub(crate) meter: Arc<ChannelMeter>,
}

#[derive(Default)]
struct State {
    data: VecDeque<(Bytes, u32)>,
    /// Control elements with the number of records that come before them.
    controls: VecDeque<(u64, Control)>,
    delivered: u64,
    failure: Option<PeerFailure>,
    is_gone: bool,
}

impl Inbox {
    pub(crate) fn new(waker: TaskWaker, credit: Arc<SharedCredit>, consumer: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            waker,
            credit,
            consumer,
            meter: Arc::default(),
        })
    }

    /// Takes a data frame. `false` if the consumer is gone.
    pub(crate) fn data(&self, body: Bytes, records: u32) -> bool {
        {
            let mut state = lock(&self.state);
            if state.is_gone {
                return false;
            }
            self.meter.frames.add(1);
            self.meter.bytes.add((HEADER_BYTES + body.len()) as u64);
            self.meter.records.add(u64::from(records));
            state.data.push_back((body, records));
        }
        self.waker.wake();
        true
    }

    /// Takes a control element that comes after `position` records. `false` if the consumer is gone.
    pub(crate) fn control(&self, position: u64, control: Control) -> bool {
        {
            let mut state = lock(&self.state);
            if state.is_gone {
                return false;
            }
            // A watermark that nobody has looked at is overtaken by the next at the same place: a consumer that does
            // not poll gathers no more than one.
            match (state.controls.back_mut(), control) {
                (Some((at, last @ Control::Watermark(_))), Control::Watermark(_)) if *at == position => {
                    *last = control;
                }
                _ => state.controls.push_back((position, control)),
            }
        }
        self.waker.wake();
        true
    }

    /// Takes note that nothing more will come because the connection is gone.
    pub(crate) fn fail(&self, failure: PeerFailure) {
        lock(&self.state).failure.get_or_insert(failure);
        self.waker.wake();
    }

    /// What comes next. The credit of data is returned at once: the consumer asked because it is about to use it.
    pub(crate) fn poll(&self) -> Result<Option<Received>, PeerFailure> {
        let (body, records) = {
            let mut state = lock(&self.state);
            if let Some((_, control)) = state
                .controls
                .front()
                .copied()
                .filter(|(position, _)| *position <= state.delivered)
            {
                state.controls.pop_front();
                return Ok(Some(Received::Control(control)));
            }
            match state.data.pop_front() {
                Some((body, records)) => {
                    state.delivered += u64::from(records);
                    (body, records)
                }
                None => {
                    return match &state.failure {
                        Some(failure) => Err(failure.clone()),
                        None => Ok(None),
                    };
                }
            }
        };
        self.credit
            .consume(self.consumer, (HEADER_BYTES + body.len()) as u64);
        Ok(Some(Received::Data {
            body,
            records: records as usize,
        }))
    }

    /// The consumer is gone: drops what waits and takes nothing more.
    pub(crate) fn leave(&self) {
        let waiting = {
            let mut state = lock(&self.state);
            state.is_gone = true;
            state.controls.clear();
            std::mem::take(&mut state.data)
        };
        drop(waiting);
        self.credit.leave(self.consumer);
    }
}
