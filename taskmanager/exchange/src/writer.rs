//! The end of a chain: deals records to the channels of one edge.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tidegate_core::{
    Batch, Control, Flow, KeyGroup, KeySpace, OperatorError, OperatorUid, OperatorVisitor, Push, Times,
    VisitOperators,
    bug::{Bug, is_seeded},
    chain::ChainError,
    metrics::Counter,
    target_records,
};

use crate::{
    buffer::Buffer,
    channel::{ChannelError, ChannelSender},
    partition::{Dealing, HashRecords},
    remote::{RemoteGroup, RemoteSender},
};

/// A batch of at least one part in this many of the target is handed over whole where that is possible.
const WHOLE_PART: usize = 4;

/// What a writer needs to know beside its channels.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// The operator whose output it is: failures are reported in its name.
    pub operator: OperatorUid,
    /// The job's key groups.
    pub space: KeySpace,
    /// The producing task's index: where a round robin begins, so that not all tasks begin at the same consumer.
    pub producer: u32,
}

/// How many records a writer has taken, whether it holds some back and since when, and whether its consumers hold it
/// back. Shared with the task, which does not know the record's type.
#[derive(Debug, Default)]
pub struct WriterStatus {
    records: Counter,
    /// Nanoseconds after the process's first look at the clock, plus one; 0 when nothing is buffered.
    since: AtomicU64,
    blocked: AtomicBool,
}

impl WriterStatus {
    /// How many records were given to the writer. One that goes to all consumers counts once.
    pub fn records(&self) -> u64 {
        self.records.get()
    }

    /// When the oldest buffered record was buffered, if there is one.
    #[inline]
    pub fn buffered_since(&self) -> Option<Instant> {
        match self.since.load(Relaxed) {
            0 => None,
            since => Some(origin() + Duration::from_nanos(since - 1)),
        }
    }

    /// Whether some consumer had no room when the writer was last asked.
    #[inline]
    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed)
    }

    fn set(&self, buffered: bool) {
        match (buffered, self.since.load(Relaxed)) {
            (true, 0) => {
                let since = origin().elapsed().as_nanos();
                self.since
                    .store(u64::try_from(since).unwrap_or(u64::MAX - 1) + 1, Relaxed);
            }
            (true, _) => {}
            (false, _) => self.since.store(0, Relaxed),
        }
    }
}

fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

/// How records find their channel, now that the channels are known.
enum Dealer<T> {
    /// There is one.
    One,
    /// The channel of each key group.
    Table { channel_of: Vec<u16>, hashes: Vec<u64> },
    /// The next in turn.
    RoundRobin { next: usize },
    /// All.
    All(fn(&Batch<T>) -> Batch<T>),
}

struct Target<T> {
    sender: ChannelSender<T>,
    buffer: Buffer<T>,
    flow: Flow,
}

/// Deals the output of one operator to the channels of one edge.
///
/// Records gather per channel and are handed over when a batch is full, on [`flush`](Push::flush), and before every
/// control element. Control elements go to all channels at once: to another worker they are written once.
pub struct EdgeWriter<T> {
    operator: OperatorUid,
    space: KeySpace,
    targets: Vec<Target<T>>,
    groups: Vec<Group>,
    dealer: Dealer<T>,
    hasher: Option<Arc<dyn HashRecords<T>>>,
    status: Arc<WriterStatus>,
    buffered: usize,
    target: usize,
}

/// The channels to one other worker.
struct Group {
    control: RemoteGroup,
    targets: Vec<usize>,
}

