//! The chaos proxy between a client and a server that says back what it hears.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tidegate_sandbox::{ChaosProxy, Direction, Link};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// Long enough for what should come, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long nothing must come where nothing should.
const SILENCE: Duration = Duration::from_millis(150);

/// A server that says back what it hears, and tells how many bytes that was.
async fn echo() -> (SocketAddr, tokio::sync::watch::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (heard, hearing) = tokio::sync::watch::channel(0);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let heard = heard.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                while let Ok(count @ 1..) = socket.read(&mut buffer).await {
                    heard.send_modify(|heard| *heard += count);
                    if socket.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, hearing)
}

async fn says(socket: &mut TcpStream, text: &str) -> std::io::Result<String> {
    socket.write_all(text.as_bytes()).await?;
    let mut answer = vec![0; text.len()];
    let read = timeout(PATIENCE, socket.read_exact(&mut answer)).await;
    read.expect("an answer comes in time")?;
    Ok(String::from_utf8(answer).unwrap())
}

async fn is_silent(socket: &mut TcpStream) -> bool {
    timeout(SILENCE, socket.read_u8()).await.is_err()
}

#[tokio::test]
async fn what_is_said_arrives_at_once_late_or_in_drops() {
    let (target, _) = echo().await;
    let proxy = ChaosProxy::start(target).unwrap();
    let mut socket = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(says(&mut socket, "hello").await.unwrap(), "hello");
    for (link, at_least) in [
        (Link::Delay(Duration::from_millis(50)), 50),
        (Link::Drip(Duration::from_millis(10)), 50),
    ] {
        proxy.set(Direction::ToTarget, link);
        let asked = Instant::now();
        assert_eq!(says(&mut socket, "again").await.unwrap(), "again");
        assert!(asked.elapsed() >= Duration::from_millis(at_least), "{link:?}");
    }
    proxy.heal();
    assert_eq!(says(&mut socket, "more").await.unwrap(), "more");
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test]
async fn a_black_hole_swallows_one_direction_or_both() {
    let (target, mut heard) = echo().await;
    let proxy = ChaosProxy::start(target).unwrap();
    let mut socket = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(says(&mut socket, "12345").await.unwrap(), "12345");
    // The server hears, and is not heard.
    proxy.set(Direction::FromTarget, Link::BlackHole);
    socket.write_all(b"67890").await.unwrap();
    timeout(PATIENCE, heard.wait_for(|heard| *heard == 10))
        .await
        .unwrap()
        .unwrap();
    assert!(is_silent(&mut socket).await);
    // Once healed, the connection that has lost bytes is reset, and a new one serves.
    proxy.heal();
    let ended = timeout(PATIENCE, socket.read_u8()).await.unwrap();
    assert!(ended.is_err(), "{ended:?}");
    let mut socket = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(says(&mut socket, "new").await.unwrap(), "new");
    // Neither hears the other, also on new connections.
    proxy.set_both(Link::BlackHole);
    let mut second = TcpStream::connect(proxy.address()).await.unwrap();
    for socket in [&mut socket, &mut second] {
        socket.write_all(b"lost").await.unwrap();
        assert!(is_silent(socket).await);
    }
    assert_eq!(*heard.borrow(), 13);
}

#[tokio::test]
async fn a_reset_ends_connections_and_the_next_are_led_elsewhere() {
    let (target, _) = echo().await;
    let proxy = ChaosProxy::without_target().unwrap();
    let mut early = TcpStream::connect(proxy.address()).await.unwrap();
    let ended = timeout(PATIENCE, early.read_u8()).await.unwrap();
    assert!(ended.is_err(), "nobody is there yet");
    proxy.lead_to(target);
    let mut socket = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(says(&mut socket, "hello").await.unwrap(), "hello");
    proxy.reset();
    let ended = timeout(PATIENCE, socket.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(ended.kind(), std::io::ErrorKind::ConnectionReset);
    let (elsewhere, heard) = echo().await;
    proxy.lead_to(elsewhere);
    let mut socket = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(says(&mut socket, "again").await.unwrap(), "again");
    assert_eq!(*heard.borrow(), 5);
}
