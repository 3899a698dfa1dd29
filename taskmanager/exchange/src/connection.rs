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
    handshake::{Handshake, Identity, Refusal, Verdict},
    inbox::GrantQueue,
    outbound::Outbound,
    registry::{Registry, RouteError, Routed},
    slab::Slabs,
};

/// How many frames one system call writes at most.
const WRITE_VECTORS: usize = 64;
/// The most grants in one frame.
const GRANTS_PER_FRAME: usize = MAX_CONTROL_BODY / 24;

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
    pub(crate) registry: Arc<Registry>,
    pub(crate) outbound: Arc<Outbound>,
    /// Set once the peer has let this worker in.
    pub(crate) established: Arc<AtomicBool>,
}

impl Dial {
    /// Connects, then writes what is to be sent and takes grants, until the connection ends.
    pub(crate) async fn run(self, closing: watch::Receiver<bool>) -> Result<Ended, ConnectionError> {
        let connect = self.connect();
        let (mut reader, writer) = timeout(self.timeout, connect)
            .await
            .map_err(|_| ConnectionError::Timeout(self.timeout))??;
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
            ended = self.write(writer, closing) => ended,
        }
    }

    async fn connect(&self) -> Result<(FrameReader, OwnedWriteHalf), ConnectionError> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (read, mut write) = stream.into_split();
        let mut reader = FrameReader::new(read, 0);
        let mut body = Vec::new();
        self.handshake.encode(&mut body);
        let header = FrameHeader::plain(FrameKind::Handshake, self.handshake.from.attempt);
        write.write_all(&header.frame(&body)?).await?;
        let answer = reader.next().await?;
        match answer.header.kind {
            FrameKind::Handshake => Ok((reader, write)),
            FrameKind::Refusal => Err(ConnectionError::Refused(Refusal::decode(&answer.body)?)),
            kind => Err(ConnectionError::NoHandshake(kind)),
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

/// Reads the handshake of a connection that came in, and answers it. `None` if it was refused.
pub(crate) async fn accept(
    stream: TcpStream,
    registry: &Registry,
    max_data_body: usize,
    patience: Duration,
) -> Result<Option<Accepted>, ConnectionError> {
    stream.set_nodelay(true)?;
    let (read, mut writer) = stream.into_split();
    let mut reader = FrameReader::new(read, max_data_body);
    let frame = timeout(patience, reader.next())
        .await
        .map_err(|_| ConnectionError::Timeout(patience))??;
    if frame.header.kind != FrameKind::Handshake {
        return Err(ConnectionError::NoHandshake(frame.header.kind));
    }
    let attempt = frame.header.attempt;
    let refusal = match Handshake::decode(&frame.body)? {
        Err(refusal) => refusal,
        Ok(handshake) => match verdict(&handshake, registry.watch(), patience).await {
            Ok(own) => {
                let mut body = Vec::new();
                Handshake {
                    to: handshake.from.worker,
                    listen: handshake.listen,
                    from: own,
                }
                .encode(&mut body);
                let header = FrameHeader::plain(FrameKind::Handshake, attempt);
                writer.write_all(&header.frame(&body)?).await?;
                return Ok(Some(Accepted {
                    handshake,
                    reader,
                    writer,
                }));
            }
            Err(refusal) => refusal,
        },
    };
    let mut body = Vec::new();
    refusal.encode(&mut body);
    let header = FrameHeader::plain(FrameKind::Refusal, attempt);
    writer.write_all(&header.frame(&body)?).await?;
    writer.shutdown().await?;
    tracing::warn!(reason = %refusal, "data connection refused");
    Ok(None)
}

/// Judges a handshake, waiting for the attempt here to catch up if need be.
async fn verdict(
    handshake: &Handshake,
    mut own: watch::Receiver<Option<Identity>>,
    patience: Duration,
) -> Result<Identity, Refusal> {
    let not_begun = Refusal::NotBegun {
        theirs: u64::from(handshake.from.attempt.0),
    };
    let settled = own.wait_for(|own| handshake.judge(own.as_ref()) != Verdict::Wait);
    let own = match timeout(patience, settled).await {
        Ok(Ok(own)) => own.clone(),
        Ok(Err(_)) | Err(_) => return Err(not_begun),
    };
    match (handshake.judge(own.as_ref()), own) {
        (Verdict::Accept, Some(own)) => Ok(own),
        (Verdict::Refuse(refusal), _) => Err(refusal),
        (Verdict::Accept | Verdict::Wait, _) => Err(not_begun),
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
