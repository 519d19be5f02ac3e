//! The daemon's side.

mod body;
mod events;
mod extract;
mod failure;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod lease;
mod networks;
mod sandboxes;
mod version;

use crate::wire::{API_VERSION, BODY_LIMIT, VerifyRequest, VersionInfo};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    middleware,
    routing::{delete, get, post, put},
};
use failure::{Answer, Failure};
use linkspan_engine::{Controller, Info, Verification};
use linkspan_model::{Error, Event, Result};
use std::{io, sync::Arc, thread};
use tokio::{
    net::UnixListener,
    sync::{broadcast, watch},
};

/// How many events a slow listener may fall behind before it is cut off.
const EVENT_BACKLOG: usize = 4096;

/// What the handlers share: the engine, its events, and the wish to stop.
#[derive(Clone)]
pub struct Daemon {
    controller: Arc<Controller>,
    events: broadcast::Sender<Event>,
    stop: watch::Sender<bool>,
}

impl Daemon {
    /// Serves `controller`.
    ///
    /// # Errors
    /// `Internal` where no thread can be started for its events.
    pub fn new(controller: Arc<Controller>) -> Result<Self> {
        let (events, _) = broadcast::channel(EVENT_BACKLOG);
        let source = controller.subscribe();
        let sink = events.clone();
        // The engine is synchronous: one thread carries its events into the asynchronous world.
        // It ends with the engine.
        thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || source.into_iter().for_each(|event| drop(sink.send(event))))
            .map_err(|error| Error::internal(format!("no thread for events: {error}")))?;
        Ok(Self { controller, events, stop: watch::Sender::new(false) })
    }

    /// Asks everything that waits to end, and [`stopped`](Self::stopped) to return.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Returns once [`stop`](Self::stop) was called, or a client asked for it.
    pub async fn stopped(&self) {
        // The sender is held by `self`, so that the only way out is the value.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Answers clients of `listener` until told to [`stop`](Self::stop) and what is under way is answered.
    ///
    /// # Errors
    /// Where the listener fails.
    pub async fn serve(&self, listener: UnixListener) -> io::Result<()> {
        let stopping = self.clone();
        axum::serve(listener, router(self.clone()))
            .with_graceful_shutdown(async move { stopping.stopped().await })
            .await
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
        .route("/purge", post(purge))
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

async fn purge(State(daemon): State<Daemon>) -> Result<StatusCode, Failure> {
    daemon.call(|controller| controller.purge()).await?;
    Ok(StatusCode::NO_CONTENT)
}