impl<T> EdgeWriter<T> {
    pub(crate) fn new(
        dealing: &Dealing<T>,
        senders: Vec<ChannelSender<T>>,
        options: WriterOptions,
    ) -> (Self, Arc<WriterStatus>) {
        let count = senders.len();
        let mut hasher = None;
        let dealer = match dealing {
            Dealing::Hash(hash) => {
                hasher = Some(Arc::clone(hash));
                match count {
                    1 => Dealer::One,
                    _ => Dealer::Table {
                        channel_of: channel_table(options.space, count),
                        hashes: Vec::new(),
                    },
                }
            }
            Dealing::Broadcast(copy) if count != 1 => Dealer::All(*copy),
            _ if count == 1 => Dealer::One,
            _ => Dealer::RoundRobin {
                next: options.producer as usize % count.max(1),
            },
        };
        let status = Arc::new(WriterStatus::default());
        let writer = Self {
            operator: options.operator,
            space: options.space,
            groups: groups(&senders),
            targets: senders
                .into_iter()
                .map(|sender| Target {
                    sender,
                    buffer: Buffer::default(),
                    flow: Flow::Ready,
                })
                .collect(),
            dealer,
            hasher,
            status: Arc::clone(&status),
            buffered: 0,
            target: target_records::<T>(),
        };
        (writer, status)
    }

    fn flow(&self) -> Flow {
        let flow = self
            .targets
            .iter()
            .fold(Flow::Ready, |flow, target| flow.and(target.flow));
        self.status.blocked.store(flow == Flow::Blocked, Relaxed);
        flow
    }

    fn error(&self, error: ChannelError) -> ChainError {
        ChainError {
            operator: self.operator.clone(),
            error: OperatorError::other(error),
        }
    }

    /// Puts a batch into one target's buffer, or through it if it is large enough.
    fn gather(&mut self, index: usize, batch: Batch<T>) -> Result<bool, ChannelError> {
        let keyed = self.hasher.is_some();
        let is_large = batch.len() * WHOLE_PART >= self.target;
        let target = &mut self.targets[index];
        if target.buffer.is_empty() {
            if is_large {
                target.flow = target.sender.send(batch)?;
                return Ok(true);
            }
            self.buffered += batch.len();
            target.buffer.adopt(batch);
        } else {
            self.buffered += batch.len();
            target.buffer.append(batch);
        }
        if target.buffer.len() * WHOLE_PART >= self.target * (WHOLE_PART - 1) {
            self.buffered -= target.buffer.len();
            target.flow = target.sender.send(target.buffer.take(keyed))?;
            return Ok(true);
        }
        Ok(false)
    }

    fn deal(&mut self, mut batch: Batch<T>) -> Result<(), ChannelError> {
        match &mut self.dealer {
            Dealer::One => {
                batch.hashes = self.hasher.as_ref().map(|hasher| {
                    let mut hashes = batch.hashes.take().unwrap_or_default();
                    hashes.clear();
                    hashes.reserve_exact(batch.records.len());
                    hasher.hash(&batch.records, &mut hashes);
                    hashes
                });
                self.gather(0, batch).map(drop)
            }
            Dealer::RoundRobin { next } => {
                let index = *next;
                batch.hashes = None;
                if self.gather(index, batch)?
                    && let Dealer::RoundRobin { next } = &mut self.dealer
                {
                    *next = (index + 1) % self.targets.len();
                }
                Ok(())
            }
            Dealer::All(copy) => {
                let copy = *copy;
                batch.hashes = None;
                for index in 1..self.targets.len() {
                    self.gather(index, copy(&batch))?;
                }
                match self.targets.is_empty() {
                    true => Ok(()),
                    false => self.gather(0, batch).map(drop),
                }
            }
            Dealer::Table { .. } => self.scatter(batch),
        }
    }

    /// Sends each record to the channel of its key group.
    fn scatter(&mut self, mut batch: Batch<T>) -> Result<(), ChannelError> {
        let (Dealer::Table { channel_of, hashes }, Some(hasher)) = (&mut self.dealer, &self.hasher) else {
            return Ok(());
        };
        hashes.clear();
        hasher.hash(&batch.records, hashes);
        let (space, full) = (self.space, self.target);
        self.buffered += batch.records.len();
        let times = std::mem::take(&mut batch.times);
        for (index, (record, hash)) in batch.records.drain(..).zip(hashes.iter().copied()).enumerate() {
            let KeyGroup(group) = space.group_of(hash);
            let target = &mut self.targets[usize::from(channel_of[usize::from(group)])];
            if !target.buffer.has_room() {
                let spare = target.sender.recycled();
                target.buffer.prepare(spare, true);
            }
            match &times {
                Times::None => target.buffer.push(record, hash),
                times => target.buffer.push_timed(record, times.get(index), hash),
            }
            if target.buffer.len() >= full {
                self.buffered -= target.buffer.len();
                target.flow = target.sender.send(target.buffer.take(true))?;
            }
        }
        // The emptied vector fills a buffer that has none: as many come in as go out.
        if let Some(target) = self.targets.iter_mut().find(|target| !target.buffer.has_room()) {
            target.buffer.prepare(Some(batch), true);
        }
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), ChannelError> {
        let keyed = self.hasher.is_some();
        for target in &mut self.targets {
            if !target.buffer.is_empty() {
                target.flow = target.sender.send(target.buffer.take(keyed))?;
            }
        }
        self.buffered = 0;
        Ok(())
    }

