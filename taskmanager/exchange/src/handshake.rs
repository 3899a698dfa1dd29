//! Who may connect to whom: both ends must mean the same job, generation, attempt and graph. Pure.

use std::net::SocketAddr;

use tidegate_core::{Attempt, Generation, JobId, WorkerId};

use crate::{
    body::Reader,
    frame::{FrameError, FrameKind},
    secret::{TOKEN_BYTES, Token},
};

const MAGIC: &[u8; 8] = b"TIDEGATE";
/// The version of frames and handshake; workers of one job are one executable, so there is only ever one.
pub const PROTOCOL_VERSION: u16 = 1;
/// The longest job id.
const MAX_JOB_BYTES: usize = 1024;

/// What a worker is within an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The job.
    pub job: JobId,
    /// The term of leadership that deployed it.
    pub generation: Generation,
    /// The attempt.
    pub attempt: Attempt,
    /// The worker.
    pub worker: WorkerId,
    /// The graph that all workers of the job agree on.
    pub graph_fingerprint: u64,
}

/// What opens a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handshake {
    /// Who connects.
    pub from: Identity,
    /// Whom it means to reach.
    pub to: WorkerId,
    /// Where it takes connections itself: tells a worker from another that later has its number.
    pub listen: SocketAddr,
}

/// Why a connection is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// Another version of the protocol.
    #[error("it speaks protocol version {ours}, this worker speaks {theirs}; run one executable everywhere")]
    Version {
        /// That of the refusing worker.
        ours: u64,
        /// That of the refused one.
        theirs: u64,
    },
    /// Another job.
    #[error("it runs another job")]
    Job,
    /// Another generation.
    #[error("it follows generation {ours}, this worker follows {theirs}")]
    Generation {
        /// That of the refusing worker.
        ours: u64,
        /// That of the refused one.
        theirs: u64,
    },
    /// An attempt that is over.
    #[error("it is in attempt {ours}, this worker is still in {theirs}")]
    Attempt {
        /// That of the refusing worker.
        ours: u64,
        /// That of the refused one.
        theirs: u64,
    },
    /// Another graph.
    #[error(
        "its graph has fingerprint {ours:#018x}, this worker's has {theirs:#018x}; building a job's graph must be \
         deterministic"
    )]
    Graph {
        /// That of the refusing worker.
        ours: u64,
        /// That of the refused one.
        theirs: u64,
    },
    /// The connection was meant for another worker.
    #[error("it is worker {ours}, not {theirs}")]
    Worker {
        /// The refusing worker.
        ours: u64,
        /// Who was meant.
        theirs: u64,
    },
    /// The attempt did not begin at the other end.
    #[error("attempt {theirs} has not begun there in time")]
    NotBegun {
        /// The attempt waited for.
        theirs: u64,
    },
    /// One end knows another cluster secret than the other, or none.
    #[error(
        "it knows another cluster secret, or none; start all workers with the same TIDEGATE_CLUSTER_SECRET"
    )]
    Secret,
}

impl Refusal {
    fn parts(self) -> (u8, u64, u64) {
        match self {
            Self::Version { ours, theirs } => (1, ours, theirs),
            Self::Job => (2, 0, 0),
            Self::Generation { ours, theirs } => (3, ours, theirs),
            Self::Attempt { ours, theirs } => (4, ours, theirs),
            Self::Graph { ours, theirs } => (5, ours, theirs),
            Self::Worker { ours, theirs } => (6, ours, theirs),
            Self::NotBegun { theirs } => (7, 0, theirs),
            Self::Secret => (8, 0, 0),
        }
    }

    /// Appends the body of a refusal.
    pub fn encode(self, out: &mut Vec<u8>) {
        let (code, ours, theirs) = self.parts();
        out.push(code);
        out.extend_from_slice(&ours.to_le_bytes());
        out.extend_from_slice(&theirs.to_le_bytes());
    }

    /// Reads the body of a refusal.
    pub fn decode(body: &[u8]) -> Result<Self, FrameError> {
        let mut reader = Reader {
            kind: FrameKind::Refusal,
            bytes: body,
        };
        let code = reader.u8()?;
        let (ours, theirs) = (reader.u64()?, reader.u64()?);
        Ok(match code {
            1 => Self::Version { ours, theirs },
            2 => Self::Job,
            3 => Self::Generation { ours, theirs },
            4 => Self::Attempt { ours, theirs },
            5 => Self::Graph { ours, theirs },
            6 => Self::Worker { ours, theirs },
            7 => Self::NotBegun { theirs },
            8 => Self::Secret,
            _ => return Err(reader.malformed("there is no such reason")),
        })
    }
}

