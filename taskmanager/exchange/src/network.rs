//! A worker's data connections: one listener, one connection per peer and direction, channels over them.

use std::{
    collections::HashMap,
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tidegate_core::{ChannelId, WorkerId};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit, watch},
    task::{AbortHandle, JoinHandle},
    time::timeout,
};

use crate::{
    bincode_codec::Bincode,
    connection::{Accepted, ConnectionError, Dial, Ended},
    credit::{WindowBounds, WindowBudget},
    handshake::{Handshake, Identity},
    inbox::{GrantQueue, Inbox, SharedCredit},
    opening,
    outbound::Outbound,
    registry::{ChannelReading, Registry},
    remote::{MAX_FRAME_BODY, PeerFailure, RemoteReceiver, RemoteSender, SenderShared},
    secret::PeerSecret,
    strangers::Strangers,
    wake::TaskWaker,
};

/// How many connections may come in at once from those who have said who they are: twice the largest number of workers one
/// would run.
const MAX_INCOMING: usize = 4096;
/// What a data body may hold beside its largest record.
const BODY_OVERHEAD: usize = 1024;

/// Settings of a worker's data connections.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// Where to take connections; port 0 chooses one.
    pub listen: SocketAddr,
    /// What the windows of all incoming channels may come to together, in bytes. Every channel gets one frame whatever
    /// this says.
    pub budget_bytes: u64,
    /// The largest window of one channel, in bytes.
    pub max_window_bytes: u64,
    /// The largest encoded record, in bytes; that of the edges' codecs.
    pub max_record_bytes: usize,
    /// How long connecting may take, the time included that the peer takes to begin the attempt.
    pub connect_timeout: Duration,
    /// How long a connection that comes in may take to say who it is and to prove it.
    pub handshake_timeout: Duration,
    /// What both ends of every connection must know; `None` takes whoever comes, for addresses that only this machine
    /// reaches.
    pub secret: Option<PeerSecret>,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            budget_bytes: 64 * 1024 * 1024,
            max_window_bytes: 4 * 1024 * 1024,
            max_record_bytes: Bincode::DEFAULT_MAX_RECORD_BYTES,
            connect_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(5),
            secret: None,
        }
    }
}

/// What a worker is told when an attempt begins.
#[derive(Clone, Debug)]
pub struct AttemptOptions {
    /// What this worker is.
    pub identity: Identity,
    /// Where all workers of the attempt take connections, as all of them know it. This worker may be among them.
    pub workers: Vec<(WorkerId, SocketAddr)>,
}

/// Why a channel cannot be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NetworkError {
    /// No attempt has begun.
    #[error("channel {channel} cannot be opened: no attempt has begun on this worker")]
    NoAttempt {
        /// The channel.
        channel: ChannelId,
    },
    /// The peer is not in the attempt.
    #[error("channel {channel} cannot be opened: worker {peer} is not part of the attempt")]
    UnknownPeer {
        /// The channel.
        channel: ChannelId,
        /// The peer.
        peer: WorkerId,
    },
    /// This end of the channel is open already.
    #[error("channel {channel} is open already; its end can be opened once per attempt")]
    Duplicate {
        /// The channel.
        channel: ChannelId,
    },
}

/// Called once per attempt and peer when a connection with it breaks. Not called when the peer closes on purpose.
pub type OnPeerLost = Arc<dyn Fn(PeerFailure) + Send + Sync>;

/// A worker's data connections. Dropping it closes them.
///
/// Its I/O tasks run on the runtime that it is given and only move bytes. Connections outlive attempts where peers stay.
pub struct Network {
    inner: Arc<Inner>,
    accepting: AbortHandle,
}

struct Inner {
    options: NetworkOptions,
    address: SocketAddr,
    runtime: Handle,
    on_peer_lost: OnPeerLost,
    registry: Arc<Registry>,
    budget: Arc<WindowBudget>,
    peers: Mutex<Peers>,
    strangers: Strangers,
    /// For those who are no strangers.
    room: Semaphore,
    closing: watch::Sender<bool>,
}

#[derive(Default)]
struct Peers {
    identity: Option<Identity>,
    /// Where the other workers know this one to be: tells it from another that had its number.
    own_address: Option<SocketAddr>,
    links: HashMap<WorkerId, Link>,
    connections: u64,
}

impl Peers {
    /// A number for a new connection, to tell it from those before.
    fn next_connection(&mut self) -> u64 {
        self.connections += 1;
        self.connections
    }
}

