//! How another process on this machine asks a running job for a savepoint.
//!
//! The running process listens on loopback and leaves a *rendezvous* file, readable by its user only, in the job's
//! checkpoint directory: where it listens and a secret that requests must carry. One request is one line of JSON and so
//! is its answer.

use std::{
    fs, io,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tidegate_core::BoxFuture;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// The rendezvous file's name in the checkpoint directory.
const RENDEZVOUS: &str = "running.json";
/// The longest request or answer, in bytes.
const LINE_LIMIT: u64 = 64 * 1024;
/// How long a connected client may take to say what it wants.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Serialize, Deserialize)]
struct Rendezvous {
    process: u32,
    address: SocketAddr,
    secret: String,
}

#[derive(Serialize, Deserialize)]
struct Message {
    secret: String,
    request: ControlRequest,
}

/// What a running job can be asked for.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(super) enum ControlRequest {
    /// A savepoint.
    Savepoint {
        /// Its name.
        name: String,
        /// Whether the job is suspended with it.
        suspend: bool,
    },
}

/// What a running job answers.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(super) enum ControlAnswer {
    /// The savepoint is there.
    Savepoint {
        /// What to tell the user.
        description: String,
    },
    /// It could not be done.
    Refused {
        /// Why.
        reason: String,
    },
}

/// Why a running job could not be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ControlError {
    /// No process has left a rendezvous file.
    #[error("no process is running the job: there is no {}; start the job, or say where with --checkpoint-dir", path.display())]
    NotRunning { path: PathBuf },
    /// The file is there and nobody listens: the process was killed.
    #[error("the process that ran the job (pid {process}) is gone; start the job again first")]
    Gone { process: u32 },
    /// Something else went wrong.
    #[error("the running job could not be asked: {0}")]
    Io(#[from] io::Error),
    /// The file or the answer is not what it should be.
    #[error("the running job could not be understood: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Listens for requests while a job runs; [`leave`] removes its rendezvous file.
pub(super) struct ControlServer {
    listener: TcpListener,
    secret: String,
}

impl ControlServer {
    /// Listens, and says so in `directory`.
    pub(super) async fn bind(directory: &Path) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let secret = format!("{:032x}", rand::random::<u128>());
        let rendezvous = Rendezvous {
            process: std::process::id(),
            address: listener.local_addr()?,
            secret: secret.clone(),
        };
        tokio::fs::create_dir_all(directory).await?;
        let path = directory.join(RENDEZVOUS);
        write_private(&path, &serde_json::to_vec(&rendezvous)?)?;
        Ok(Self { listener, secret })
    }

    /// Answers requests, one after the other, until it is dropped.
    pub(super) async fn serve(self, handle: impl Fn(ControlRequest) -> BoxFuture<ControlAnswer>) {
        loop {
            let served = match self.listener.accept().await {
                Ok((stream, _)) => self.converse(stream, &handle).await,
                Err(error) => Err(error),
            };
            if let Err(error) = served {
                tracing::debug!(%error, "a control connection ended early");
                // An accept that fails for lack of descriptors fails again at once.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    async fn converse(
        &self,
        stream: tokio::net::TcpStream,
        handle: &impl Fn(ControlRequest) -> BoxFuture<ControlAnswer>,
    ) -> io::Result<()> {
        let (reading, mut writing) = stream.into_split();
        let mut line = String::new();
        let mut reading = tokio::io::BufReader::new(reading.take(LINE_LIMIT));
        tokio::time::timeout(REQUEST_TIMEOUT, reading.read_line(&mut line)).await??;
        let answer = match serde_json::from_str::<Message>(&line) {
            Ok(message) if message.secret == self.secret => handle(message.request).await,
            Ok(_) => ControlAnswer::Refused {
                reason: "the request carries another run's secret".to_owned(),
            },
            Err(error) => ControlAnswer::Refused {
                reason: format!("the request is malformed: {error}"),
            },
        };
        let mut bytes = serde_json::to_vec(&answer)?;
        bytes.push(b'\n');
        writing.write_all(&bytes).await
    }
}

/// Removes this process's rendezvous file, if there is one. What a killed process leaves is recognised by its silence.
pub(super) fn leave(directory: &Path) {
    let path = directory.join(RENDEZVOUS);
    let rendezvous = fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Rendezvous>(&bytes).ok());
    if rendezvous.is_some_and(|rendezvous| rendezvous.process == std::process::id()) {
        // If it cannot be removed it is silent all the same.
        let _ = fs::remove_file(path);
    }
}

/// Asks the process that runs the job whose checkpoints are in `directory`, and waits for its answer.
pub(super) fn ask(directory: &Path, request: ControlRequest) -> Result<ControlAnswer, ControlError> {
    let path = directory.join(RENDEZVOUS);
    let bytes = fs::read(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ControlError::NotRunning { path },
        _ => error.into(),
    })?;
    let rendezvous: Rendezvous = serde_json::from_slice(&bytes)?;
    let gone = |error: io::Error| match error.kind() {
        io::ErrorKind::ConnectionRefused => ControlError::Gone {
            process: rendezvous.process,
        },
        _ => error.into(),
    };
    let mut stream = TcpStream::connect(rendezvous.address).map_err(gone)?;
    let mut bytes = serde_json::to_vec(&Message {
        secret: rendezvous.secret,
        request,
    })?;
    bytes.push(b'\n');
    stream.write_all(&bytes)?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE_LIMIT)).read_line(&mut line)?;
    if line.is_empty() {
        return Err(ControlError::Gone {
            process: rendezvous.process,
        });
    }
    Ok(serde_json::from_str(&line)?)
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let staged = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&staged)?.write_all(bytes)?;
    fs::rename(staged, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> ControlRequest {
        ControlRequest::Savepoint {
            name: "one".into(),
            suspend: false,
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_request_is_answered_and_a_stranger_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().to_path_buf();
        let server = ControlServer::bind(&place).await.unwrap();
        let serving = tokio::spawn(server.serve(|request| {
            let ControlRequest::Savepoint { name, .. } = request;
            Box::pin(async move { ControlAnswer::Savepoint { description: name } })
        }));
        let asked = {
            let place = place.clone();
            tokio::task::spawn_blocking(move || ask(&place, request()))
                .await
                .unwrap()
        };
        assert_eq!(
            asked.unwrap(),
            ControlAnswer::Savepoint {
                description: "one".into()
            }
        );

        let path = place.join(RENDEZVOUS);
        let mut rendezvous: Rendezvous = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        rendezvous.secret = "guessed".into();
        fs::write(&path, serde_json::to_vec(&rendezvous).unwrap()).unwrap();
        let asked = {
            let place = place.clone();
            tokio::task::spawn_blocking(move || ask(&place, request()))
                .await
                .unwrap()
        };
        assert!(matches!(asked.unwrap(), ControlAnswer::Refused { .. }));

        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
        leave(&place);
        assert!(matches!(
            ask(&place, request()),
            Err(ControlError::NotRunning { .. })
        ));
    }

    #[test]
    fn a_killed_process_is_recognised() {
        let directory = tempfile::tempdir().unwrap();
        let address = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let rendezvous = Rendezvous {
            process: 1,
            address,
            secret: String::new(),
        };
        fs::write(
            directory.path().join(RENDEZVOUS),
            serde_json::to_vec(&rendezvous).unwrap(),
        )
        .unwrap();
        assert!(matches!(
            ask(directory.path(), request()),
            Err(ControlError::Gone { process: 1 })
        ));
    }
}
