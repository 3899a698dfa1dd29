//! How a connection is opened from both ends: who it is, whether it knows the secret, whether it means this attempt. Until
//! that is settled a connection costs one short frame of memory and is given little time.

use std::time::Duration;

use bytes::BytesMut;
use tidegate_core::Attempt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::timeout,
};

use crate::{
    connection::ConnectionError,
    frame::{Frame, FrameDecoder, FrameHeader, FrameKind},
    handshake::{Greeting, Handshake, Identity, Refusal, Verdict, decode_token},
    registry::Registry,
    secret::{End, Nonces, PeerSecret, nonce},
};

/// An open connection.
pub(crate) struct Opened {
    /// What the peer is, and whom it meant to reach.
    pub(crate) handshake: Handshake,
    pub(crate) read: OwnedReadHalf,
    pub(crate) write: OwnedWriteHalf,
}

/// Reads one frame, and not a byte more.
async fn read_frame(half: &mut OwnedReadHalf) -> Result<Frame, ConnectionError> {
    let mut decoder = FrameDecoder::of_handshakes();
    let mut received = BytesMut::new();
    loop {
        if let Some(frame) = decoder.next(&mut received)? {
            return Ok(frame);
        }
        let missing = decoder.missing(received.len());
        received.reserve(missing);
        if half.take(missing as u64).read_buf(&mut received).await? == 0 {
            return Err(ConnectionError::Eof);
        }
    }
}

async fn write_frame(
    half: &mut OwnedWriteHalf,
    kind: FrameKind,
    attempt: Attempt,
    body: &[u8],
) -> Result<(), ConnectionError> {
    let frame = FrameHeader::plain(kind, attempt).frame(body)?;
    Ok(half.write_all(&frame).await?)
}

fn encoded(handshake: &Handshake) -> Vec<u8> {
    let mut body = Vec::new();
    handshake.encode(&mut body);
    body
}

/// Says who this worker is over a connection that it has made, and waits until it is let in.
pub(crate) async fn connect(
    stream: TcpStream,
    own: &Handshake,
    secret: Option<&PeerSecret>,
) -> Result<Opened, ConnectionError> {
    stream.set_nodelay(true)?;
    let (mut read, mut write) = stream.into_split();
    let attempt = own.from.attempt;
    let known = secret.map(|secret| (secret, nonce()));
    let hello = Greeting {
        handshake: own.clone(),
        token: known.map(|(_, connecting)| connecting),
    };
    write_frame(&mut write, FrameKind::Handshake, attempt, &hello.encode()).await?;
    let mut nonces = None;
    if let Some((secret, connecting)) = known {
        let frame = expect(read_frame(&mut read).await?, FrameKind::Challenge)?;
        let accepting = decode_token(FrameKind::Challenge, &frame.body)?;
        let both = Nonces {
            connecting,
            accepting,
        };
        let proof = secret.proof(End::Connecting, &both, &encoded(own));
        write_frame(&mut write, FrameKind::Proof, attempt, &proof).await?;
        nonces = Some(both);
    }
    let frame = expect(read_frame(&mut read).await?, FrameKind::Handshake)?;
    let greeting = Greeting::decode(&frame.body)?.map_err(ConnectionError::Refused)?;
    if let (Some(secret), Some(nonces)) = (secret, &nonces) {
        let is_proved = greeting.token.as_ref().is_some_and(|proof| {
            secret.is_proved(End::Accepting, nonces, &encoded(&greeting.handshake), proof)
        });
        if !is_proved {
            return Err(ConnectionError::Unproved);
        }
    }
    Ok(Opened {
        handshake: greeting.handshake,
        read,
        write,
    })
}

fn expect(frame: Frame, expected: FrameKind) -> Result<Frame, ConnectionError> {
    match frame.header.kind {
        kind if kind == expected => Ok(frame),
        FrameKind::Refusal => Err(ConnectionError::Refused(Refusal::decode(&frame.body)?)),
        kind => Err(ConnectionError::NoHandshake(kind)),
    }
}

/// A connection that came in, and has said who it is and proved what there is to prove.
pub(crate) struct Greeted {
    handshake: Handshake,
    /// That of the frames of the handshake, which the answer repeats.
    attempt: Attempt,
    nonces: Option<Nonces>,
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
}

/// Hears who has connected. Whoever does not prove the secret is told nothing but that.
pub(crate) async fn greet(
    stream: TcpStream,
    secret: Option<&PeerSecret>,
) -> Result<Greeted, ConnectionError> {
    stream.set_nodelay(true)?;
    let (mut read, mut write) = stream.into_split();
    let frame = read_frame(&mut read).await?;
    if frame.header.kind != FrameKind::Handshake {
        return Err(ConnectionError::NoHandshake(frame.header.kind));
    }
    let attempt = frame.header.attempt;
    let greeting = match Greeting::decode(&frame.body)? {
        Ok(greeting) => greeting,
        Err(refusal) => return Err(refuse(write, attempt, refusal).await),
    };
    let nonces = match (secret, greeting.token) {
        (None, None) => None,
        (Some(secret), Some(connecting)) => {
            let accepting = nonce();
            write_frame(&mut write, FrameKind::Challenge, attempt, &accepting).await?;
            let frame = read_frame(&mut read).await?;
            if frame.header.kind != FrameKind::Proof {
                return Err(ConnectionError::NoHandshake(frame.header.kind));
            }
            let proof = decode_token(FrameKind::Proof, &frame.body)?;
            let nonces = Nonces {
                connecting,
                accepting,
            };
            if !secret.is_proved(End::Connecting, &nonces, &encoded(&greeting.handshake), &proof) {
                return Err(refuse(write, attempt, Refusal::Secret).await);
            }
            Some(nonces)
        }
        (Some(_), None) | (None, Some(_)) => return Err(refuse(write, attempt, Refusal::Secret).await),
    };
    Ok(Greeted {
        handshake: greeting.handshake,
        attempt,
        nonces,
        read,
        write,
    })
}

/// Tells the peer why it is sent away. A peer that does not read it is sent away all the same.
async fn refuse(mut write: OwnedWriteHalf, attempt: Attempt, refusal: Refusal) -> ConnectionError {
    let mut body = Vec::new();
    refusal.encode(&mut body);
    let told = async {
        write_frame(&mut write, FrameKind::Refusal, attempt, &body).await?;
        Ok::<_, ConnectionError>(write.shutdown().await?)
    };
    match told.await {
        Ok(()) => ConnectionError::SentAway(refusal),
        Err(error) => error,
    }
}

impl Greeted {
    /// Lets the peer in, if it is in the attempt that this worker is in, or will be within `patience`.
    pub(crate) async fn admit(
        mut self,
        registry: &Registry,
        secret: Option<&PeerSecret>,
        patience: Duration,
    ) -> Result<Opened, ConnectionError> {
        let own = match verdict(&self.handshake, registry.watch(), patience).await {
            Ok(own) => own,
            Err(refusal) => return Err(refuse(self.write, self.attempt, refusal).await),
        };
        let answer = Handshake {
            to: self.handshake.from.worker,
            listen: self.handshake.listen,
            from: own,
        };
        let proof = secret
            .zip(self.nonces)
            .map(|(secret, nonces)| secret.proof(End::Accepting, &nonces, &encoded(&answer)));
        let greeting = Greeting {
            handshake: answer,
            token: proof,
        };
        write_frame(
            &mut self.write,
            FrameKind::Handshake,
            self.attempt,
            &greeting.encode(),
        )
        .await?;
        Ok(Opened {
            handshake: self.handshake,
            read: self.read,
            write: self.write,
        })
    }
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