/// What to do with a handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Let it in.
    Accept,
    /// Ask again when the attempt here has moved on: the other end was told of its attempt first.
    Wait,
    /// Send it away.
    Refuse(Refusal),
}

impl Handshake {
    /// Appends the body of a handshake.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&PROTOCOL_VERSION.to_le_bytes());
        out.extend_from_slice(&self.from.generation.0.to_le_bytes());
        out.extend_from_slice(&self.from.attempt.0.to_le_bytes());
        out.extend_from_slice(&self.from.worker.0.to_le_bytes());
        out.extend_from_slice(&self.to.0.to_le_bytes());
        out.extend_from_slice(&self.from.graph_fingerprint.to_le_bytes());
        for text in [self.from.job.as_str(), &self.listen.to_string()] {
            let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(&text.as_bytes()[..usize::from(length)]);
        }
    }

    /// Reads the body of a handshake. A version that is not ours is a refusal, not an error.
    pub fn decode(body: &[u8]) -> Result<Result<Self, Refusal>, FrameError> {
        Self::read(&mut reader_of(body))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Result<Self, Refusal>, FrameError> {
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(reader.malformed("it does not begin with the magic; is that a worker's data port?"));
        }
        let version = reader.u16()?;
        if version != PROTOCOL_VERSION {
            return Ok(Err(Refusal::Version {
                ours: u64::from(PROTOCOL_VERSION),
                theirs: u64::from(version),
            }));
        }
        let generation = Generation(reader.u64()?);
        let attempt = Attempt(reader.u32()?);
        let worker = WorkerId(reader.u32()?);
        let to = WorkerId(reader.u32()?);
        let graph_fingerprint = reader.u64()?;
        let job = Self::text(reader)?;
        let listen = Self::text(reader)?
            .parse()
            .map_err(|_| reader.malformed("its listening address is none"))?;
        Ok(Ok(Self {
            from: Identity {
                job: JobId::new(job),
                generation,
                attempt,
                worker,
                graph_fingerprint,
            },
            to,
            listen,
        }))
    }

    fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, FrameError> {
        let length = usize::from(reader.u16()?);
        if length > MAX_JOB_BYTES {
            return Err(reader.malformed("a text is longer than allowed"));
        }
        let text = reader.take(length)?;
        std::str::from_utf8(text).map_err(|_| reader.malformed("a text is not UTF-8"))
    }

    /// Judges the handshake by what this worker is; `None` while it is in no attempt.
    pub fn judge(&self, own: Option<&Identity>) -> Verdict {
        let Some(own) = own else { return Verdict::Wait };
        let theirs = &self.from;
        if theirs.job != own.job {
            return Verdict::Refuse(Refusal::Job);
        }
        if theirs.generation < own.generation {
            return Verdict::Refuse(Refusal::Generation {
                ours: own.generation.0,
                theirs: theirs.generation.0,
            });
        }
        if theirs.generation > own.generation || theirs.attempt > own.attempt {
            return Verdict::Wait;
        }
        if theirs.attempt < own.attempt {
            return Verdict::Refuse(Refusal::Attempt {
                ours: u64::from(own.attempt.0),
                theirs: u64::from(theirs.attempt.0),
            });
        }
        if theirs.graph_fingerprint != own.graph_fingerprint {
            return Verdict::Refuse(Refusal::Graph {
                ours: own.graph_fingerprint,
                theirs: theirs.graph_fingerprint,
            });
        }
        if self.to != own.worker {
            return Verdict::Refuse(Refusal::Worker {
                ours: u64::from(own.worker.0),
                theirs: u64::from(self.to.0),
            });
        }
        Verdict::Accept
    }
}

fn reader_of(body: &[u8]) -> Reader<'_> {
    Reader {
        kind: FrameKind::Handshake,
        bytes: body,
    }
}

/// A handshake as it is sent: with a nonce by the end that connects, with a proof by the end that accepts, if there is a
/// cluster secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Greeting {
    pub(crate) handshake: Handshake,
    pub(crate) token: Option<Token>,
}

impl Greeting {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        self.handshake.encode(&mut body);
        match &self.token {
            None => body.push(0),
            Some(token) => {
                body.push(1);
                body.extend_from_slice(token);
            }
        }
        body
    }

    /// Reads it, as [`Handshake::decode`] does.
    pub(crate) fn decode(body: &[u8]) -> Result<Result<Self, Refusal>, FrameError> {
        let mut reader = reader_of(body);
        let handshake = match Handshake::read(&mut reader)? {
            Ok(handshake) => handshake,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let token = match reader.u8()? {
            0 => None,
            1 => Some(token(&mut reader)?),
            _ => return Err(reader.malformed("its flag is neither 0 nor 1")),
        };
        if !reader.bytes.is_empty() {
            return Err(reader.malformed("something follows it"));
        }
        Ok(Ok(Self { handshake, token }))
    }
}

