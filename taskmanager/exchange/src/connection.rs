//! The two ends of one TCP connection. They move bytes and take frames off the stream; what frames mean is decided by
//! the [`Registry`].

use std::{
    io::{self, IoSlice},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tidegate_core::{Attempt, WorkerId};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::timeout,
};

use crate::{
    body::encode_grants,
    frame::{Frame, FrameDecoder, FrameError, FrameHeader, FrameKind, MAX_CONTROL_BODY},
    handshake::{Handshake, Refusal},
    inbox::GrantQueue,
    opening::{self, Opened},
    outbound::Outbound,
    registry::{Registry, RouteError, Routed},
    secret::PeerSecret,
    slab::Slabs,
};

/// How many frames one system call writes at most.
const WRITE_VECTORS: usize = 64;
/// The most grants in one frame.
const GRANTS_PER_FRAME: usize = MAX_CONTROL_BODY / 24;

/// How long to wait before connecting again to a peer that did not answer; doubles up to [`RETRY_MOST`].
const RETRY_FIRST: Duration = Duration::from_millis(5);
/// The longest wait between two tries to connect.
const RETRY_MOST: Duration = Duration::from_millis(500);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the peer closed the connection without a word")]
    Eof,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Route(#[from] RouteError),
    #[error("the peer refused the connection: {0}")]
    Refused(Refusal),
    #[error("the peer was sent away: {0}")]
    SentAway(Refusal),
    #[error("the peer did not prove that it knows the cluster secret; somebody else listens at its address")]
    Unproved,
    #[error("there are as many connections as there may be")]
    Full,
    #[error("connecting took longer than {0:?}")]
    Timeout(Duration),
    #[error("the peer answered with a {0:?} frame where a handshake was expected")]
    NoHandshake(FrameKind),
}

/// How a connection ended that did not break.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    /// The peer said that it would say no more.
    Closed,
}

/// Reads frames off a stream.
pub(crate) struct FrameReader {
    half: OwnedReadHalf,
    slabs: Slabs,
    decoder: FrameDecoder,
}

impl FrameReader {
    fn new(half: OwnedReadHalf, max_data_body: usize) -> Self {
        Self {
            half,
            slabs: Slabs::default(),
            decoder: FrameDecoder::new(max_data_body),
        }
    }

    /// The next frame. Cancelling it loses nothing.
    async fn next(&mut self) -> Result<Frame, ConnectionError> {
        loop {
            if let Some(frame) = self.decoder.next(self.slabs.current())? {
                return Ok(frame);
            }
            let missing = self.decoder.missing(self.slabs.current().len());
            self.slabs.make_room(missing);
            if self.half.read_buf(self.slabs.current()).await? == 0 {
                return Err(ConnectionError::Eof);
            }
        }
    }
}

/// Writes all frames, many with one system call.
async fn write_frames(writer: &mut (impl AsyncWrite + Unpin), frames: &[Vec<u8>]) -> io::Result<()> {
    let (mut next, mut done) = (0, 0);
    while next < frames.len() {
        let mut slices = [IoSlice::new(&[]); WRITE_VECTORS];
        let count = WRITE_VECTORS.min(frames.len() - next);
        for (slice, frame) in slices.iter_mut().zip(&frames[next..]) {
            *slice = IoSlice::new(frame);
        }
        slices[0] = IoSlice::new(&frames[next][done..]);
        let mut written = writer.write_vectored(&slices[..count]).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while next < frames.len() && written >= frames[next].len() - done {
            written -= frames[next].len() - done;
            done = 0;
            next += 1;
        }
        done += written;
    }
    Ok(())
}

/// Waits until this worker's connections are to be closed.
async fn told_to_close(closing: &mut watch::Receiver<bool>) {
    // An error means that whoever would tell is gone, which says the same.
    let _ = closing.wait_for(|closing| *closing).await;
}

/// What the connecting end needs.
pub(crate) struct Dial {
    pub(crate) handshake: Handshake,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) timeout: Duration,
    pub(crate) secret: Option<PeerSecret>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) outbound: Arc<Outbound>,
    /// Set once the peer has let this worker in.
    pub(crate) established: Arc<AtomicBool>,
}

