use linkspan_model::Result;
use std::time::Duration;

/// Where something has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// In the host's namespace.
    Host,
    /// In a namespace that has a link to the host, or in any.
    Anywhere,
}

/// Changes of the kernel's objects, whoever makes them: links, addresses, routes, settings of
/// interfaces, and the host's rules.
pub trait Watch: Send {
    /// Waits until something changes, `limit` at most. Changes that came close together are told as one.
    fn wait(&mut self, limit: Duration) -> Result<Option<Extent>>;
}
