//! The server: a listener on loopback, and the threads that serve it.

use std::{io, net::SocketAddr};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use s3s::{
    S3Result,
    auth::{S3Auth, SecretKey},
    s3_error,
    service::S3ServiceBuilder,
};
use tokio::net::TcpListener;

use super::{Buckets, FaultScript, gate::Gate, service::BucketService};
use crate::background::Background;

/// Whom the server lets in.
pub const ACCESS_KEY_ID: &str = "tester";
/// By which it knows them.
pub const SECRET_ACCESS_KEY: &str = "not-a-secret";

/// A server that ends when it is dropped; what it has kept is gone with it.
pub struct S3Server {
    address: SocketAddr,
    buckets: Buckets,
    faults: FaultScript,
    _background: Background,
}

impl S3Server {
    /// Starts it at `address`; port 0 for any that is free.
    ///
    /// # Errors
    /// When the address cannot be had, or no thread.
    pub fn start(address: SocketAddr) -> io::Result<Self> {
        let (buckets, faults) = (Buckets::default(), FaultScript::default());
        let mut service = S3ServiceBuilder::new(BucketService {
            buckets: buckets.clone(),
        });
        service.set_auth(OneTester);
        let gate = Gate {
            service: service.build(),
            script: faults.clone(),
            buckets: buckets.clone(),
        };
        let (background, address) = Background::serve("test-s3", address, |listener| accept(listener, gate))?;
        Ok(Self {
            address,
            buckets,
            faults,
            _background: background,
        })
    }

    /// Starts it on loopback with one bucket.
    ///
    /// # Errors
    /// When no port or no thread can be had.
    pub fn with_bucket(bucket: &str) -> io::Result<Self> {
        let server = Self::start(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        server.buckets.create(bucket);
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it keeps.
    pub fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    /// How it misbehaves.
    pub fn faults(&self) -> &FaultScript {
        &self.faults
    }

    /// The environment that leads a process of ours here.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        Self::environment_of(self.address)
    }

    /// The environment that leads a process of ours to a server at `address`, which may be another's in between.
    pub fn environment_of(address: SocketAddr) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT", format!("http://{address}")),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
        ]
    }
}

/// Serves until its runtime ends.
async fn accept(listener: TcpListener, gate: Gate) {
    while let Ok((socket, _)) = listener.accept().await {
        let gate = gate.clone();
        tokio::spawn(async move {
            let serve = service_fn(move |request: Request<Incoming>| gate.clone().serve(request));
            // A client that has gone is no concern of the server's, and a fault looks the same.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(socket), serve)
                .await;
        });
    }
}

/// Knows one key, and says of others what S3 says.
struct OneTester;

#[async_trait::async_trait]
impl S3Auth for OneTester {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match access_key == ACCESS_KEY_ID {
            true => Ok(SecretKey::from(SECRET_ACCESS_KEY)),
            false => Err(s3_error!(InvalidAccessKeyId)),
        }
    }
}
