//! Queries over TCP (RFC 7766): several on a connection, answered as they are ready.

use crate::{
    responder::{Client, Responder, Response, Transport},
    server::Stop,
    suspend::Conversation,
};
use std::{
    collections::HashMap,
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::Interest,
    net::{TcpListener, TcpStream},
    task::{Id, JoinSet},
    time::{sleep, sleep_until},
};

/// The most connections of one sandbox; the next is closed at once.
const MAX_CONNECTIONS: usize = 64;

/// How long a connection may be idle, and how long a query may take to arrive.
const IDLE: Duration = Duration::from_secs(10);

/// How long a client may take to read an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers that are ready go out together; a client that leaves this many bytes unread is not listened to.
const TOGETHER: usize = 16 * 1024;

/// What is read at once.
const READ: usize = 8 * 1024;

/// The longest query: more is no question.
const MAX_QUERY: usize = 4096;

/// `message` behind its length, as it goes over TCP (RFC 1035 §4.2.2). No message
/// that was encoded is longer than the length can say.
pub(crate) fn with_length(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("the encoder keeps to 65,535 bytes");
    [&length.to_be_bytes(), message].concat()
}

/// Serves `client` on `listener`, and the connections that there are, until it is to stop; gives back what there
/// is then.
pub(crate) async fn serve(
    listener: TcpListener,
    open: Vec<Conversation>,
    client: Arc<Client>,
    responder: Arc<Responder>,
    mut stop: Stop,
) -> (TcpListener, Vec<Conversation>) {
    let mut connections = JoinSet::new();
    let attached = tokio::select! {
        () = responder.attached() => true,
        () = stop.told() => false,
    };
    if !attached {
        return (listener, open);
    }
    let converse = |connections: &mut JoinSet<_>, conversation: Conversation| match Open::new(conversation) {
        Ok(open) => drop(connections.spawn(open.converse(client.clone(), responder.clone(), stop.clone()))),
        Err(error) => tracing::debug!(%error, "a connection was lost"),
    };
    open.into_iter().for_each(|conversation| converse(&mut connections, conversation));
    let mut told = stop.clone();
    let mut given_back = Vec::new();
    loop {
        let accepted = tokio::select! {
            () = told.told() => break,
            Some(ended) = connections.join_next() => {
                // One that was told to stop before this task was.
                given_back.extend(ended.ok().flatten());
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => match stream.into_std() {
                Ok(stream) => converse(&mut connections, Conversation::new(stream)),
                Err(error) => tracing::debug!(%error, "a connection was lost"),
            },
            Ok(_) => responder.counters.refused.add(),
            Err(error) => {
                tracing::warn!(%error, "the resolver cannot accept");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    while let Some(ended) = connections.join_next().await {
        given_back.extend(ended.ok().flatten());
    }
    (listener, given_back)
}

/// A connection while it is served.
struct Open {
    stream: TcpStream,
    ahead: Vec<u8>,
    out: Vec<u8>,
    asking: bool,
    /// Queries that go to upstream servers, and their answers; by their tasks.
    forwards: JoinSet<Vec<u8>>,
    unanswered: HashMap<Id, Vec<u8>>,
    /// When a query last came whole, or some of an answer went.
    progress: Instant,
    /// When the sandbox may ask again.
    rest: Option<Instant>,
    /// Queries that were taken over unanswered.
    taken_over: Vec<Vec<u8>>,
}

impl Open {
    fn new(conversation: Conversation) -> io::Result<Self> {
        let Conversation { stream, ahead, unanswered, unsent, asking } = conversation;
        let stream = TcpStream::from_std(stream)?;
        // Answers are written whole: there is nothing to wait for.
        let _ = stream.set_nodelay(true);
        Ok(Self {
            stream,
            ahead,
            out: unsent,
            asking,
            forwards: JoinSet::new(),
            unanswered: HashMap::new(),
            progress: Instant::now(),
            rest: None,
            taken_over: unanswered,
        })
    }

    /// Answers queries until the connection ends, idles or misbehaves, which is `None`, or until it is to stop.
    async fn converse(
        mut self,
        client: Arc<Client>,
        responder: Arc<Responder>,
        mut stop: Stop,
    ) -> Option<Conversation> {
        for query in std::mem::take(&mut self.taken_over) {
            self.answer(query, &client, &responder);
        }
        loop {
            self.answer_what_came(&client, &responder);
            if self.send().is_err() {
                return None;
            }
            // A client may close its side, or end in nonsense, and still wait for answers.
            if !self.asking && self.out.is_empty() && self.forwards.is_empty() && !holds_query(&self.ahead) {
                return None;
            }
            let reading = self.asking && self.rest.is_none() && self.out.len() < TOGETHER;
            let limit = if self.out.is_empty() { IDLE } else { PATIENCE };
            let until = self.rest.map_or(self.progress + limit, |rest| rest.min(self.progress + limit));
            let interest = match (reading, !self.out.is_empty()) {
                (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
                (true, false) => Some(Interest::READABLE),
                (false, true) => Some(Interest::WRITABLE),
                (false, false) => None,
            };
            tokio::select! {
                biased;
                () = stop.told() => return self.suspend().await,
                Some(done) = self.forwards.join_next_with_id() => self.answered(done),
                ready = ready(&self.stream, interest) => match ready {
                    Ok(ready) if reading && ready.is_readable() && self.read().is_err() => return None,
                    Ok(_) => {}
                    Err(_) => return None,
                },
                () = sleep_until(until.into()) => {
                    let now = Instant::now();
                    if self.rest.is_some_and(|rest| rest <= now) {
                        self.rest = None;
                    }
                    if now >= self.progress + limit {
                        if !self.out.is_empty() {
                            return None;
                        }
                        self.asking = false;
                        self.progress = now;
                    }
                }
            }
        }
    }

    /// Answers the whole queries among what was read, as far as there is room for answers.
    fn answer_what_came(&mut self, client: &Client, responder: &Arc<Responder>) {
        let mut start = 0;
        let mut count = 0;
        while let [high, low, rest @ ..] = &self.ahead[start..]
            && self.rest.is_none()
            && self.out.len() < TOGETHER
        {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let Some(query) = rest.get(..length).filter(|_| length <= MAX_QUERY) else {
                if length > MAX_QUERY {
                    self.refuse_more();
                    start = 0;
                }
                break;
            };
            let query = query.to_vec();
            start += 2 + length;
            count += 1;
            if self.answer(query, client, responder).is_none() {
                self.refuse_more();
                start = 0;
            }
        }
        self.ahead.drain(..start);
        if count > 0 {
            self.progress = Instant::now();
            if let Some(bucket) = &client.share.queries
                && let Some(wait) = bucket.spend(count, self.progress)
            {
                responder.counters.throttled.add();
                self.rest = Some(self.progress + wait);
            }
        }
    }

    /// Whoever said nonsense is not read any further.
    fn refuse_more(&mut self) {
        self.asking = false;
        self.ahead.clear();
    }

    /// Answers a query, now or later; `None` where it is none.
    fn answer(&mut self, query: Vec<u8>, client: &Client, responder: &Arc<Responder>) -> Option<()> {
        let mut answer = Vec::new();
        match responder.respond(client, &query, Transport::Tcp, Instant::now(), &mut answer) {
            Response::Ignore => return None,
            Response::Ready => self.out.extend(with_length(&answer)),
            Response::Forward(forward) => {
                let responder = responder.clone();
                let task = self.forwards.spawn(async move {
                    responder.complete(&forward, &mut answer).await;
                    with_length(&answer)
                });
                self.unanswered.insert(task.id(), query);
            }
        }
        Some(())
    }

    fn answered(&mut self, done: Result<(Id, Vec<u8>), tokio::task::JoinError>) {
        match done {
            Ok((id, answer)) => {
                self.unanswered.remove(&id);
                self.out.extend(answer);
            }
            Err(error) if error.is_cancelled() => {}
            Err(panic) => drop(self.unanswered.remove(&panic.id())),
        }
    }

    fn read(&mut self) -> io::Result<()> {
        self.ahead.reserve(READ);
        match self.stream.try_read_buf(&mut self.ahead) {
            Ok(0) => self.asking = false,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn send(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            match self.stream.try_write(&self.out) {
                Ok(sent) => {
                    self.out.drain(..sent);
                    self.progress = Instant::now();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn suspend(mut self) -> Option<Conversation> {
        self.forwards.abort_all();
        while let Some(done) = self.forwards.join_next_with_id().await {
            self.answered(done);
        }
        Some(Conversation {
            stream: self.stream.into_std().ok()?,
            ahead: self.ahead,
            unanswered: self.unanswered.into_values().collect(),
            unsent: self.out,
            asking: self.asking,
        })
    }
}

/// Whether a whole query is in what was read ahead.
fn holds_query(ahead: &[u8]) -> bool {
    matches!(ahead, [high, low, query @ ..] if query.len() >= usize::from(u16::from_be_bytes([*high, *low])))
}

async fn ready(stream: &TcpStream, interest: Option<Interest>) -> io::Result<tokio::io::Ready> {
    match interest {
        Some(interest) => stream.ready(interest).await,
        None => std::future::pending().await,
    }
}
