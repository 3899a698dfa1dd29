//! Which channels there are in the current attempt, and where their frames go.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use tidegate_core::{
    Attempt, ChannelId, Control, WorkerId,
    bug::{Bug, is_seeded},
};
use tokio::sync::watch;

use crate::{
    body::{ControlBody, decode_grants, decode_group},
    credit::Grant,
    frame::{Frame, FrameError, FrameKind},
    handshake::Identity,
    inbox::Inbox,
    meter::ChannelMeter,
    remote::{PeerFailure, SenderShared},
};

/// The most control elements that wait for receivers which are not open yet.
const MAX_PARKED: usize = 1 << 20;
/// The most members that all groups of an attempt may have together.
const MAX_MEMBERS: usize = 1 << 22;
/// Bodies smaller than this are copied out of the slab they arrived in, which they would keep from being used again.
const COPIED_BODY: usize = 4 * 1024;
/// The bits of a channel id below its attempt.
const PLACE_BITS: u32 = 40;

/// Why a peer's frames cannot be taken any more. The connection is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RouteError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("channel {channel} goes on at record {found} where {expected} was expected; frames are missing")]
    Sequence {
        channel: ChannelId,
        expected: u64,
        found: u64,
    },
    #[error(
        "a control element for channel {channel} has its place at record {found}, but {arrived} have come"
    )]
    Position {
        channel: ChannelId,
        arrived: u64,
        found: u64,
    },
    #[error("a control element is for group {group}, which has not been announced")]
    UnknownGroup { group: ChannelId },
    #[error("more control elements or groups than are allowed wait for receivers that are not open")]
    TooMuchParked,
    #[error("a {kind:?} frame has no place here")]
    Unexpected { kind: FrameKind },
}

/// What became of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Routed {
    /// It went where it belongs, or was dropped and counted.
    Done,
    /// It belongs to an attempt that has not begun here: nothing more may be read before it has.
    NotYet(Attempt),
}

/// One end of a channel between workers, for whoever looks at figures.
#[derive(Clone, Debug)]
pub struct ChannelReading {
    /// The channel.
    pub channel: ChannelId,
    /// The other worker.
    pub peer: WorkerId,
    /// Whether this is the sending end.
    pub is_sender: bool,
    /// Its counters.
    pub meter: Arc<ChannelMeter>,
}

struct Route {
    peer: WorkerId,
    arrived: u64,
    inboxes: Vec<Arc<Inbox>>,
}

struct CurrentAttempt {
    identity: Identity,
    senders: HashMap<ChannelId, (WorkerId, Arc<SenderShared>)>,
    /// The newest grants for channels whose senders are not open yet.
    early_grants: HashMap<ChannelId, (WorkerId, Grant)>,
    routes: HashMap<ChannelId, Route>,
    /// Control elements for channels whose receivers are not open yet, with their places.
    parked: HashMap<ChannelId, Vec<(u64, Control)>>,
    parked_count: usize,
    groups: HashMap<(WorkerId, ChannelId), Arc<[ChannelId]>>,
    member_count: usize,
    lost: HashMap<WorkerId, PeerFailure>,
    is_over: bool,
}

/// The channels of the current attempt.
pub(crate) struct Registry {
    current: Mutex<Option<CurrentAttempt>>,
    identity: watch::Sender<Option<Identity>>,
    dropped: AtomicU64,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self {
            current: Mutex::new(None),
            identity: watch::Sender::new(None),
            dropped: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<CurrentAttempt>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets all channels and begins an attempt.
    pub(crate) fn begin(&self, identity: Identity) {
        let before = self.lock().replace(CurrentAttempt {
            identity: identity.clone(),
            senders: HashMap::new(),
            early_grants: HashMap::new(),
            routes: HashMap::new(),
            parked: HashMap::new(),
            parked_count: 0,
            groups: HashMap::new(),
            member_count: 0,
            lost: HashMap::new(),
            is_over: false,
        });
        drop(before);
        self.identity.send_replace(Some(identity));
    }

    /// Forgets all channels. Frames of the attempt are dropped from here on.
    pub(crate) fn end(&self) {
        let before = self.lock().as_mut().map(|current| {
            current.is_over = true;
            (
                std::mem::take(&mut current.senders),
                std::mem::take(&mut current.routes),
                std::mem::take(&mut current.parked),
            )
        });
        drop(before);
    }

    pub(crate) fn identity(&self) -> Option<Identity> {
        self.identity.borrow().clone()
    }

    /// Follows what this worker is.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<Identity>> {
        self.identity.subscribe()
    }

