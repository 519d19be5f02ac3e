//! Serving that is interrupted: what has to be carried on by whoever serves next.

use linkspan_model::SandboxId;
use std::net::{SocketAddrV4, TcpListener, TcpStream, UdpSocket};

/// A sandbox that was served, with everything its resolver owes it. While nobody serves it, what it
/// asks waits in these sockets.
#[derive(Debug)]
pub struct Suspended {
    /// The sandbox.
    pub sandbox: SandboxId,
    /// The port of both sockets.
    pub port: u16,
    /// Where it asks over UDP.
    pub udp: UdpSocket,
    /// Where it connects to ask over TCP.
    pub tcp: TcpListener,
    /// Queries over UDP that were read and not answered, each with its sender.
    pub unanswered: Vec<(SocketAddrV4, Vec<u8>)>,
    /// Its open connections.
    pub conversations: Vec<Conversation>,
}

/// A connection on which queries came.
#[derive(Debug)]
pub struct Conversation {
    /// The connection.
    pub stream: TcpStream,
    /// Bytes that were read and not looked at.
    pub ahead: Vec<u8>,
    /// Queries that were read and not answered.
    pub unanswered: Vec<Vec<u8>>,
    /// Bytes of answers that were not sent.
    pub unsent: Vec<u8>,
    /// Whether the client may still ask; it has closed its side otherwise, or said nonsense.
    pub asking: bool,
}

impl Conversation {
    /// A connection that was just accepted.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, ahead: Vec::new(), unanswered: Vec::new(), unsent: Vec::new(), asking: true }
    }
}
