//! An S3 server in this process, over a temporary folder.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tidegate_core::{BoxFuture, Io};
use tidegate_files::{FileSink, FileSource};
use tokio::{
    net::TcpListener,
    runtime::{Handle, Runtime},
};

/// The bucket that is there.
pub(crate) const BUCKET: &str = "bucket";

const KEY: &str = "tester";
const SECRET: &str = "not a secret";

/// A server that ends with the test.
pub(crate) struct Server {
    address: SocketAddr,
    folder: TempDir,
    runtime: Runtime,
}

/// Runs I/O where the server's clients may live.
struct RuntimeIo(Handle);

impl Io for RuntimeIo {
    fn spawn(&self, future: BoxFuture<()>) {
        self.0.spawn(future);
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        self.0.spawn_blocking(work);
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().expect("there is room for temporary files");
        fs::create_dir(folder.path().join(BUCKET)).expect("a bucket is a folder");
        let files = FileSystem::new(folder.path()).expect("the folder is there");
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let service = service.build();
        let runtime = Runtime::new().expect("a runtime can be had");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let connection = Builder::new(TokioExecutor::new());
                    let _ = connection.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self {
            address,
            folder,
            runtime,
        }
    }

    /// What sources and sinks must be told to come here.
    fn options(&self) -> [(&'static str, String); 5] {
        [
            ("endpoint", format!("http://{}", self.address)),
            ("allow_http", "true".into()),
            ("region", "here".into()),
            ("access_key_id", KEY.into()),
            ("secret_access_key", SECRET.into()),
        ]
    }

    pub(crate) fn source<T>(&self, source: FileSource<T>) -> FileSource<T> {
        self.options()
            .into_iter()
            .fold(source, |source, (name, value)| source.store_option(name, value))
    }

    pub(crate) fn sink(&self, sink: FileSink) -> FileSink {
        self.options()
            .into_iter()
            .fold(sink, |sink, (name, value)| sink.store_option(name, value))
    }

    pub(crate) fn io(&self) -> impl Io + 'static {
        RuntimeIo(self.runtime.handle().clone())
    }

    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Makes this thread one on which clients find the runtime.
    pub(crate) fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Puts an object into the bucket behind the server's back.
    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        let path = self.path(key);
        fs::create_dir_all(path.parent().expect("a key is within the bucket")).expect("a folder can be made");
        fs::write(path, bytes).expect("a file can be written");
    }

    /// The objects beneath a folder of the bucket with their contents, in the order of their names.
    pub(crate) fn objects(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let mut objects = Vec::new();
        gather(&self.path(folder), &mut objects);
        objects.sort();
        let front = self.path("");
        objects
            .into_iter()
            .map(|path| {
                let name = path
                    .strip_prefix(&front)
                    .expect("it is in the bucket")
                    .to_string_lossy();
                (name.into_owned(), fs::read(&path).expect("an object can be read"))
            })
            .collect()
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.path().join(BUCKET).join(key)
    }
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry can be read").path();
        match path.is_dir() {
            true => gather(&path, files),
            false => files.push(path),
        }
    }
}
