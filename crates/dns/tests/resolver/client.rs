//! A client that says what it means, byte by byte if need be.

use hickory_proto::{
    op::{Message, Query},
    rr::{Name, RecordType},
};
use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

/// Where a server with `port` is.
pub(crate) fn server(port: u16) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, 11), port).into()
}

pub(crate) fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

/// A UDP socket that gives up after some seconds.
pub(crate) fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(6))).unwrap();
    socket
}

pub(crate) fn send(socket: &UdpSocket, port: u16, message: &Message) {
    socket.send_to(&message.to_vec().unwrap(), server(port)).unwrap();
}

pub(crate) fn receive(socket: &UdpSocket) -> Message {
    let mut buffer = [0; 65535];
    let (length, _) = socket.recv_from(&mut buffer).expect("an answer in time");
    Message::from_vec(&buffer[..length]).unwrap()
}

/// Asks over UDP and takes the answer.
pub(crate) fn ask(port: u16, name: &str, kind: RecordType) -> Message {
    exchange(port, &question(name, kind))
}

/// Sends `message` over UDP and takes the answer.
pub(crate) fn exchange(port: u16, message: &Message) -> Message {
    let socket = socket();
    send(&socket, port, message);
    let answer = receive(&socket);
    assert_eq!(answer.metadata.id, message.metadata.id);
    answer
}

pub(crate) fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(server(port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(6))).unwrap();
    stream
}

pub(crate) fn send_tcp(stream: &mut TcpStream, message: &Message) {
    let bytes = message.to_vec().unwrap();
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, &bytes[..]].concat()).unwrap();
}

pub(crate) fn receive_tcp(stream: &mut TcpStream) -> Message {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut bytes = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut bytes).unwrap();
    Message::from_vec(&bytes).unwrap()
}

/// The data of the answers, as text.
pub(crate) fn data(answer: &Message) -> Vec<String> {
    answer.answers.iter().map(|record| record.data.to_string()).collect()
}