    fn control_all(&mut self, control: Control) -> Result<(), ChannelError> {
        self.hand_over()?;
        let mut skipped =
            (matches!(control, Control::Barrier(_)) && is_seeded(Bug::DropBarrier) && self.targets.len() > 1)
                .then(|| self.targets.len() - 1);
        for group in &mut self.groups {
            if skipped.is_some_and(|skipped| group.targets.contains(&skipped)) {
                skipped = None;
                continue;
            }
            let follows = group
                .targets
                .iter()
                .zip(0..)
                .filter_map(|(target, member)| match &self.targets[*target].sender {
                    ChannelSender::Remote(remote) => Some((member, remote.unsent_until()?)),
                    ChannelSender::Local(_) => None,
                })
                .collect();
            group.control.control(control, follows)?;
        }
        for (index, target) in self.targets.iter_mut().enumerate() {
            if let ChannelSender::Local(_) = target.sender
                && skipped != Some(index)
            {
                target.flow = target.sender.control(control)?;
            }
        }
        Ok(())
    }
}

fn channel_table(space: KeySpace, channels: usize) -> Vec<u16> {
    let parallelism = u32::try_from(channels).unwrap_or(u32::MAX);
    space
        .all()
        .iter()
        .map(|group| u16::try_from(space.task_of(group, parallelism)).unwrap_or(u16::MAX))
        .collect()
}

fn groups<T>(senders: &[ChannelSender<T>]) -> Vec<Group> {
    let mut members: Vec<(Vec<&RemoteSender>, Vec<usize>)> = Vec::new();
    for (index, sender) in senders.iter().enumerate() {
        let ChannelSender::Remote(remote) = sender else {
            continue;
        };
        let remote = &remote.remote;
        match members.iter_mut().find(|(of, _)| of[0].peer() == remote.peer()) {
            Some((of, targets)) => {
                of.push(remote);
                targets.push(index);
            }
            None => members.push((vec![remote], vec![index])),
        }
    }
    members
        .into_iter()
        .filter_map(|(members, targets)| {
            Some(Group {
                control: RemoteSender::group_of(&members)?,
                targets,
            })
        })
        .collect()
}

impl<T> VisitOperators for EdgeWriter<T> {
    fn visit(&mut self, _visitor: &mut OperatorVisitor<'_>) -> Result<(), ChainError> {
        Ok(())
    }
}

impl<T: Send> Push<T> for EdgeWriter<T> {
    fn push(&mut self, batch: Batch<T>) -> Result<Flow, ChainError> {
        self.status.records.add(batch.len() as u64);
        self.deal(batch).map_err(|error| self.error(error))?;
        self.status.set(self.buffered > 0);
        Ok(self.flow())
    }

    fn control(&mut self, control: Control) -> Result<Flow, ChainError> {
        self.control_all(control).map_err(|error| self.error(error))?;
        self.status.set(false);
        Ok(self.flow())
    }

    fn drain(&mut self) -> Result<Flow, ChainError> {
        for index in 0..self.targets.len() {
            let target = &mut self.targets[index];
            target.flow = match target.sender.drain() {
                Ok(flow) => flow,
                Err(error) => return Err(self.error(error)),
            };
        }
        Ok(self.flow())
    }

    fn flush(&mut self) -> Result<Flow, ChainError> {
        if self.buffered > 0 {
            self.hand_over().map_err(|error| self.error(error))?;
            self.status.set(false);
        }
        Ok(self.flow())
    }
}
