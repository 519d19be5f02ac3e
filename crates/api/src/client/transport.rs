use super::Client;
use crate::wire::{API_VERSION, ErrorBody, VERSION_HEADER};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use linkspan_model::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};
use std::{future::Future, io, path::Path, time::Duration};
use tokio::{
    net::UnixStream,
    runtime::{Builder, Runtime},
    time::timeout,
};

/// How long the daemon may take for one request. It does in milliseconds what it does at all;
/// this is for a daemon that hangs.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn runtime() -> Result<Runtime> {
    Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| Error::internal(format!("cannot wait for the daemon: {error}")))
}

pub(super) fn unreachable(socket: &Path, error: &io::Error) -> Error {
    let socket = socket.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Error::permission(format!("no permission to use the daemon's socket {socket}"))
                .fix("run the command as root, or as a member of group linkspan")
        }
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            Error::unavailable(format!("no daemon listens at {socket}")).fix("start one with `linkspan daemon`")
        }
        io::ErrorKind::InvalidInput => Error::invalid(format!("the path {socket} is too long for a socket"))
            .fix("choose a --socket of at most 100 characters"),
        _ => Error::unavailable(format!("cannot reach the daemon at {socket}: {error}")),
    }
}

pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body)
        .map_err(|error| Error::incompatible(format!("the daemon's answer is not understood: {error}")))
}

/// A request below the prefix of this version.
pub(super) fn versioned(method: Method, path: &str, body: Vec<u8>) -> Result<Request<Full<Bytes>>> {
    request(method, &format!("/v{API_VERSION}{path}"), body)
}

fn request(method: Method, path: &str, body: Vec<u8>) -> Result<Request<Full<Bytes>>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "linkspan")
        .header(VERSION_HEADER, API_VERSION)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body.into()))
        .map_err(|error| Error::internal(format!("cannot ask the daemon for {path}: {error}")))
}

pub(super) fn json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::internal(format!("the request cannot be written: {error}")))
}

/// Sends a request over a connection of its own, which lives as long as the runtime or as the
/// body of the answer is read.
pub(super) async fn send(socket: &Path, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
    let stream = UnixStream::connect(socket).await.map_err(|error| unreachable(socket, &error))?;
    let broken = |error: hyper::Error| {
        Error::unavailable(format!("the daemon at {} gave no answer: {error}", socket.display()))
            .fix("it may have stopped; try again")
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    tokio::spawn(connection);
    patiently(sender.send_request(request)).await?.map_err(broken)
}

async fn patiently<F: Future>(future: F) -> Result<F::Output> {
    timeout(PATIENCE, future)
        .await
        .map_err(|_| Error::unavailable(format!("the daemon did not answer within {} s", PATIENCE.as_secs())))
}

/// Refuses the answer of a daemon of another version, and turns its errors into ours.
pub(super) async fn check(socket: &Path, response: Response<Incoming>) -> Result<Response<Incoming>> {
    let theirs = response.headers().get(VERSION_HEADER).and_then(|version| version.to_str().ok());
    if theirs != Some(API_VERSION.to_string().as_str()) {
        let theirs = theirs.map_or("no version of it".to_owned(), |version| format!("version {version}"));
        return Err(Error::incompatible(format!(
            "this command speaks version {API_VERSION} of the API, the daemon at {} {theirs}",
            socket.display()
        ))
        .fix("restart the daemon with `linkspan system stop`; sandboxes keep running"));
    }
    if response.status().is_success() {
        return Ok(response);
    }
    let body = read(response).await?;
    Err(parse::<ErrorBody>(&body)?.error)
}

pub(super) async fn read(response: Response<Incoming>) -> Result<Bytes> {
    let body = patiently(response.into_body().collect()).await?;
    body.map(|body| body.to_bytes())
        .map_err(|error| Error::unavailable(format!("the daemon's answer broke off: {error}")))
}

impl Client {
    fn exchange(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Bytes> {
        let request = versioned(method, path, body)?;
        self.runtime.block_on(async {
            let response = send(&self.socket, request).await?;
            read(check(&self.socket, response).await?).await
        })
    }

    pub(super) fn unversioned(&self, method: Method, path: &str) -> Result<Bytes> {
        let request = request(method, path, Vec::new())?;
        self.runtime.block_on(async { read(send(&self.socket, request).await?).await })
    }

    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        parse(&self.exchange(Method::GET, path, Vec::new())?)
    }

    pub(super) fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        parse(&self.exchange(Method::POST, path, json(body)?)?)
    }

    /// A request whose answer is that it was done.
    pub(super) fn order(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<()> {
        let body = body.map(json).transpose()?.unwrap_or_default();
        self.exchange(method, path, body).map(drop)
    }
}