fn token(reader: &mut Reader<'_>) -> Result<Token, FrameError> {
    let taken = reader.take(TOKEN_BYTES)?;
    taken
        .try_into()
        .map_err(|_| reader.malformed("a nonce or proof is cut off"))
}

/// Reads the body of a challenge or a proof, which is nothing else.
pub(crate) fn decode_token(kind: FrameKind, body: &[u8]) -> Result<Token, FrameError> {
    let mut reader = Reader { kind, bytes: body };
    let token = token(&mut reader)?;
    if !reader.bytes.is_empty() {
        return Err(reader.malformed("something follows it"));
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake(change: impl Fn(&mut Handshake)) -> Handshake {
        let mut handshake = Handshake {
            from: Identity {
                job: JobId::new("flights"),
                generation: Generation(3),
                attempt: Attempt(5),
                worker: WorkerId(1),
                graph_fingerprint: 77,
            },
            to: WorkerId(0),
            listen: ([127, 0, 0, 1], 4000).into(),
        };
        change(&mut handshake);
        handshake
    }

    fn own() -> Identity {
        Identity {
            worker: WorkerId(0),
            ..handshake(|_| {}).from
        }
    }

    #[test]
    fn only_the_same_attempt_of_the_same_job_is_let_in() {
        type Case = (fn(&mut Handshake), Verdict);
        let cases: [Case; 9] = [
            (|_| {}, Verdict::Accept),
            (
                |h| h.from.job = JobId::new("other"),
                Verdict::Refuse(Refusal::Job),
            ),
            (
                |h| h.from.generation.0 = 2,
                Verdict::Refuse(Refusal::Generation { ours: 3, theirs: 2 }),
            ),
            (|h| h.from.generation.0 = 4, Verdict::Wait),
            (
                |h| h.from.attempt.0 = 4,
                Verdict::Refuse(Refusal::Attempt { ours: 5, theirs: 4 }),
            ),
            (|h| h.from.attempt.0 = 6, Verdict::Wait),
            // A newer attempt of an older leader is a zombie's all the same.
            (
                |h| (h.from.generation.0, h.from.attempt.0) = (2, 6),
                Verdict::Refuse(Refusal::Generation { ours: 3, theirs: 2 }),
            ),
            (
                |h| h.from.graph_fingerprint = 78,
                Verdict::Refuse(Refusal::Graph { ours: 77, theirs: 78 }),
            ),
            (
                |h| h.to = WorkerId(9),
                Verdict::Refuse(Refusal::Worker { ours: 0, theirs: 9 }),
            ),
        ];
        for (change, verdict) in cases {
            let handshake = handshake(change);
            assert_eq!(handshake.judge(Some(&own())), verdict, "{handshake:?}");
        }
        assert_eq!(handshake(|_| {}).judge(None), Verdict::Wait);
    }

    #[test]
    fn a_handshake_comes_back_and_any_cut_is_an_error() {
        let handshake = handshake(|_| {});
        let mut body = Vec::new();
        handshake.encode(&mut body);
        assert_eq!(Handshake::decode(&body), Ok(Ok(handshake)));
        for cut in 0..body.len() {
            assert!(Handshake::decode(&body[..cut]).is_err());
        }
        body[8] = 9;
        assert_eq!(
            Handshake::decode(&body),
            Ok(Err(Refusal::Version { ours: 1, theirs: 9 }))
        );
        body[0] = b'X';
        assert!(Handshake::decode(&body).is_err());
    }

    #[test]
    fn refusals_come_back() {
        for refusal in [
            Refusal::Version { ours: 1, theirs: 2 },
            Refusal::Job,
            Refusal::Generation { ours: 1, theirs: 2 },
            Refusal::Attempt { ours: 1, theirs: 2 },
            Refusal::Graph { ours: 1, theirs: 2 },
            Refusal::Worker { ours: 1, theirs: 2 },
            Refusal::NotBegun { theirs: 2 },
            Refusal::Secret,
        ] {
            let mut body = Vec::new();
            refusal.encode(&mut body);
            assert_eq!(Refusal::decode(&body), Ok(refusal));
        }
        assert!(Refusal::decode(&[0; 17]).is_err());
    }
}