    /// Frames that belonged to nothing.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// All channel ends, with their counters.
    pub(crate) fn readings(&self) -> Vec<ChannelReading> {
        let current = self.lock();
        let Some(current) = &*current else {
            return Vec::new();
        };
        let senders = current
            .senders
            .iter()
            .map(|(channel, (peer, shared))| ChannelReading {
                channel: *channel,
                peer: *peer,
                is_sender: true,
                meter: Arc::clone(&shared.meter),
            });
        let receivers = current.routes.iter().flat_map(|(channel, route)| {
            route.inboxes.iter().map(|inbox| ChannelReading {
                channel: *channel,
                peer: route.peer,
                is_sender: false,
                meter: Arc::clone(&inbox.meter),
            })
        });
        senders.chain(receivers).collect()
    }

    /// Adds a sender. `false` if there is no attempt, or one with this id already.
    pub(crate) fn add_sender(&self, peer: WorkerId, channel: ChannelId, shared: &Arc<SenderShared>) -> bool {
        let mut current = self.lock();
        let Some(current) = &mut *current else {
            return false;
        };
        if let Some(failure) = current.lost.get(&peer) {
            shared.fail(failure.clone());
        }
        if let Some((from, grant)) = current.early_grants.remove(&channel)
            && from == peer
        {
            shared.gate.grant(grant);
        }
        current
            .senders
            .insert(channel, (peer, Arc::clone(shared)))
            .is_none()
    }

    /// Adds the receivers of a channel, and gives them what came before they were there. `false` if there is no attempt,
    /// or one with this id already.
    pub(crate) fn add_receivers(&self, peer: WorkerId, channel: ChannelId, inboxes: Vec<Arc<Inbox>>) -> bool {
        let mut current = self.lock();
        let Some(current) = &mut *current else {
            return false;
        };
        let parked = current.parked.remove(&channel).unwrap_or_default();
        current.parked_count -= parked.len();
        for inbox in &inboxes {
            for (position, control) in &parked {
                inbox.control(*position, *control);
            }
            if let Some(failure) = current.lost.get(&peer) {
                inbox.fail(failure.clone());
            }
        }
        let route = Route {
            peer,
            arrived: 0,
            inboxes,
        };
        current.routes.insert(channel, route).is_none()
    }

    /// All channels with a peer fail. `true` the first time in an attempt, if it had any.
    pub(crate) fn lose(&self, failure: &PeerFailure) -> bool {
        let mut current = self.lock();
        let Some(current) = &mut *current else {
            return false;
        };
        if current.lost.contains_key(&failure.worker) {
            return false;
        }
        current.lost.insert(failure.worker, failure.clone());
        let mut had_any = false;
        for (_, shared) in current
            .senders
            .values()
            .filter(|(peer, _)| *peer == failure.worker)
        {
            had_any = true;
            shared.fail(failure.clone());
        }
        for route in current
            .routes
            .values()
            .filter(|route| route.peer == failure.worker)
        {
            had_any = true;
            route.inboxes.iter().for_each(|inbox| inbox.fail(failure.clone()));
        }
        had_any
    }

    /// Takes a frame that a peer sent over its own connection.
    pub(crate) fn route(&self, peer: WorkerId, frame: &Frame) -> Result<Routed, RouteError> {
        let mut current = self.lock();
        let is_leaky = is_seeded(Bug::ReuseChannelId);
        let now = current.as_ref().map(|current| current.identity.attempt);
        match (&mut *current, now) {
            (Some(current), Some(now)) if now == frame.header.attempt || is_leaky => {
                if current.take(peer, frame, is_leaky)? == Taken::Dropped {
                    self.dropped.fetch_add(1, Relaxed);
                }
            }
            (_, Some(now)) if now > frame.header.attempt => {
                self.dropped.fetch_add(1, Relaxed);
            }
            _ => return Ok(Routed::NotYet(frame.header.attempt)),
        }
        Ok(Routed::Done)
    }

    /// Takes a frame that came back over a connection of our own: grants.
    pub(crate) fn grants(&self, peer: WorkerId, frame: &Frame) -> Result<Routed, RouteError> {
        let grants = match frame.header.kind {
            FrameKind::Grants => decode_grants(&frame.body)?,
            kind => return Err(RouteError::Unexpected { kind }),
        };
        match &mut *self.lock() {
            Some(current) if frame.header.attempt == current.identity.attempt => {
                for (channel, grant) in grants {
                    current.grant(peer, channel, grant)?;
                }
            }
            Some(current) if frame.header.attempt < current.identity.attempt => {
                self.dropped.fetch_add(1, Relaxed);
            }
            _ => return Ok(Routed::NotYet(frame.header.attempt)),
        }
        Ok(Routed::Done)
    }

