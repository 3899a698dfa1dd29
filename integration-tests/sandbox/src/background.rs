//! Threads for a server of the tests, which may be started and dropped within any other runtime.

use std::{io, net::SocketAddr};

use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
};

/// What these servers do is little.
const THREADS: usize = 1;

/// A runtime of its own; its tasks end when it is dropped.
pub(crate) struct Background(Option<Runtime>);

impl Background {
    /// Starts a runtime, a listener at `address`, and what `serve` makes of it.
    pub(crate) fn serve<F>(
        name: &str,
        address: SocketAddr,
        serve: impl FnOnce(TcpListener) -> F,
    ) -> io::Result<(Self, SocketAddr)>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name(name)
            .enable_all()
            .build()?;
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let guard = runtime.enter();
        let served = serve(TcpListener::from_std(listener)?);
        drop(guard);
        runtime.spawn(served);
        Ok((Self(Some(runtime)), address))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may be dropped where blocking is not allowed.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
