/// A device with a MAC address of its own on the wire of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Macvlan {
    /// The device it shares, in the host's namespace.
    pub parent: String,
    /// How siblings reach each other.
    pub mode: MacvlanMode,
    /// How many broadcast and multicast frames wait for delivery to siblings; the parent keeps the most that any of its
    /// devices asks for. The kernel's choice where absent.
    pub bc_queue_len: Option<u32>,
}

impl Macvlan {
    /// Whether the kernel makes `other` of it in place: a parent is shared or passed through from the start.
    pub(crate) fn can_become(&self, other: &Self) -> bool {
        let passthru = |link: &Self| link.mode == MacvlanMode::Passthru;
        self.parent == other.parent && passthru(self) == passthru(other)
    }
}

/// How macvlan siblings reach each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MacvlanMode {
    /// Directly.
    #[default]
    Bridge,
    /// Not at all.
    Private,
    /// Through the outside switch.
    Vepa,
    /// One device alone, with the parent's MAC.
    Passthru,
}

/// A device with the MAC address of another one on its wire, told apart by addresses of IP. Mode and flag are the
/// parent's: the last of its devices that is made decides for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipvlan {
    /// The device it shares, in the host's namespace.
    pub parent: String,
    /// Where frames and packets are sorted.
    pub mode: IpvlanMode,
    /// How siblings reach each other.
    pub flag: IpvlanFlag,
}

/// Where the packets of ipvlan devices are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpvlanMode {
    /// By their addresses, ARP and broadcasts included.
    #[default]
    L2,
    /// By routing; nothing is broadcast.
    L3,
    /// By routing, and through the netfilter hooks of the host.
    L3s,
}

/// How ipvlan siblings reach each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpvlanFlag {
    /// Directly.
    #[default]
    Bridge,
    /// Not at all.
    Private,
    /// Through the outside switch.
    Vepa,
}
