use super::{Ipvlan, Macvlan, Place};
use linkspan_model::MacAddr;
use std::{fmt, net::IpAddr};

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name, at most 15 bytes (IFNAMSIZ less the terminator).
    pub name: String,
    /// What kind of device it is.
    pub kind: LinkKind,
    /// Its MAC address; the kernel's choice where absent.
    pub mac: Option<MacAddr>,
    /// Its MTU in bytes; the kernel's choice where absent.
    pub mtu: Option<u32>,
    /// Administratively up.
    pub up: bool,
    /// The bridge it is a port of; of a bridge, the VRF it is in.
    pub master: Option<String>,
    /// Its settings as a bridge port; only with a master.
    pub port: Option<BridgePort>,
    /// A text for people, shown by `ip link` (ifalias), that names the owner.
    pub alias: Option<String>,
    /// Its device group; 0 is the kernel's default. A link that is put into another one waits there for
    /// [`retire_links`](crate::Kernel::retire_links).
    pub group: u32,
}

/// What the aliases of links that an engine has made begin with.
const ALIAS: &str = "linkspan ";

/// Whether the alias of a link says that an engine has made it.
pub fn is_own_alias(alias: &str) -> bool {
    alias.starts_with(ALIAS)
}

impl Link {
    /// Whether it is a port of its master, and not routed by it.
    pub fn is_port(&self) -> bool {
        self.master.is_some() && !matches!(self.kind, LinkKind::Bridge(_))
    }

    /// Whether a link that nobody wants is one of an engine's own: its name begins with `prefix`, or its alias says so.
    pub(crate) fn is_orphan(name: &str, alias: Option<&str>, prefix: &str) -> bool {
        !prefix.is_empty() && (name.starts_with(prefix) || alias.is_some_and(is_own_alias))
    }
}

/// Kinds of device, with what is fixed at creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// `lo` of a namespace: there from the start, only ever set up or down.
    Loopback,
    /// A bridge.
    Bridge(Bridge),
    /// One end of a veth pair; its creation makes the other end, which must also be a
    /// value (of kind [`LinkKind::VethPeer`]) in `peer_place`.
    Veth {
        /// Name of the other end.
        peer: String,
        /// Where the other end is born.
        peer_place: Place,
    },
    /// The end of a veth pair that comes and goes with its peer.
    VethPeer,
    /// A macvlan device.
    Macvlan(Macvlan),
    /// An ipvlan device.
    Ipvlan(Ipvlan),
    /// A device for the frames of another one that carry a VLAN tag (802.1Q). The kernel holds it down while its parent is
    /// down, and brings it up with it.
    Vlan {
        /// The device that carries the tagged frames, in the host's namespace.
        parent: String,
        /// The tag.
        id: u16,
    },
    /// A VXLAN tunnel end.
    Vxlan(Vxlan),
    /// A device that drops what it is sent: a `dummy`, or an `ifb` where the kernel has none.
    Dummy,
    /// A routing domain (VRF): links that have it as their master are routed by its table alone.
    Vrf {
        /// The routing table.
        table: u32,
    },
    /// A kind that is never made, only met where another one is wanted.
    Other(String),
}

/// Settings of a bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bridge {
    /// Whether the bridge snoops IGMP and MLD to forward multicast to members only.
    pub multicast_snooping: bool,
    /// Whether the bridge learns no address from what is sent to 01:80:c2:00:00:0X. Such frames are for the host alone;
    /// some of them pass no hook of the bridge's, so that nothing else can keep a port from taking an address by them.
    pub no_link_local_learning: bool,
}

/// Settings of a bridge port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BridgePort {
    /// The port reaches the bridge itself and ports that are not isolated, not its isolated siblings.
    pub isolated: bool,
    /// Frames may leave by the port they came in.
    pub hairpin: bool,
    /// Whether the port forwards.
    pub state: PortState,
}

/// The state of a bridge port (BR_STATE_*).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortState {
    /// Forwards frames.
    #[default]
    Forwarding,
    /// Drops every frame.
    Disabled,
}

/// A VXLAN tunnel end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vxlan {
    /// Network identifier, 24 bits.
    pub vni: u32,
    /// UDP destination port.
    pub port: u16,
    /// Source address of the tunnel.
    pub local: Option<IpAddr>,
    /// Whether it learns remote addresses from traffic.
    pub learning: bool,
}

impl LinkKind {
    /// The kind as `ip -d link` names it.
    pub fn name(&self) -> &str {
        match self {
            Self::Loopback => "loopback",
            Self::Bridge(_) => "bridge",
            Self::Veth { .. } | Self::VethPeer => "veth",
            Self::Macvlan(_) => "macvlan",
            Self::Ipvlan(_) => "ipvlan",
            Self::Vlan { .. } => "vlan",
            Self::Vxlan(_) => "vxlan",
            Self::Dummy => "dummy",
            Self::Vrf { .. } => "vrf",
            Self::Other(name) => name,
        }
    }

    /// The device of the host that a link of this kind shares and goes with.
    pub fn parent(&self) -> Option<&str> {
        match self {
            Self::Macvlan(Macvlan { parent, .. }) | Self::Ipvlan(Ipvlan { parent, .. }) | Self::Vlan { parent, .. } => {
                Some(parent)
            }
            _ => None,
        }
    }

    /// Whether a link of this kind cannot become one of kind `other` but by being made anew.
    pub(crate) fn is_fixed_against(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bridge(_), Self::Bridge(_)) => false,
            (Self::Macvlan(seen), Self::Macvlan(wanted)) => !seen.can_become(wanted),
            (Self::Ipvlan(seen), Self::Ipvlan(wanted)) => seen.parent != wanted.parent,
            // The kernel does not tell which end made the other.
            (Self::Veth { .. } | Self::VethPeer, Self::Veth { .. } | Self::VethPeer) => false,
            _ => self != other,
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {} ({}", self.name, self.kind.name())?;
        if let Some(master) = &self.master {
            write!(f, ", {} {master}", if self.is_port() { "port of" } else { "in" })?;
        }
        f.write_str(if self.up { ", up)" } else { ", down)" })
    }
}
