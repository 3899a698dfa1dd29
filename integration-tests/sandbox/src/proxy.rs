//! A TCP proxy that stands between any two and does to what they say whatever a network can do.
//!
//! What a direction of it does is a [`Link`], which may change at any time and holds for connections there are and to come.
//! Nothing is reordered or altered: TCP would not let that through either.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
};

use crate::background::Background;

/// How much is taken from a connection at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// What becomes of the bytes of one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Link {
    /// They arrive.
    #[default]
    Open,
    /// They arrive later, in order.
    Delay(Duration),
    /// They do not arrive, and nobody is told: the connection looks alive. What was swallowed is gone, so that a connection
    /// that is opened again is closed at once.
    BlackHole,
    /// One byte arrives at a time, so long after the last.
    Drip(Duration),
}

/// From whom bytes come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From those who connect.
    ToTarget,
    /// From where they are led.
    FromTarget,
}

/// What the proxy does now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Conduct {
    to_target: Link,
    from_target: Link,
    /// Counts the resets: a connection of an earlier one is closed.
    resets: u64,
}

/// The proxy. It ends with its connections when it is dropped.
pub struct ChaosProxy {
    address: SocketAddr,
    conduct: watch::Sender<Conduct>,
    target: watch::Sender<Option<SocketAddr>>,
    accepted: Arc<AtomicU64>,
    _background: Background,
}

impl ChaosProxy {
    /// Starts it on loopback, at a port of its own choosing, before `target`.
    ///
    /// # Errors
    /// When no port or no thread can be had.
    pub fn start(target: SocketAddr) -> io::Result<Self> {
        let proxy = Self::without_target()?;
        proxy.lead_to(target);
        Ok(proxy)
    }

    /// Starts it before it is known where it leads: connections are closed until then.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn without_target() -> io::Result<Self> {
        let (conduct, conduct_watch) = watch::channel(Conduct::default());
        let (target, target_watch) = watch::channel(None);
        let accepted = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&accepted);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (background, address) = Background::serve("chaos-proxy", any, |listener| {
            accept(listener, target_watch, conduct_watch, counter)
        })?;
        Ok(Self {
            address,
            conduct,
            target,
            accepted,
            _background: background,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads new connections elsewhere: what it stands before has started again.
    pub fn lead_to(&self, target: SocketAddr) {
        self.target.send_replace(Some(target));
    }

    /// What becomes of one direction from now on.
    pub fn set(&self, direction: Direction, link: Link) {
        self.conduct.send_modify(|conduct| match direction {
            Direction::ToTarget => conduct.to_target = link,
            Direction::FromTarget => conduct.from_target = link,
        });
    }

    /// What becomes of both directions from now on.
    pub fn set_both(&self, link: Link) {
        self.set(Direction::ToTarget, link);
        self.set(Direction::FromTarget, link);
    }

    /// Closes all connections there are with a reset. New ones are served as ever.
    pub fn reset(&self) {
        self.conduct.send_modify(|conduct| conduct.resets += 1);
    }

    /// Everything arrives again. Connections that have lost bytes are reset.
    pub fn heal(&self) {
        self.set_both(Link::Open);
    }

    /// How many connections there have been.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(SeqCst)
    }
}

async fn accept(
    listener: TcpListener,
    target: watch::Receiver<Option<SocketAddr>>,
    conduct: watch::Receiver<Conduct>,
    accepted: Arc<AtomicU64>,
) {
    while let Ok((client, _)) = listener.accept().await {
        accepted.fetch_add(1, SeqCst);
        let target = *target.borrow();
        tokio::spawn(carry(client, target, conduct.clone()));
    }
}

/// Carries one connection until either side ends it or the proxy does.
async fn carry(mut client: TcpStream, target: Option<SocketAddr>, mut conduct: watch::Receiver<Conduct>) {
    let resets = conduct.borrow().resets;
    let server = match target {
        Some(target) => connect(target).await,
        None => Err(io::ErrorKind::ConnectionRefused.into()),
    };
    // Dropped with this set, both sides see a reset and no orderly end.
    let _ = client.set_zero_linger();
    let Ok(mut server) = server else {
        return;
    };
    let _ = (
        server.set_zero_linger(),
        client.set_nodelay(true),
        server.set_nodelay(true),
    );
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let forth = pump(from_client, to_server, conduct.clone(), Direction::ToTarget);
    let back = pump(from_server, to_client, conduct.clone(), Direction::FromTarget);
    tokio::select! {
        // A direction that ends well ends alone: a side that has said everything may still listen.
        _ = async { tokio::try_join!(forth, back) } => {}
        _ = conduct.wait_for(|conduct| conduct.resets > resets) => {}
    }
}

async fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    TcpSocket::new_v4()?.connect(target).await
}

/// A connection that cannot go on in either direction.
struct Broken;

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl From<watch::error::RecvError> for Broken {
    fn from(_: watch::error::RecvError) -> Self {
        Self
    }
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut conduct: watch::Receiver<Conduct>,
    direction: Direction,
) -> Result<(), Broken> {
    let link = |conduct: &Conduct| match direction {
        Direction::ToTarget => conduct.to_target,
        Direction::FromTarget => conduct.from_target,
    };
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = from.read(&mut buffer).await?;
        let now = link(&conduct.borrow_and_update());
        if now == Link::BlackHole {
            // Neither the bytes nor the end of them arrive; afterwards the rest would make no sense.
            conduct
                .wait_for(|conduct| link(conduct) != Link::BlackHole)
                .await?;
            return Err(Broken);
        }
        if count == 0 {
            to.shutdown().await?;
            return Ok(());
        }
        let bytes = &buffer[..count];
        match now {
            Link::Open | Link::BlackHole => to.write_all(bytes).await?,
            Link::Delay(duration) => {
                tokio::time::sleep(duration).await;
                to.write_all(bytes).await?;
            }
            Link::Drip(pause) => {
                for byte in bytes {
                    let still = matches!(link(&conduct.borrow()), Link::Drip(_));
                    if still {
                        tokio::time::sleep(pause).await;
                    }
                    to.write_all(&[*byte]).await?;
                }
            }
        }
    }
}
