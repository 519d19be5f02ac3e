//! Addresses from servers on the wire, of two kinds: dnsmasq and ISC's. Witnesses are the servers' own files and words,
//! tcpdump beside the server, and the sandbox's interface.

mod hostile;
mod lan;
mod lease;
mod life;

use lan::{Lan, Server};