/// A connection as its link sees it.
struct Connection {
    task: AbortHandle,
    number: u64,
    state: ConnectionState,
}

enum ConnectionState {
    /// This worker connects; set once the peer has let it in.
    Outgoing(Arc<AtomicBool>),
    /// The peer has connected, and says that this is where it takes connections itself.
    Incoming(SocketAddr),
}

impl Connection {
    /// Whether it can serve another attempt with the peer at `address`.
    fn outlives_attempt(&self, address: SocketAddr) -> bool {
        match &self.state {
            // One that is still shaking hands does so for an attempt that is over.
            ConnectionState::Outgoing(established) => established.load(Ordering::Acquire),
            ConnectionState::Incoming(from) => *from == address,
        }
    }
}

/// What there is with one peer.
struct Link {
    address: SocketAddr,
    outbound: Arc<Outbound>,
    grants: Arc<GrantQueue>,
    outgoing: Option<Connection>,
    incoming: Option<Connection>,
}

impl Link {
    fn new(address: SocketAddr) -> Self {
        Self {
            address,
            outbound: Arc::default(),
            grants: Arc::default(),
            outgoing: None,
            incoming: None,
        }
    }

    /// Makes the link ready for another attempt: drops connections with a worker that had the same number, and what
    /// waits to be sent.
    fn renew(&mut self, address: SocketAddr) {
        if self.address != address {
            self.sever();
            *self = Self::new(address);
        }
        for connection in [&mut self.outgoing, &mut self.incoming] {
            if let Some(gone) = connection.take_if(|connection| !connection.outlives_attempt(address)) {
                gone.task.abort();
            }
        }
        self.outbound.clear();
        self.grants.clear();
    }

    fn sever(&mut self) {
        for connection in [&mut self.outgoing, &mut self.incoming] {
            if let Some(gone) = connection.take() {
                gone.task.abort();
            }
        }
    }

    /// Takes a connection that has ended out of its place. `false` if another has taken that.
    fn remove(&mut self, number: u64) -> bool {
        [&mut self.outgoing, &mut self.incoming]
            .into_iter()
            .any(|connection| {
                connection
                    .take_if(|connection| connection.number == number)
                    .is_some()
            })
    }
}

