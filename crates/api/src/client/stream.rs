use super::{Client, transport};
use http_body_util::BodyExt;
use hyper::{Method, body::Incoming};
use linkspan_engine::SandboxView;
use linkspan_model::{Error, Event, Result, SandboxSpec};
use serde::de::DeserializeOwned;
use std::{collections::VecDeque, path::Path};
use tokio::runtime::Runtime;

/// An answer of lines, with a connection that closes when this is dropped.
struct Lines {
    // The runtime holds the connection.
    runtime: Runtime,
    body: Incoming,
    buffer: VecDeque<u8>,
}

impl Lines {
    fn open(socket: &Path, method: Method, path: &str, body: Vec<u8>) -> Result<Self> {
        let runtime = transport::runtime()?;
        let request = transport::versioned(method, path, body)?;
        let response = runtime.block_on(async {
            let response = transport::send(socket, request).await?;
            transport::check(socket, response).await
        })?;
        Ok(Self { runtime, body: response.into_body(), buffer: VecDeque::new() })
    }

    /// The next line; `None` where the daemon ended the answer.
    fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return transport::parse(&line).map(Some);
            }
            match self.runtime.block_on(self.body.frame()) {
                Some(Ok(frame)) => self.buffer.extend(frame.into_data().iter().flatten()),
                Some(Err(error)) => {
                    return Err(Error::unavailable(format!("the connection to the daemon broke: {error}")));
                }
                None => return Ok(None),
            }
        }
    }
}

/// Events as they happen. It ends when the daemon stops.
pub struct EventStream(Lines);

impl Iterator for EventStream {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Result<Event>> {
        self.0.next().transpose()
    }
}

/// A sandbox that goes when this is dropped, or this process ends, unless a program was recorded
/// in it by then ([`Client::set_process`]).
pub struct Lease {
    /// The sandbox.
    pub sandbox: SandboxView,
    _connection: Lines,
}

impl Client {
    /// Every event from now on.
    pub fn events(&self) -> Result<EventStream> {
        Lines::open(self.socket(), Method::GET, "/events", Vec::new()).map(EventStream)
    }

    /// As [`create_sandbox`](Self::create_sandbox), on a lease.
    pub fn lease_sandbox(&self, spec: &SandboxSpec) -> Result<Lease> {
        let mut lines = Lines::open(self.socket(), Method::POST, "/sandboxes/leased", transport::json(spec)?)?;
        match lines.next()? {
            Some(sandbox) => Ok(Lease { sandbox, _connection: lines }),
            None => Err(Error::unavailable("the daemon stopped while it made the sandbox").fix("try again")),
        }
    }
}
