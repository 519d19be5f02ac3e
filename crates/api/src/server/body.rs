//! Answers that stay open: lines of JSON.

use super::connection::Connection;
use axum::{
    body::{Body, Bytes},
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use linkspan_model::{Error, Result};
use serde::Serialize;
use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};
use tokio::sync::mpsc;
use tokio_stream::Stream;

/// The end that lines are written to. Its `closed()` returns when the client has gone.
pub(super) type Lines = mpsc::Sender<Bytes>;

struct LineStream {
    lines: mpsc::Receiver<Bytes>,
    unwritten: Arc<AtomicBool>,
}

impl Stream for LineStream {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let line = self.lines.poll_recv(context);
        if let Poll::Ready(Some(_)) = line {
            self.unwritten.store(true, Relaxed);
        }
        line.map(|line| line.map(Ok))
    }
}

/// An answer on `connection` that goes on until the returned sender is dropped.
pub(super) fn lines(connection: &Connection) -> (Lines, Response) {
    let (sender, lines) = mpsc::channel(64);
    let body = Body::from_stream(LineStream { lines, unwritten: connection.unwritten.clone() });
    (sender, ([(CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// A line.
pub(super) fn line<T: Serialize>(value: &T) -> Result<Bytes> {
    let mut line = serde_json::to_vec(value).map_err(|error| Error::internal(format!("cannot be written: {error}")))?;
    line.push(b'\n');
    Ok(line.into())
}
