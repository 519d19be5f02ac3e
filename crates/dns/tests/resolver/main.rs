//! The resolver over real sockets on the loopback, with upstream servers of the test's own.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as the test does")]

mod client;
mod dig;
mod forwarding;
mod limits;
mod namespace;
mod own_names;
mod serving;
mod suspend;
mod tcp;
mod upstream;
mod world;
