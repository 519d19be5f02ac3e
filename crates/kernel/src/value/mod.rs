//! Kernel objects as values: what should be, or what was seen.

mod address;
mod link;
mod nft;
mod parent;
mod passage;
mod route;
mod sysctl;

pub use address::{Address, FdbEntry, Neighbour};
pub use link::{Bridge, BridgePort, Link, LinkKind, PortState, Vxlan, is_own_alias};
pub use nft::{NftData, NftElement, NftFamily, NftField, NftTable};
pub use parent::{Ipvlan, IpvlanFlag, IpvlanMode, Macvlan, MacvlanMode};
pub use passage::Passage;
pub use route::{Route, RouteKind};
pub use sysctl::Sysctl;
pub(crate) use sysctl::link_of_setting;

use ipnet::IpNet;
use linkspan_model::MacAddr;
use std::{collections::BTreeMap, fmt, net::IpAddr, path::PathBuf};

/// The network namespace a value lives in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The namespace of the host the engine serves.
    Host,
    /// The namespace of a file, such as a bind mount or `/proc/PID/ns/net`.
    Netns(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Netns(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Whom a value belongs to, as text such as `network 3f2a… "web"`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub std::sync::Arc<str>);

impl Owner {
    /// The owner called `text`.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(text.as_ref().into())
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One kernel object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A network interface.
    Link(Link),
    /// An address of an interface.
    Address(Address),
    /// A route.
    Route(Route),
    /// A permanent neighbour entry (ARP, ND).
    Neighbour(Neighbour),
    /// An entry of a bridge's or VXLAN's forwarding database.
    Fdb(FdbEntry),
    /// A setting below `/proc/sys`.
    Sysctl(Sysctl),
    /// An nftables table with its chains, fixed rules, sets and maps, without elements.
    Table(NftTable),
    /// An element of a set or map of such a table.
    Element(NftElement),
    /// What other firewalls of the host let pass.
    Passage(Passage),
}

/// What makes a value the same object in one place, whatever its attributes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// By family and name. First: elements and links depend on it.
    Table(NftFamily, String),
    /// By family, table, set and key.
    Element(NftFamily, String, String, Vec<NftField>),
    /// By name.
    Link(String),
    /// By path below `/proc/sys`.
    Sysctl(String),
    /// By link and address.
    Address(String, IpNet),
    /// By table, destination, metric and, within those, gateway and link.
    Route(u32, IpNet, u32, Option<IpAddr>, Option<String>),
    /// By link and address.
    Neighbour(String, IpAddr),
    /// By link, address and remote.
    Fdb(String, MacAddr, Option<IpAddr>),
    /// By interfaces.
    Passage(String),
}

impl Value {
    /// What identifies the object within its place.
    pub fn key(&self) -> Key {
        match self {
            Self::Link(v) => Key::Link(v.name.clone()),
            Self::Address(v) => Key::Address(v.link.clone(), v.address),
            Self::Route(v) => Key::Route(v.table, v.destination, v.metric, v.gateway, v.link.clone()),
            Self::Neighbour(v) => Key::Neighbour(v.link.clone(), v.address),
            Self::Fdb(v) => Key::Fdb(v.link.clone(), v.mac, v.remote),
            Self::Sysctl(v) => Key::Sysctl(v.path.clone()),
            Self::Table(v) => Key::Table(v.family, v.name.clone()),
            Self::Element(v) => Key::Element(v.family, v.table.clone(), v.set.clone(), v.key.clone()),
            Self::Passage(v) => Key::Passage(v.interfaces.clone()),
        }
    }

    /// The link that the object is, or is in, or is a setting of.
    pub fn link_concerned(&self) -> Option<&str> {
        match self {
            Self::Link(v) => Some(&v.name),
            Self::Sysctl(v) => v.link(),
            value => value.link(),
        }
    }

    /// The link that the object is in, and goes with.
    pub(crate) fn link(&self) -> Option<&str> {
        match self {
            Self::Address(v) => Some(&v.link),
            Self::Neighbour(v) => Some(&v.link),
            Self::Fdb(v) => Some(&v.link),
            Self::Route(v) => v.link.as_deref(),
            Self::Link(_) | Self::Sysctl(_) | Self::Table(_) | Self::Element(_) | Self::Passage(_) => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(v) => v.fmt(f),
            Self::Address(v) => v.fmt(f),
            Self::Route(v) => v.fmt(f),
            Self::Neighbour(v) => v.fmt(f),
            Self::Fdb(v) => v.fmt(f),
            Self::Sysctl(v) => v.fmt(f),
            Self::Table(v) => v.fmt(f),
            Self::Element(v) => v.fmt(f),
            Self::Passage(v) => v.fmt(f),
        }
    }
}

/// A value and whom it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The object.
    pub value: Value,
    /// Whom it belongs to.
    pub owner: Owner,
}

/// A set of kernel objects, each in its place, no object twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<(Place, Key), Entry>);

impl Values {
    /// No objects.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an object; one with the same key is replaced.
    pub fn insert(&mut self, place: Place, owner: &Owner, value: Value) {
        self.0.insert((place, value.key()), Entry { value, owner: owner.clone() });
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: Values) {
        self.0.extend(other.0);
    }

    /// The object with this key.
    pub fn get(&self, place: &Place, key: &Key) -> Option<&Entry> {
        // A lookup by borrowed pair would need a borrowed key type; the clone is off the hot path.
        self.0.get(&(place.clone(), key.clone()))
    }

    /// Takes out the object with this key.
    pub fn remove(&mut self, place: &Place, key: &Key) -> Option<Entry> {
        self.0.remove(&(place.clone(), key.clone()))
    }

    /// The objects, ordered by place and key.
    pub fn iter(&self) -> impl Iterator<Item = (&Place, &Key, &Entry)> {
        self.0.iter().map(|((place, key), entry)| (place, key, entry))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
