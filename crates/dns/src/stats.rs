use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What the resolver has done since it started, over all sandboxes.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The running counters behind [`Stats`].
        #[derive(Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> Stats {
                Stats { $($name: self.$name.0.load(Relaxed),)* }
            }
        }
    };
}

/// A number that only grows.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

counters! {
    /// Queries that arrived, over UDP and TCP.
    queries,
    /// Of them, answered from the directory.
    own,
    /// Of them, answered from the cache of forwarded replies.
    cache_hits,
    /// Of them, put to upstream servers.
    forwarded,
    /// Forwarded queries that no upstream server answered in time or well.
    failures,
    /// Queries and connections turned away because their sandbox had too many.
    refused,
    /// Times a sandbox had to wait because it asked too fast.
    throttled,
    /// Packets that were no proper query.
    malformed,
    /// Answers cut to the size the client takes over UDP.
    truncated,
    /// Questions sent to upstream servers, further attempts included.
    attempts,
}
