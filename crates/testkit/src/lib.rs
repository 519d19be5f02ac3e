//! Private hosts for tests: each [`Host`] is a machine of its own in fresh network, mount,
//! process, UTS and IPC namespaces, with its own `/run`, `/etc/resolv.conf`, state directory and
//! socket. Nothing a test does in it reaches the machine it runs on, and all of it (processes,
//! links, rules, mounts) ends with the `Host`, also after a panic or a `kill -9` of the test.
//!
//! Other programs (`ip`, `nft`, `ping`, `socat`, `dig`, `tcpdump`) are witnesses here: what the
//! product claims is read back by a tool that knows nothing of it.

mod background;
mod host;
mod neighbour;
mod place;
mod ran;
mod saved;
mod scratch;
mod serve;
mod skip;
mod snapshot;

pub use background::Background;
pub use host::Host;
pub use place::Place;
pub use ran::Ran;
pub use saved::replay;
pub use scratch::Scratch;
pub use serve::{banner_tcp, banner_udp, echo_tcp};
pub use skip::{skip_now, skips_allowed};
pub use snapshot::Snapshot;

use std::time::{Duration, Instant};

/// Waits until `condition` holds and says whether it did within `limit`.
pub fn within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
