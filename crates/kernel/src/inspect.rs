use crate::{Passage, Place};
use linkspan_model::{Error, Protocol, Result};
use std::{fmt, net::IpAddr, time::Duration};

pub use crate::nft::walk::{Decision, Hook, Packet, Passed, Rules};

/// Looking into the kernel without changing anything: what explains whether a packet would arrive.
pub trait Inspect: Send + Sync {
    /// The route that a packet to `destination` takes in `place`; with `from`, that of one from there.
    ///
    /// # Errors
    /// `Unsupported` where the kernel has no such family.
    fn route_to(&self, place: &Place, destination: IpAddr, from: Option<Origin<'_>>) -> Result<Way>;

    /// The VRF that interface `link` of `place` is in.
    fn vrf_of(&self, place: &Place, link: &str) -> Result<Option<String>>;

    /// Which rules of the host's other firewalls stop what `passages` should let pass, and who has to change them.
    fn obstacles(&self, passages: &[&Passage]) -> Result<Vec<Error>>;

    /// Every nftables rule of `place`, whoever made it.
    fn rules(&self, place: &Place) -> Result<Rules>;

    /// Sends a real packet out of `place` and waits for an answer.
    fn probe(&self, place: &Place, probe: &Probe) -> Result<ProbeResult>;
}

/// Where a packet comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The interface it comes in by, to be passed on; none where it begins here.
    pub link: Option<&'a str>,
    /// Its source address.
    pub source: IpAddr,
}

/// Where a packet goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the namespace itself.
    Local,
    /// Out by an interface.
    Out {
        /// The interface.
        link: String,
        /// The next hop; none where the destination is on the link.
        gateway: Option<IpAddr>,
        /// The source address it gets where it begins here.
        source: Option<IpAddr>,
        /// The MTU of the interface, in bytes.
        mtu: u32,
    },
    /// Nowhere: the kernel's words.
    Nowhere(String),
}

/// A packet to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Where to.
    pub destination: IpAddr,
    /// Protocol and port; none for an ICMP echo.
    pub port: Option<(Protocol, u16)>,
    /// The source address, where it is not the kernel's choice.
    pub source: Option<IpAddr>,
    /// How long to wait.
    pub patience: Duration,
}

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeResult {
    /// It was answered.
    Answered,
    /// It arrived, and nobody listens there.
    Refused,
    /// Somebody on the way said that it cannot arrive.
    Unreachable,
    /// Nothing came back.
    Silence,
}

impl fmt::Display for ProbeResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answered => "answered",
            Self::Refused => "arrived, and nobody listens there",
            Self::Unreachable => "somebody on the way said that it cannot arrive",
            Self::Silence => "nothing came back",
        })
    }
}
