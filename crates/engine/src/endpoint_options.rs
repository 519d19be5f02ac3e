use std::time::Duration;

/// What the options of an endpoint ask for. The driver reads them; the engine knows of what they mean to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointOptions {
    /// Name of the interface inside the sandbox.
    pub interface: Option<String>,
    /// Name of the interface in the host that is its other end.
    pub host_interface: Option<String>,
    /// Settings of the interface inside the sandbox.
    pub sysctls: Vec<EndpointSysctl>,
    /// How neighbours are told of its addresses.
    pub announcing: Announcing,
}

/// A setting of an interface whose name is not known yet: `net.FAMILY.GROUP.IFNAME.KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSysctl {
    /// `ipv4`, `ipv6` or `mpls`.
    pub family: String,
    /// `conf` or `neigh`.
    pub group: String,
    /// The setting.
    pub key: String,
    /// The value wanted.
    pub value: String,
}

impl EndpointSysctl {
    /// Path below `/proc/sys` for an interface called `interface`.
    pub fn path(&self, interface: &str) -> String {
        format!("net/{}/{}/{interface}/{}", self.family, self.group, self.key)
    }
}

/// How often neighbours are told of the addresses of an endpoint that has joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcing {
    /// How many times; 0 is not at all.
    pub messages: u8,
    /// Time between two of them.
    pub interval: Duration,
}

impl Announcing {
    /// The most messages.
    pub const MAX_MESSAGES: u8 = 3;
    /// Bounds of the interval in milliseconds.
    pub const INTERVAL_MS: std::ops::RangeInclusive<u64> = 100..=2000;
}

impl Default for Announcing {
    /// Once: nothing is lost between sandboxes of one host.
    fn default() -> Self {
        Self { messages: 1, interval: Duration::from_secs(1) }
    }
}
