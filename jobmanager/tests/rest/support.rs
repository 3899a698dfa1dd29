//! A server over an empty cluster, and a client that speaks HTTP by itself, so that it can speak it wrongly.

use std::net::SocketAddr;

use serde_json::Value;
use tidegate_jobmanager::{
    cluster::{ClusterOptions, JobManager},
    rest::{BearerToken, RestOptions, RestServer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

/// What requests must carry where a token is asked for.
pub(crate) const TOKEN: &str = "0123456789abcdef";

/// A server over an empty cluster that keeps nothing. Ends when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    /// As is usual.
    pub(crate) async fn start() -> Self {
        Self::with(|_, _| ()).await
    }

    /// One that asks for [`TOKEN`].
    pub(crate) async fn with_token() -> Self {
        Self::with(|rest, _| rest.token = Some(BearerToken::new(TOKEN).unwrap())).await
    }

    /// With other options.
    pub(crate) async fn with(change: impl FnOnce(&mut RestOptions, &mut ClusterOptions)) -> Self {
        let mut options = ClusterOptions::at("memory://");
        let mut rest = RestOptions::default();
        change(&mut rest, &mut options);
        let (cluster, handle) = JobManager::start(options).await.unwrap();
        let (server, reached) = RestServer::bind(rest).await.unwrap();
        let address = reached.address();
        let tasks = vec![
            tokio::spawn(async move {
                let _ = cluster.run().await;
            }),
            tokio::spawn(async move {
                server.run(handle).await;
                drop(reached);
            }),
        ];
        Self { address, tasks }
    }

    /// A connection of its own.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes as they are, and reads until the server is done. Writing ends early if the server answers early.
    pub(crate) async fn send(&self, bytes: &[u8]) -> Answer {
        let (mut reading, mut writing) = self.connect().await.into_split();
        let sending = async {
            // A server that has said its word may close before it has heard everything.
            let _ = writing.write_all(bytes).await;
            std::future::pending::<()>().await;
        };
        let mut answer = Vec::new();
        tokio::select! {
            () = sending => {}
            read = reading.read_to_end(&mut answer) => {
                // A reset after the answer: not everything that was sent was read.
                let _ = read;
            }
        }
        Answer::parse(&answer)
    }

    /// A request without a body, on a connection of its own.
    pub(crate) async fn ask(&self, method: &str, target: &str) -> Answer {
        let request = format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        self.send(request.as_bytes()).await
    }

    /// A request with a body and more headers, each with its line end.
    pub(crate) async fn post(&self, target: &str, headers: &str, body: &[u8]) -> Answer {
        let mut request = format!(
            "POST {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.send(&request).await
    }

    /// A JSON body.
    pub(crate) async fn post_json(&self, target: &str, body: &str) -> Answer {
        self.post(target, "content-type: application/json\r\n", body.as_bytes())
            .await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Self {
            status: status.unwrap_or(0),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that it is a problem document with a status and a name.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, name: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let document = self.json();
        assert_eq!(
            document["type"],
            format!("urn:tidegate:problem:{name}"),
            "{self:?}"
        );
        assert_eq!(document["status"], status, "{self:?}");
        assert!(
            document["title"].is_string() && document["detail"].is_string(),
            "{self:?}"
        );
    }
}
