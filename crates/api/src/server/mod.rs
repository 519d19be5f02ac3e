//! The daemon's side.

mod accept;
mod admit;
mod body;
mod carried;
mod clients;
mod connection;
mod events;
mod extract;
mod failure;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod lease;
mod networks;
mod phase;
mod sandboxes;
mod upgrade;
mod version;

pub use carried::{Carried, Role};
pub use upgrade::Order;

use crate::wire::{API_VERSION, BODY_LIMIT, ExposureRequest, VerifyRequest, VersionInfo};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    middleware,
    routing::{delete, get, post, put},
};
use clients::Clients;
use failure::{Answer, Failure};
use linkspan_engine::{Controller, ExplainRequest, Explanation, Exposure, FeatureView, Info, Verification};
use linkspan_model::{Error, Event, Result};
use phase::Phase;
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};
use tokio::{
    net::UnixListener,
    sync::{broadcast, mpsc, watch},
    time::timeout,
};

/// How many events a slow listener may fall behind before it is cut off.
const EVENT_BACKLOG: usize = 4096;

/// How long the last events may take to be told.
const LAST_EVENTS: Duration = Duration::from_secs(1);

/// What the handlers share: the engine, its events, who asks, and what the daemon is at.
#[derive(Clone)]
pub struct Daemon {
    controller: Arc<Controller>,
    events: broadcast::Sender<Event>,
    /// Events that the engine has told so far.
    told: watch::Sender<u64>,
    phase: watch::Sender<Phase>,
    clients: Arc<Clients>,
    /// Requests that are to be answered before the daemon gives way.
    busy: watch::Sender<usize>,
    /// Answers that stay open.
    held: watch::Sender<usize>,
    /// Connections.
    open: watch::Sender<usize>,
    carried: Arc<Mutex<Vec<Carried>>>,
    orders: mpsc::Sender<Order>,
}

impl Daemon {
    /// Serves `controller`; what comes from the receiver is to be done by whoever runs the daemon.
    ///
    /// # Errors
    /// `Internal` where no thread can be started for its events.
    pub fn new(controller: Arc<Controller>) -> Result<(Self, mpsc::Receiver<Order>)> {
        let (events, _) = broadcast::channel(EVENT_BACKLOG);
        let told = watch::Sender::new(controller.events_told());
        let source = controller.subscribe();
        let (sink, count) = (events.clone(), told.clone());
        // The engine is synchronous: one thread carries its events into the asynchronous world.
        // It ends with the engine.
        thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || {
                source.into_iter().for_each(|event| {
                    drop(sink.send(event));
                    count.send_modify(|count| *count += 1);
                })
            })
            .map_err(|error| Error::internal(format!("no thread for events: {error}")))?;
        let (orders, received) = mpsc::channel(1);
        let daemon = Self {
            controller,
            events,
            told,
            phase: watch::Sender::new(Phase::Serving),
            clients: Arc::new(Clients::new()),
            busy: watch::Sender::new(0),
            held: watch::Sender::new(0),
            open: watch::Sender::new(0),
            carried: Arc::default(),
            orders,
        };
        Ok((daemon, received))
    }

    /// Asks everything that waits to end, and [`stopped`](Self::stopped) to return.
    pub fn stop(&self) {
        self.phase.send_replace(Phase::Ending);
    }

    /// Returns once [`stop`](Self::stop) was called, or a client asked for it.
    pub async fn stopped(&self) {
        phase::reached(&self.phase, |phase| *phase == Phase::Ending).await;
    }

    /// Answers clients of `listener`, after those that another daemon let go, until told to [`stop`](Self::stop) and
    /// what is under way is answered, or until told to [`drain`](Self::drain).
    ///
    /// # Errors
    /// Where the listener fails.
    pub async fn serve(&self, listener: UnixListener, carried: Vec<Carried>) -> io::Result<()> {
        accept::serve(self, listener, carried).await?;
        if *self.phase.borrow() == Phase::Ending {
            self.closed().await;
        }
        Ok(())
    }

    /// Returns once no connection is open.
    pub async fn closed(&self) {
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }

    /// Takes no request any more, and waits until those under way are answered.
    ///
    /// # Errors
    /// `Unavailable` where that takes longer than `limit`; the daemon is to serve again then.
    pub async fn drain(&self, limit: Duration) -> Result<()> {
        self.phase.send_replace(Phase::Draining);
        match timeout(limit, self.busy.subscribe().wait_for(|busy| *busy == 0)).await {
            Ok(_) => Ok(()),
            Err(_) => {
                self.phase.send_replace(Phase::Serving);
                Err(Error::unavailable(format!(
                    "requests are under way that are not answered after {} s",
                    limit.as_secs()
                ))
                .fix("try again later"))
            }
        }
    }

    /// The connections that wait for another daemon, after [`drain`](Self::drain); the engine does nothing any more.
    pub async fn let_all_go(&self) -> Vec<Carried> {
        // What the engine did last is told first.
        let all = self.controller.events_told();
        let told = async { self.told.subscribe().wait_for(|told| *told >= all).await.map(drop) };
        if timeout(LAST_EVENTS, told).await.is_err() {
            tracing::warn!("some events were not told");
        }
        self.phase.send_replace(Phase::Carrying);
        let _ = self.held.subscribe().wait_for(|held| *held == 0).await;
        self.take_carried()
    }

    /// The connections that were let go so far.
    pub fn take_carried(&self) -> Vec<Carried> {
        std::mem::take(&mut *self.carried.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn let_go(&self, carried: Option<Carried>) {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner).extend(carried);
    }

    /// Returns once answers that stay open must end here.
    async fn lets_go(&self) -> Phase {
        phase::reached(&self.phase, |phase| matches!(phase, Phase::Carrying | Phase::Ending)).await
    }

    /// Runs an engine call, which may block, where blocking is allowed.
    async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Controller) -> Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let controller = Arc::clone(&self.controller);
        match tokio::task::spawn_blocking(move || call(&controller)).await {
            Ok(result) => result.map_err(Failure),
            Err(panic) => {
                tracing::error!(%panic, "a request failed");
                Err(Failure(Error::internal("the request failed inside the daemon").fix("its log says more")))
            }
        }
    }
}