impl Dial {
    /// Connects, then writes what is to be sent and takes grants, until the connection ends.
    pub(crate) async fn run(self, closing: watch::Receiver<bool>) -> Result<Ended, ConnectionError> {
        let Opened { read, write, .. } = timeout(self.timeout, self.connect())
            .await
            .map_err(|_| ConnectionError::Timeout(self.timeout))??;
        let mut reader = FrameReader::new(read, 0);
        self.established.store(true, Ordering::Release);
        let peer = self.handshake.to;
        let grants = async {
            loop {
                let frame = reader.next().await?;
                match frame.header.kind {
                    FrameKind::Close => return Ok(Ended::Closed),
                    _ => {
                        while let Routed::NotYet(attempt) = self.registry.grants(peer, &frame)? {
                            self.registry.begun(attempt).await;
                        }
                    }
                }
            }
        };
        tokio::select! {
            ended = grants => ended,
            ended = self.write(write, closing) => ended,
        }
    }

    /// Connects. A connection that ends before the peer has answered was turned away because too many came at once, or
    /// met a peer that is just going: whoever is gone for good does not take the next one.
    async fn connect(&self) -> Result<Opened, ConnectionError> {
        let mut rest = RETRY_FIRST;
        loop {
            let stream = TcpStream::connect(self.address).await?;
            match opening::connect(stream, &self.handshake, self.secret.as_ref()).await {
                Err(ConnectionError::Eof | ConnectionError::Io(_)) => {
                    tokio::time::sleep(rest).await;
                    rest = (rest * 2).min(RETRY_MOST);
                }
                opened => return opened,
            }
        }
    }

    async fn write(
        &self,
        mut writer: OwnedWriteHalf,
        mut closing: watch::Receiver<bool>,
    ) -> Result<Ended, ConnectionError> {
        let mut frames = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = self.outbound.take(&mut frames) => {
                    write_frames(&mut writer, &frames).await?;
                    self.outbound.recycle(&mut frames);
                }
                () = told_to_close(&mut closing) => {
                    let close = FrameHeader::plain(FrameKind::Close, self.handshake.from.attempt);
                    writer.write_all(&close.frame(&[])?).await?;
                    writer.shutdown().await?;
                    return Ok(Ended::Closed);
                }
            }
        }
    }
}

/// A connection that was let in.
pub(crate) struct Accepted {
    pub(crate) handshake: Handshake,
    reader: FrameReader,
    writer: OwnedWriteHalf,
}

impl Accepted {
    pub(crate) fn new(opened: Opened, max_data_body: usize) -> Self {
        Self {
            handshake: opened.handshake,
            reader: FrameReader::new(opened.read, max_data_body),
            writer: opened.write,
        }
    }
}

impl Accepted {
    pub(crate) fn peer(&self) -> WorkerId {
        self.handshake.from.worker
    }

    /// Takes frames and writes grants, until the connection ends.
    pub(crate) async fn run(
        self,
        registry: &Registry,
        grants: &GrantQueue,
        closing: watch::Receiver<bool>,
    ) -> Result<Ended, ConnectionError> {
        let peer = self.peer();
        let Self { reader, writer, .. } = self;
        tokio::select! {
            ended = receive(peer, reader, registry) => ended,
            ended = return_grants(writer, registry, grants, closing) => ended,
        }
    }
}

async fn receive(
    peer: WorkerId,
    mut reader: FrameReader,
    registry: &Registry,
) -> Result<Ended, ConnectionError> {
    loop {
        let frame = reader.next().await?;
        if frame.header.kind == FrameKind::Close {
            return Ok(Ended::Closed);
        }
        while let Routed::NotYet(attempt) = registry.route(peer, &frame)? {
            // All that follows on this connection belongs to that attempt too, so nothing is held up.
            registry.begun(attempt).await;
        }
    }
}

async fn return_grants(
    mut writer: OwnedWriteHalf,
    registry: &Registry,
    grants: &GrantQueue,
    mut closing: watch::Receiver<bool>,
) -> Result<Ended, ConnectionError> {
    let mut body = Vec::new();
    // Asked after grants have been taken: no grant is newer than the attempt it is then sent under.
    let attempt = || registry.identity().map_or(Attempt(0), |own| own.attempt);
    loop {
        tokio::select! {
            biased;
            granted = grants.take() => {
                for granted in granted.chunks(GRANTS_PER_FRAME) {
                    body.clear();
                    encode_grants(granted, &mut body);
                    let header = FrameHeader::plain(FrameKind::Grants, attempt());
                    writer.write_all(&header.frame(&body)?).await?;
                }
            }
            () = told_to_close(&mut closing) => {
                let close = FrameHeader::plain(FrameKind::Close, attempt());
                writer.write_all(&close.frame(&[])?).await?;
                writer.shutdown().await?;
                return Ok(Ended::Closed);
            }
        }
    }
}
