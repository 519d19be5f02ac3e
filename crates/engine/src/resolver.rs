use linkspan_model::{Result, SandboxId};
use std::{net::IpAddr, path::Path};

/// What happens to names that belong to no network of the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardPolicy {
    /// They may leave the host; false for sandboxes on internal networks only.
    pub forward: bool,
    /// The servers they are forwarded to; the host's where empty.
    pub servers: Vec<IpAddr>,
}

/// The name server inside sandboxes, as the engine sees it.
pub trait Resolver: Send + Sync {
    /// Listens on 127.0.0.11 (UDP and TCP, the same port) inside the namespace at `netns`, on
    /// `port` where given and free, and returns the port.
    fn serve(&self, sandbox: SandboxId, netns: &Path, port: Option<u16>, policy: ForwardPolicy) -> Result<u16>;

    /// Replaces the policy of a sandbox that is served.
    fn update(&self, sandbox: SandboxId, policy: ForwardPolicy);

    /// Whether a sandbox is served on `port`, by sockets that are bound inside the namespace at `netns`.
    fn serves(&self, sandbox: SandboxId, netns: &Path, port: u16) -> bool;

    /// Closes the sockets of a sandbox; nothing happens where there are none.
    fn stop(&self, sandbox: SandboxId);
}
