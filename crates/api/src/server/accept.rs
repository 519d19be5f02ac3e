//! Taking connections, within limits, and letting them go to another daemon.

use super::{
    Carried, Daemon, Role, carried,
    connection::{Busy, Connection, Watched},
    failure::Failure,
    phase::{Phase, reached},
    router,
};
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::header::{CONNECTION, HeaderValue},
    response::{IntoResponse, Response},
};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::{Instant, sleep, sleep_until, timeout},
};

/// Connections over all clients; further ones wait in the socket's backlog.
const CONNECTIONS: usize = 4096;

/// How long a request's head may take to come, and a connection be idle.
const HEAD: Duration = Duration::from_secs(10);

/// How many headers a request may have.
const HEADERS: usize = 64;

/// How many bytes the head of a request may have.
const BUFFER: usize = 16 << 10;

/// How long a daemon that lets go waits for a request that has begun to come, and for a listener to read.
const LETTING_GO: Duration = Duration::from_secs(2);

/// Answers clients of `listener` until the phase is another than serving, and carries on what it is given.
pub(super) async fn serve(daemon: &Daemon, listener: UnixListener, carried: Vec<Carried>) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let router = router(daemon.clone());
    for Carried { stream, role } in carried {
        stream.set_nonblocking(true)?;
        let stream = UnixStream::from_std(stream)?;
        let Ok(room) = room.clone().acquire_owned().await else { break };
        let attended = resume(daemon.clone(), router.clone(), stream, role);
        let open = Busy::new(&daemon.open);
        tokio::spawn(async move {
            attended.await;
            drop((room, open));
        });
    }
    loop {
        let accepted = tokio::select! {
            _ = reached(&daemon.phase, |phase| *phase != Phase::Serving) => return Ok(()),
            accepted = async {
                let room = room.clone().acquire_owned().await.map_err(io::Error::other)?;
                listener.accept().await.map(|(stream, _)| (room, stream))
            } => accepted,
        };
        match accepted {
            Ok((room, stream)) => {
                let (daemon, router) = (daemon.clone(), router.clone());
                let (busy, open) = (Busy::new(&daemon.busy), Busy::new(&daemon.open));
                tokio::spawn(async move {
                    attend(&daemon, router, stream, busy).await;
                    drop((room, open));
                });
            }
            // Out of file descriptors, mostly: those at hand end before long.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Carries on a connection of another daemon.
fn resume(daemon: Daemon, router: Router, stream: UnixStream, role: Role) -> impl Future<Output = ()> + Send {
    // Now, before this daemon does anything that there is an event of.
    let events = daemon.events.subscribe();
    let busy = Busy::new(if role == Role::Request { &daemon.busy } else { &daemon.held });
    async move {
        match role {
            Role::Request => {
                drop(events);
                attend(&daemon, router, stream, busy).await
            }
            Role::Events { .. } | Role::Lease { .. } => {
                daemon.let_go(carried::go_on(&daemon, stream, role, events).await);
                drop(busy);
            }
        }
    }
}

/// Answers the requests of one connection; gives it back where another daemon is to carry it on.
async fn attend(daemon: &Daemon, router: Router, stream: UnixStream, busy: Busy) {
    // Until its first bytes come it is nobody's in particular.
    tokio::select! {
        ready = timeout(HEAD, stream.readable()) => {
            if !matches!(ready, Ok(Ok(()))) {
                return;
            }
        }
        phase = reached(&daemon.phase, |phase| *phase != Phase::Serving) => {
            let stream = stream.into_std().ok().filter(|_| phase != Phase::Ending);
            daemon.let_go(stream.map(|stream| Carried { stream, role: Role::Request }));
            return drop(busy);
        }
    }
    let Ok(client) = daemon.clients.of(&stream) else { return };
    let (place, refusal) = match client.connect() {
        Ok(place) => (Some(place), None),
        Err(refusal) => (None, Some(refusal)),
    };
    let connection = Arc::new(Connection::new(client, place, busy));
    let io = Watched { stream: TokioIo::new(stream), unwritten: connection.unwritten.clone() };
    let router = TowerToHyperService::new(router);
    let of_service = connection.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(of_service.clone());
        of_service.begin();
        let answer = match &refusal {
            None => Ok(router.call(request.map(Body::new))),
            Some(Failure(error)) => Err(Failure(error.clone())),
        };
        async move {
            match answer {
                Ok(answer) => answer.await,
                Err(refusal) => {
                    let mut response: Response = refusal.into_response();
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                    Ok::<_, Infallible>(response)
                }
            }
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_headers(HEADERS).max_buf_size(BUFFER);
    let mut serving = builder.serve_connection(io, service);
    tokio::select! {
        _ = &mut serving => return,
        _ = reached(&daemon.phase, |phase| *phase != Phase::Serving) => {}
    }
    // Its first bytes have come, so that its first request is answered still, if it comes soon.
    let patience = Instant::now() + LETTING_GO;
    while !connection.begun.load(Relaxed) && Instant::now() < patience {
        tokio::select! {
            _ = &mut serving => return,
            () = connection.changed.notified() => {}
            () = sleep_until(patience) => {}
        }
    }
    Pin::new(&mut serving).graceful_shutdown();
    tokio::select! {
        _ = &mut serving => return,
        _ = reached(&daemon.phase, |phase| *phase == Phase::Carrying) => {}
    }
    let Some(held) = connection.held() else {
        // The one who asked for all this, whose answer is the last.
        let _ = serving.await;
        return;
    };
    // What has been said must have been sent before the connection is taken apart.
    let patience = Instant::now() + LETTING_GO;
    while !held.is_written(&connection) {
        if Instant::now() > patience {
            tracing::warn!("a listener that does not read was cut off");
            return;
        }
        if timeout(Duration::from_millis(1), &mut serving).await.is_ok() {
            return;
        }
    }
    let stream = serving.into_parts().io.stream.into_inner().into_std().ok();
    daemon.let_go(stream.map(|stream| Carried { stream, role: held.role.clone() }));
}
