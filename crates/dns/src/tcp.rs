//! Queries over TCP (RFC 7766): several on a connection, answered as they are ready.

use crate::responder::{Client, Responder, Response, Transport};
use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Mutex,
    task::JoinSet,
    time::{sleep, timeout},
};

/// The most connections of one sandbox; the next is closed at once.
const MAX_CONNECTIONS: usize = 64;

/// How long a connection may be idle, and how long a query may take to arrive.
const IDLE: Duration = Duration::from_secs(10);

/// How long a client may take to read an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers that are ready go out together, this many bytes at most.
const TOGETHER: usize = 16 * 1024;

/// The longest query: more is no question.
const MAX_QUERY: u16 = 4096;

/// `message` behind its length, as it goes over TCP (RFC 1035 §4.2.2). No message
/// that was encoded is longer than the length can say.
pub(crate) fn with_length(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("the encoder keeps to 65,535 bytes");
    [&length.to_be_bytes(), message].concat()
}

/// Serves `client` on `listener` for ever; dropped to stop, with its connections.
pub(crate) async fn serve(listener: TcpListener, client: Arc<Client>, responder: Arc<Responder>) {
    responder.attached().await;
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => {
                connections.spawn(converse(stream, client.clone(), responder.clone()));
            }
            Ok(_) => responder.counters.refused.add(),
            Err(error) => {
                tracing::warn!(%error, "the resolver cannot accept");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Answers the queries of one connection until it ends, idles or misbehaves.
async fn converse(stream: TcpStream, client: Arc<Client>, responder: Arc<Responder>) {
    // Answers are written whole: there is nothing to wait for.
    let _ = stream.set_nodelay(true);
    let (reader, writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let writer = Arc::new(Mutex::new(writer));
    let mut forwards = JoinSet::new();
    let mut answer = Vec::new();
    let mut ready = Vec::new();
    loop {
        if !ready.is_empty() && (ready.len() > TOGETHER || !holds_query(reader.buffer())) {
            if write(&writer, &ready).await.is_err() {
                return;
            }
            ready.clear();
        }
        let Ok(Ok(query)) = timeout(IDLE, read(&mut reader)).await else { break };
        while forwards.try_join_next().is_some() {}
        match responder.respond(&client, &query, Transport::Tcp, Instant::now(), &mut answer) {
            Response::Ignore => break,
            Response::Ready => ready.extend(with_length(&answer)),
            Response::Forward(forward) => {
                let (writer, responder) = (writer.clone(), responder.clone());
                forwards.spawn(async move {
                    let mut answer = Vec::new();
                    responder.complete(&forward, &mut answer).await;
                    // A client that left needs no answer.
                    let _ = write(&writer, &with_length(&answer)).await;
                });
            }
        }
    }
    // A client may close its side, or end in nonsense, and still wait for answers.
    let _ = write(&writer, &ready).await;
    while forwards.join_next().await.is_some() {}
}

/// Whether a whole query is in what was read ahead.
fn holds_query(ahead: &[u8]) -> bool {
    matches!(ahead, [high, low, query @ ..] if query.len() >= usize::from(u16::from_be_bytes([*high, *low])))
}

async fn read(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Vec<u8>> {
    let length = reader.read_u16().await?;
    if length > MAX_QUERY {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut query = vec![0; length.into()];
    reader.read_exact(&mut query).await?;
    Ok(query)
}

async fn write(writer: &Mutex<OwnedWriteHalf>, messages: &[u8]) -> io::Result<()> {
    timeout(PATIENCE, async { writer.lock().await.write_all(messages).await }).await?
}
