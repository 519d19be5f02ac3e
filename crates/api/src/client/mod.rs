//! The commands' side: blocking calls, a connection each.

mod calls;
mod stream;
mod transport;

pub use stream::{EventStream, Lease};

use crate::wire::VersionInfo;
use hyper::Method;
use linkspan_model::{Error, Result};
use std::{
    io,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};
use tokio::runtime::Runtime;

/// A daemon, by the path of its socket.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    runtime: Runtime,
}

impl Client {
    /// A client of the daemon that listens at `socket`. Nothing is sent yet.
    ///
    /// # Errors
    /// `Internal` where the kernel gives no file descriptors.
    pub fn new(socket: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self { socket: socket.into(), runtime: transport::runtime()? })
    }

    /// The path of the socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether anyone listens.
    ///
    /// # Errors
    /// `Permission` where the socket may not be used by this user; `Unavailable` for whatever
    /// else keeps the connection from being made, but for nobody listening.
    pub fn is_answered(&self) -> Result<bool> {
        match UnixStream::connect(&self.socket) {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Ok(false)
            }
            Err(error) => Err(transport::unreachable(&self.socket, &error)),
        }
    }

    /// What the daemon is, whatever version of the API it speaks.
    pub fn version(&self) -> Result<VersionInfo> {
        self.unversioned(Method::GET, "/version").and_then(|body| transport::parse(&body))
    }

    /// Asks the daemon, of whatever version, to stop. Networks and sandboxes stay as they are.
    pub fn stop(&self) -> Result<()> {
        self.unversioned(Method::POST, "/stop").map(drop)
    }
}

/// A path below the prefix, with `reference` as one segment of it.
fn path(before: &str, reference: &str, after: &str) -> Result<String> {
    if reference.is_empty() {
        let kind = before.trim_matches('/').trim_end_matches('s').replace("sandboxe", "sandbox");
        return Err(Error::not_found(format!("no {kind} {reference:?}")).fix("give its name, or its ID"));
    }
    let mut path = before.to_owned();
    for byte in reference.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            path.push(byte.into());
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path.push_str(after);
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_one_segment() {
        assert_eq!(path("/networks/", "a/../b c%ü", "/x").unwrap(), "/networks/a%2F..%2Fb%20c%25%C3%BC/x");
        assert!(path("/sandboxes/", "", "").unwrap_err().what().contains("no sandbox \"\""));
    }
}
