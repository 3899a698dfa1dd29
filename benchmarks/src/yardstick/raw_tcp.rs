//! Frames over one loopback connection, from a blocking thread to a blocking thread.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
};

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct RawTransfer {
    /// The size of a frame, its four bytes of length included.
    pub frame_bytes: usize,
    /// How many.
    pub frames: u64,
}

impl RawTransfer {
    /// All bytes together.
    pub fn bytes(&self) -> u64 {
        self.frame_bytes as u64 * self.frames
    }
}

const LENGTH_BYTES: usize = 4;

/// Sends the frames and returns how many bytes arrived. Each is written and read whole, the least that a program that
/// talks in frames has to do.
///
/// # Errors
/// Whatever the sockets say.
pub fn raw_transfer(transfer: RawTransfer) -> io::Result<u64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::scope(|scope| {
        let sender = scope.spawn(move || {
            let mut stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            let body = transfer.frame_bytes.saturating_sub(LENGTH_BYTES);
            let mut frame = vec![7; transfer.frame_bytes.max(LENGTH_BYTES)];
            frame[..LENGTH_BYTES].copy_from_slice(&u32::try_from(body).unwrap_or(u32::MAX).to_le_bytes());
            (0..transfer.frames).try_for_each(|_| stream.write_all(&frame))
        });
        let (stream, _) = listener.accept()?;
        let received = receive(stream, transfer.frames);
        sender.join().expect("a loop of writes does not panic")?;
        received
    })
}

fn receive(mut stream: TcpStream, frames: u64) -> io::Result<u64> {
    let (mut bytes, mut body) = (0, Vec::new());
    for _ in 0..frames {
        let mut length = [0; LENGTH_BYTES];
        stream.read_exact(&mut length)?;
        body.resize(u32::from_le_bytes(length) as usize, 0);
        stream.read_exact(&mut body)?;
        bytes += (LENGTH_BYTES + body.len()) as u64;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_arrive() {
        let transfer = RawTransfer {
            frame_bytes: 4_096,
            frames: 1_000,
        };
        assert_eq!(raw_transfer(transfer).unwrap(), transfer.bytes());
    }
}
