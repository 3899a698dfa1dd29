//! Clients that take up room and time.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::Server;

#[tokio::test]
async fn idle_connections_make_room_for_those_who_ask() {
    const ROOM: usize = 16;
    let server = Server::with(|rest, _| rest.max_connections = ROOM).await;
    let mut idle = Vec::new();
    for _ in 0..2_000 {
        idle.push(server.connect().await);
    }
    let answer = server.ask("GET", "/healthz").await;
    assert_eq!(answer.status, 200);
    // All but as many as there is room for have been closed.
    for connection in &mut idle[..2_000 - ROOM] {
        let read = connection.read(&mut [0]).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
}

#[tokio::test]
async fn who_never_says_what_it_wants_is_disconnected() {
    let server = Server::with(|rest, _| rest.idle_timeout = Duration::from_millis(200)).await;
    let mut silent = server.connect().await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET /v1/jobs HTTP/1.1\r\nhost: local")
        .await
        .unwrap();
    let mut again = server.connect().await;
    again
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    for (connection, says) in [
        (&mut silent, ""),
        (&mut slow, ""),
        (&mut again, "HTTP/1.1 200 OK"),
    ] {
        let mut said = Vec::new();
        let _ = connection.read_to_end(&mut said).await;
        assert!(said.starts_with(says.as_bytes()));
    }
}

#[tokio::test]
async fn slow_talkers_do_not_keep_others_out() {
    let server = Server::with(|rest, _| rest.max_connections = 4).await;
    let mut slow = Vec::new();
    for _ in 0..64 {
        let mut connection = server.connect().await;
        connection
            .write_all(b"GET /v1/jobs HTTP/1.1\r\nx: ")
            .await
            .unwrap();
        slow.push(connection);
    }
    assert_eq!(server.ask("GET", "/healthz").await.status, 200);
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let server = Server::start().await;
    let mut connection = server.connect().await;
    for _ in 0..3 {
        connection
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await
            .unwrap();
        let mut said = Vec::new();
        while !said.ends_with(b"ok\n") {
            assert_ne!(connection.read_buf(&mut said).await.unwrap(), 0, "{said:?}");
        }
    }
}