impl Network {
    /// Takes connections at the address in `options`, which is returned as it turned out. `on_peer_lost` is called from
    /// I/O threads and must not block.
    pub fn bind(
        options: NetworkOptions,
        runtime: &Handle,
        on_peer_lost: impl Fn(PeerFailure) + Send + Sync + 'static,
    ) -> io::Result<(Self, SocketAddr)> {
        let listener = std::net::TcpListener::bind(options.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = {
            let _guard = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let inner = Arc::new(Inner {
            budget: Arc::new(WindowBudget::new(options.budget_bytes)),
            options,
            address,
            runtime: runtime.clone(),
            on_peer_lost: Arc::new(on_peer_lost),
            registry: Arc::new(Registry::new()),
            peers: Mutex::default(),
            strangers: Strangers::default(),
            room: Semaphore::new(MAX_INCOMING),
            closing: watch::Sender::new(false),
        });
        let accepting = runtime
            .spawn(Arc::clone(&inner).accept_all(listener))
            .abort_handle();
        Ok((Self { inner, accepting }, address))
    }

    /// Where connections are taken.
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// Begins an attempt: all channels of the one before are forgotten. Connections stay where the peer is the same.
    pub fn begin_attempt(&self, attempt: AttemptOptions) {
        let mut peers = self.inner.peers();
        let keeps_connections = peers.identity.as_ref().is_some_and(|before| {
            let same_attempt = Identity {
                attempt: attempt.identity.attempt,
                ..before.clone()
            };
            same_attempt == attempt.identity
        });
        if !keeps_connections {
            peers.links.values_mut().for_each(Link::sever);
        }
        peers.links.retain(|worker, link| {
            let stays = attempt.workers.iter().any(|(peer, _)| peer == worker);
            if !stays {
                link.sever();
            }
            stays
        });
        let own = attempt.identity.worker;
        peers.own_address = attempt
            .workers
            .iter()
            .find_map(|(worker, address)| (*worker == own).then_some(*address));
        for (worker, address) in attempt.workers.into_iter().filter(|(worker, _)| *worker != own) {
            peers
                .links
                .entry(worker)
                .or_insert_with(|| Link::new(address))
                .renew(address);
        }
        peers.identity = Some(attempt.identity.clone());
        // Last, with the links in place: connections that waited for the attempt go on from here.
        self.inner.registry.begin(attempt.identity);
    }

    /// Ends the attempt: its channels are forgotten, frames that still come are dropped.
    pub fn end_attempt(&self) {
        self.inner.registry.end();
    }

    /// Opens the sending end of a channel. It can send once the receiver has been opened at the other end; `waker` is
    /// woken then.
    pub fn open_sender(
        &self,
        peer: WorkerId,
        channel: ChannelId,
        waker: TaskWaker,
    ) -> Result<RemoteSender, NetworkError> {
        let mut peers = self.inner.peers();
        let identity = peers
            .identity
            .clone()
            .ok_or(NetworkError::NoAttempt { channel })?;
        let attempt = identity.attempt;
        let link = peers
            .links
            .get_mut(&peer)
            .ok_or(NetworkError::UnknownPeer { channel, peer })?;
        let outbound = Arc::clone(&link.outbound);
        let shared = SenderShared::new(waker.clone());
        if !self.inner.registry.add_sender(peer, channel, &shared) {
            return Err(NetworkError::Duplicate { channel });
        }
        if link.outgoing.is_none() {
            self.inner.dial(&mut peers, identity, peer);
        }
        Ok(RemoteSender::new(shared, outbound, waker, attempt, peer, channel))
    }

    /// Opens the receiving end of a channel, and grants the sender its first window. Control elements that came before
    /// are waiting in it.
    pub fn open_receiver(
        &self,
        peer: WorkerId,
        channel: ChannelId,
        waker: TaskWaker,
    ) -> Result<RemoteReceiver, NetworkError> {
        let mut receivers = self.open_broadcast_receivers(peer, channel, std::slice::from_ref(&waker))?;
        Ok(receivers.pop().expect("one receiver per waker"))
    }

    /// Opens the receiving ends of a channel that several tasks of this worker read: each gets everything, in the order
    /// of `wakers`, and the slowest returns the credit.
    pub fn open_broadcast_receivers(
        &self,
        peer: WorkerId,
        channel: ChannelId,
        wakers: &[TaskWaker],
    ) -> Result<Vec<RemoteReceiver>, NetworkError> {
        let peers = self.inner.peers();
        if peers.identity.is_none() {
            return Err(NetworkError::NoAttempt { channel });
        }
        let link = peers
            .links
            .get(&peer)
            .ok_or(NetworkError::UnknownPeer { channel, peer })?;
        let bounds = WindowBounds {
            min: MAX_FRAME_BODY as u64,
            max: self.inner.options.max_window_bytes.max(MAX_FRAME_BODY as u64),
        };
        let credit = SharedCredit::open(
            channel,
            wakers.len(),
            bounds,
            Arc::clone(&self.inner.budget),
            Arc::clone(&link.grants),
        );
        let inboxes: Vec<_> = wakers
            .iter()
            .enumerate()
            .map(|(consumer, waker)| Inbox::new(waker.clone(), Arc::clone(&credit), consumer))
            .collect();
        if !self.inner.registry.add_receivers(peer, channel, inboxes.clone()) {
            return Err(NetworkError::Duplicate { channel });
        }
        // Only now may data come.
        credit.start();
        Ok(inboxes.into_iter().map(RemoteReceiver::new).collect())
    }

    /// All open channel ends with their counters.
    pub fn channels(&self) -> Vec<ChannelReading> {
        self.inner.registry.readings()
    }

    /// How many frames were dropped because their attempt or channel is not, or no longer, there.
    pub fn dropped_frames(&self) -> u64 {
        self.inner.registry.dropped()
    }

    /// How many connections were turned away: strangers, and peers of another attempt, job, graph or secret.
    pub fn refused_connections(&self) -> u64 {
        self.inner.strangers.refused()
    }

    /// What the windows of all incoming channels come to, in bytes.
    pub fn window_bytes(&self) -> u64 {
        self.inner.budget.used()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.inner.registry.end();
        self.accepting.abort();
        // Connections say goodbye on their own and end.
        self.inner.closing.send_replace(true);
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("address", &self.inner.address)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn peers(&self) -> MutexGuard<'_, Peers> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn max_data_body(&self) -> usize {
        self.options
            .max_record_bytes
            .max(MAX_FRAME_BODY)
            .saturating_add(BODY_OVERHEAD)
    }

    /// Connects to a peer, apart.
    fn dial(self: &Arc<Self>, peers: &mut Peers, identity: Identity, peer: WorkerId) {
        let number = peers.next_connection();
        let listen = peers.own_address.unwrap_or(self.address);
        let Some(link) = peers.links.get_mut(&peer) else {
            return;
        };
        let established = Arc::new(AtomicBool::new(false));
        let dial = Dial {
            handshake: Handshake {
                from: identity,
                to: peer,
                listen,
            },
            address: link.address,
            timeout: self.options.connect_timeout,
            secret: self.options.secret.clone(),
            registry: Arc::clone(&self.registry),
            outbound: Arc::clone(&link.outbound),
            established: Arc::clone(&established),
        };
        let inner = Arc::clone(self);
        let task = self.runtime.spawn(async move {
            let result = dial.run(inner.closing.subscribe()).await;
            inner.ended(peer, number, result);
        });
        link.outgoing = Some(Connection {
            task: task.abort_handle(),
            number,
            state: ConnectionState::Outgoing(established),
        });
    }

    async fn accept_all(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.strangers.enter(|number| {
                    let served = Arc::clone(&self).serve(stream, number);
                    self.runtime.spawn(served).abort_handle()
                }),
                Err(error) => {
                    // Out of descriptors, most likely: connections that end make room.
                    tracing::warn!(%error, "data connection not accepted");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, number: u64) {
        let mut closing = self.closing.subscribe();
        let accepted = tokio::select! {
            accepted = self.accept(stream, number) => accepted,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        let (accepted, _permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => return self.strangers.refuse(error),
        };
        if let Some(running) = Self::admit(&self, accepted, closing) {
            let _ = running.await;
        }
    }

    /// Hears who has connected, and lets it in if it belongs here.
    async fn accept(
        &self,
        stream: TcpStream,
        number: u64,
    ) -> Result<(Accepted, SemaphorePermit<'_>), ConnectionError> {
        let (patience, secret) = (self.options.handshake_timeout, self.options.secret.as_ref());
        let greeted = timeout(patience, opening::greet(stream, secret)).await;
        self.strangers.leave(number);
        let greeted = greeted.map_err(|_| ConnectionError::Timeout(patience))??;
        let permit = self.room.try_acquire().map_err(|_| ConnectionError::Full)?;
        let patience = self.options.connect_timeout;
        let opened = greeted.admit(&self.registry, secret, patience).await?;
        Ok((Accepted::new(opened, self.max_data_body()), permit))
    }

    /// Puts a connection that was let in in its place, and runs it apart so that it can be told to end.
    fn admit(self: &Arc<Self>, accepted: Accepted, closing: watch::Receiver<bool>) -> Option<JoinHandle<()>> {
        let (peer, listen) = (accepted.peer(), accepted.handshake.listen);
        let inner = Arc::clone(self);
        let mut peers = self.peers();
        let number = peers.next_connection();
        // An attempt may have begun since the handshake, in which the number is another worker's.
        let link = peers.links.get_mut(&peer).filter(|link| link.address == listen)?;
        let grants = Arc::clone(&link.grants);
        let running = self.runtime.spawn(async move {
            let result = accepted.run(&inner.registry, &grants, closing).await;
            inner.ended(peer, number, result);
        });
        // A peer has one connection; a second replaces it.
        let before = link.incoming.replace(Connection {
            task: running.abort_handle(),
            number,
            state: ConnectionState::Incoming(listen),
        });
        if let Some(before) = before {
            before.task.abort();
        }
        Some(running)
    }

    fn ended(&self, peer: WorkerId, number: u64, result: Result<Ended, ConnectionError>) {
        if *self.closing.borrow() {
            return;
        }
        let mut peers = self.peers();
        if !peers.links.get_mut(&peer).is_some_and(|link| link.remove(number)) {
            return;
        }
        let is_broken = result.is_err();
        let reason = match result {
            Ok(Ended::Closed) => "the peer closed it on purpose".to_string(),
            Err(error) => error.to_string(),
        };
        let failure = PeerFailure { worker: peer, reason };
        // While no other attempt can begin, so that it is not blamed for this one's loss.
        let is_first = self.registry.lose(&failure);
        drop(peers);
        if is_first && is_broken {
            tracing::warn!(worker = %peer, reason = failure.reason, "data connection lost");
            (self.on_peer_lost)(failure);
        }
    }
}