/// Every path of the API.
fn router(daemon: Daemon) -> Router {
    let versioned = Router::new()
        .route("/info", get(info))
        .route("/features", get(features))
        .route("/networks", get(networks::list).post(networks::create))
        .route("/networks/prune", post(networks::prune))
        .route("/networks/{network}", get(networks::show).delete(networks::remove))
        .route("/networks/{network}/disconnect", post(networks::disconnect))
        .route("/sandboxes", get(sandboxes::list).post(sandboxes::create))
        .route("/sandboxes/leased", post(lease::create))
        .route("/sandboxes/{sandbox}", get(sandboxes::show).delete(sandboxes::remove))
        .route("/sandboxes/{sandbox}/endpoints", post(sandboxes::connect))
        .route("/sandboxes/{sandbox}/process", put(sandboxes::set_process))
        .route("/sandboxes/{sandbox}/exit", post(sandboxes::process_exited))
        .route("/endpoints", post(networks::create_endpoint))
        .route("/endpoints/{endpoint}", delete(networks::delete_endpoint))
        .route("/endpoints/{endpoint}/join", post(networks::join))
        .route("/endpoints/{endpoint}/leave", post(networks::leave))
        .route("/events", get(events::stream))
        .route("/verify", post(verify))
        .route("/explain", post(explain))
        .route("/exposure", post(exposure))
        .route("/purge", post(purge))
        .layer(middleware::from_fn_with_state(daemon.clone(), admit::in_turn))
        .route("/upgrade", post(upgrade::give_way))
        .layer(middleware::from_fn(version::check));
    Router::new()
        .nest(&format!("/v{API_VERSION}"), versioned)
        .route("/version", get(version))
        .route("/stop", post(stop))
        .fallback(failure::no_such_path)
        .method_not_allowed_fallback(failure::no_such_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::map_response(version::sign))
        .with_state(daemon)
}

async fn info(State(daemon): State<Daemon>) -> Answer<Info> {
    Ok(Json(daemon.controller.info()))
}

async fn features(State(daemon): State<Daemon>) -> Answer<Vec<FeatureView>> {
    daemon.call(|controller| controller.features()).await.map(Json)
}

async fn version(State(daemon): State<Daemon>) -> Json<VersionInfo> {
    let Info { version, pid, .. } = daemon.controller.info();
    Json(VersionInfo { api_version: API_VERSION, version, pid })
}

async fn stop(State(daemon): State<Daemon>) -> StatusCode {
    daemon.stop();
    StatusCode::NO_CONTENT
}

async fn verify(
    State(daemon): State<Daemon>,
    extract::Strict(request): extract::Strict<VerifyRequest>,
) -> Answer<Verification> {
    daemon.call(move |controller| controller.verify(request.fix)).await.map(Json)
}

async fn explain(
    State(daemon): State<Daemon>,
    extract::Strict(requests): extract::Strict<Vec<ExplainRequest>>,
) -> Answer<Vec<Explanation>> {
    daemon.call(move |controller| controller.explain(&requests)).await.map(Json)
}

async fn exposure(
    State(daemon): State<Daemon>,
    extract::Strict(request): extract::Strict<ExposureRequest>,
) -> Answer<Vec<Exposure>> {
    daemon.call(move |controller| controller.exposure(&request.sandboxes)).await.map(Json)
}

async fn purge(State(daemon): State<Daemon>) -> Result<StatusCode, Failure> {
    daemon.call(|controller| controller.purge()).await?;
    Ok(StatusCode::NO_CONTENT)
}