    /// Waits until an attempt has begun that is not older.
    pub(crate) async fn begun(&self, attempt: Attempt) {
        let mut own = self.watch();
        // The registry owns the other end, so this does not fail while it is borrowed.
        let _ = own
            .wait_for(|own| own.as_ref().is_some_and(|own| own.attempt >= attempt))
            .await;
    }
}

#[derive(PartialEq, Eq)]
enum Taken {
    Used,
    Dropped,
}

impl CurrentAttempt {
    fn grant(&mut self, peer: WorkerId, channel: ChannelId, grant: Grant) -> Result<(), RouteError> {
        match self.senders.get(&channel) {
            Some((of, shared)) if *of == peer => shared.gate.grant(grant),
            Some(_) => {}
            None if self.is_over => {}
            None => {
                // The receiver was opened first. Without this its sender would wait for ever.
                self.early_grants.insert(channel, (peer, grant));
                if self.early_grants.len() > MAX_PARKED {
                    return Err(RouteError::TooMuchParked);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, peer: WorkerId, frame: &Frame, is_leaky: bool) -> Result<Taken, RouteError> {
        if self.is_over {
            return Ok(Taken::Dropped);
        }
        match frame.header.kind {
            FrameKind::Data => self.data(peer, frame, is_leaky),
            FrameKind::Group => {
                let channels = decode_group(&frame.body)?;
                self.member_count += channels.len();
                if self.member_count > MAX_MEMBERS {
                    return Err(RouteError::TooMuchParked);
                }
                self.groups.insert((peer, frame.header.channel), channels.into());
                Ok(Taken::Used)
            }
            FrameKind::Control => self.control(peer, frame),
            kind => Err(RouteError::Unexpected { kind }),
        }
    }

    fn data(&mut self, peer: WorkerId, frame: &Frame, is_leaky: bool) -> Result<Taken, RouteError> {
        let header = &frame.header;
        let mut channel = header.channel;
        if is_leaky {
            let place = channel.0 & ((1 << PLACE_BITS) - 1);
            channel = ChannelId((u64::from(self.identity.attempt.0) << PLACE_BITS) | place);
        }
        let Some(route) = self.routes.get_mut(&channel).filter(|route| route.peer == peer) else {
            return Ok(Taken::Dropped);
        };
        if header.sequence != route.arrived && !is_leaky {
            return Err(RouteError::Sequence {
                channel,
                expected: route.arrived,
                found: header.sequence,
            });
        }
        route.arrived = route.arrived.saturating_add(u64::from(header.records));
        let body = if frame.body.len() < COPIED_BODY {
            Bytes::copy_from_slice(&frame.body)
        } else {
            frame.body.clone()
        };
        let mut taken = Taken::Dropped;
        for inbox in &route.inboxes {
            if inbox.data(body.clone(), header.records) {
                taken = Taken::Used;
            }
        }
        Ok(taken)
    }

    fn control(&mut self, peer: WorkerId, frame: &Frame) -> Result<Taken, RouteError> {
        let group = frame.header.channel;
        let channels = self
            .groups
            .get(&(peer, group))
            .ok_or(RouteError::UnknownGroup { group })?;
        let ControlBody { control, follows } = ControlBody::decode(&frame.body)?;
        let mut follows = follows.into_iter().peekable();
        for (member, channel) in (0..).zip(channels.iter().copied()) {
            let listed = follows.next_if(|(listed, _)| *listed == member).map(|(_, at)| at);
            let route = self.routes.get(&channel).filter(|route| route.peer == peer);
            let arrived = route.map_or(0, |route| route.arrived);
            let position = listed.unwrap_or(arrived);
            if position < arrived {
                return Err(RouteError::Position {
                    channel,
                    arrived,
                    found: position,
                });
            }
            match route {
                Some(route) => {
                    for inbox in &route.inboxes {
                        inbox.control(position, control);
                    }
                }
                None => {
                    let parked = self.parked.entry(channel).or_default();
                    match (parked.last_mut(), control) {
                        (Some((at, last @ Control::Watermark(_))), Control::Watermark(_))
                            if *at == position =>
                        {
                            *last = control;
                        }
                        _ => {
                            parked.push((position, control));
                            self.parked_count += 1;
                        }
                    }
                    if self.parked_count > MAX_PARKED {
                        return Err(RouteError::TooMuchParked);
                    }
                }
            }
        }
        Ok(Taken::Used)
    }
}
