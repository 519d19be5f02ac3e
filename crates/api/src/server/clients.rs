//! Who asks, and how much of the daemon each may have.

use super::failure::Failure;
use linkspan_model::Error;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::{
    net::UnixStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// Requests of one client that are worked on at once. What goes on side by side in the engine gains
/// little beyond that, and whoever asks for more waits behind itself, not others behind it.
const RUNNING: usize = 8;

/// The same over all clients.
const RUNNING_OF_ALL: usize = 64;

/// Requests of one client that may wait for their turn.
const WAITING: usize = 256;

/// Connections of one client.
const CONNECTIONS: usize = 1024;

/// Listeners to events of one client.
const LISTENERS: usize = 64;

/// A client: a process of root, or another user with all processes, who cannot get more by having many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Identity {
    user: u32,
    process: i32,
}

/// What a client has of the daemon at the moment.
#[derive(Debug)]
pub(super) struct Client {
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    connections: AtomicUsize,
    listeners: AtomicUsize,
    /// Whether it is root, which may have the daemon execute programs.
    pub(super) root: bool,
}

/// The clients that have connections.
#[derive(Debug)]
pub(super) struct Clients {
    known: Mutex<HashMap<Identity, Arc<Client>>>,
    running: Arc<Semaphore>,
}

/// A place among a bounded number, until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    client: Arc<Client>,
    count: fn(&Client) -> &AtomicUsize,
}

impl Drop for Place {
    fn drop(&mut self) {
        (self.count)(&self.client).fetch_sub(1, Relaxed);
    }
}

/// A request's turn, until this is dropped.
pub(super) struct Turn {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Clients {
    pub(super) fn new() -> Self {
        Self { known: Mutex::default(), running: Arc::new(Semaphore::new(RUNNING_OF_ALL)) }
    }

    /// The client at the other end of `stream`.
    pub(super) fn of(&self, stream: &UnixStream) -> std::io::Result<Arc<Client>> {
        let peer = stream.peer_cred()?;
        let user = peer.uid();
        let process = if user == 0 { peer.pid().unwrap_or(0) } else { 0 };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Clients that have gone are forgotten before the map grows.
        if known.len() == known.capacity() {
            known.retain(|_, client| Arc::strong_count(client) > 1);
        }
        let client = known.entry(Identity { user, process }).or_insert_with(|| {
            Arc::new(Client {
                running: Arc::new(Semaphore::new(RUNNING)),
                waiting: AtomicUsize::new(0),
                connections: AtomicUsize::new(0),
                listeners: AtomicUsize::new(0),
                root: user == 0,
            })
        });
        Ok(client.clone())
    }

    /// Waits for the turn of a request of `client`. Its own turn comes first, by `prepare` it is made ready to be
    /// worked on, and then it takes its turn among all.
    pub(super) async fn turn<T>(
        &self,
        client: &Arc<Client>,
        prepare: impl Future<Output = Result<T, Failure>>,
    ) -> Result<(Turn, T), Failure> {
        let closed = |_| Failure(Error::internal("the daemon takes no requests"));
        let waits = client.place(|client| &client.waiting, WAITING + RUNNING, "requests under way")?;
        let own = client.running.clone().acquire_owned().await.map_err(closed)?;
        let ready = prepare.await?;
        let all = self.running.clone().acquire_owned().await.map_err(closed)?;
        drop(waits);
        Ok((Turn { _own: own, _all: all }, ready))
    }
}

impl Client {
    /// A connection more.
    pub(super) fn connect(self: &Arc<Self>) -> Result<Place, Failure> {
        self.place(|client| &client.connections, CONNECTIONS, "connections")
    }

    /// A listener to events more.
    pub(super) fn listen(self: &Arc<Self>) -> Result<Place, Failure> {
        self.place(|client| &client.listeners, LISTENERS, "listeners to events")
    }

    fn place(self: &Arc<Self>, count: fn(&Client) -> &AtomicUsize, limit: usize, what: &str) -> Result<Place, Failure> {
        let place = Place { client: self.clone(), count };
        if count(self).fetch_add(1, Relaxed) >= limit {
            let who = if self.root { "process" } else { "user" };
            return Err(Failure(
                Error::unavailable(format!("this {who} has {limit} {what} already"))
                    .fix("wait for answers before asking more, and try again in a second"),
            ));
        }
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn places_are_counted_and_given_back() {
        runtime().block_on(async {
            let clients = Clients::new();
            let (one, _other) = UnixStream::pair().unwrap();
            let client = clients.of(&one).unwrap();
            let places: Vec<Place> = (0..LISTENERS).map(|_| client.listen().unwrap()).collect();
            let Failure(error) = client.listen().unwrap_err();
            assert!(error.what().contains("64 listeners to events already"), "{error}");
            drop(places);
            assert!(client.listen().is_ok(), "one that was turned away holds no place");
            assert!(Arc::ptr_eq(&client, &clients.of(&one).unwrap()), "the same process is the same client");
        });
    }

    #[test]
    fn a_client_waits_behind_itself() {
        runtime().block_on(async {
            let clients = Clients::new();
            let (one, _other) = UnixStream::pair().unwrap();
            let client = clients.of(&one).unwrap();
            let mut turns = Vec::new();
            for _ in 0..RUNNING {
                let turn = clients.turn(&client, async { Ok(()) }).await;
                turns.push(turn.unwrap_or_else(|_| panic!("a turn")));
            }
            let next = clients.turn(&client, async { Ok(()) });
            assert!(tokio::time::timeout(std::time::Duration::from_millis(20), next).await.is_err());
            turns.pop();
            assert!(clients.turn(&client, async { Ok(()) }).await.is_ok());
        });
    }
}
