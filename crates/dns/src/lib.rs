//! The resolver of the sandboxes: 127.0.0.11 inside each, UDP and TCP.
//!
//! A question is first put to the [`Directory`], which knows the names of the
//! networks that the asking sandbox is on. What the directory does not own is
//! forwarded from the host's namespace to the sandbox's [`Upstreams`], through a
//! cache that honours TTLs; sandboxes on internal networks only forward nothing.
//!
//! The layers, from the wire inwards:
//! - `socket`, `udp` and `tcp` move packets; nothing there knows what they say;
//! - `query` reads a question, `answer` writes what the directory knows,
//!   `reply` keeps what an upstream server said and writes it with its TTLs
//!   counted down;
//! - `limits` is what one sandbox may take, and `suspend` what whoever serves next carries on;
//! - `responder` decides: own answer, cached reply, refusal or a forward;
//! - `forward` carries a forward out: `race` says which server is asked when,
//!   `exchange` asks one server, `cache` remembers, `resolv_conf` follows the host.
//!
//! `race`, `cache` and `reply` take the time as an argument and do no IO.

mod answer;
mod cache;
mod directory;
mod exchange;
mod forward;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod limits;
mod query;
mod race;
mod reply;
mod resolv_conf;
mod responder;
mod server;
mod socket;
mod stats;
mod suspend;
mod tcp;
mod udp;
mod upstreams;

pub use directory::Directory;
pub use linkspan_engine::{Knowledge, Question, Service};
pub use server::{DnsConfig, DnsServer};
pub use stats::Stats;
pub use suspend::{Conversation, Suspended};
pub use upstreams::Upstreams;
