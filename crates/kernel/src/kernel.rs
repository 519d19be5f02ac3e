use crate::{Inspect, Place, Plan, Values, Watch, WireBell, WireMessage, WirePort, Wires, features::Probed};
use ipnet::IpNet;
use linkspan_model::{MacAddr, PortRange, Protocol, Result};
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The kernel as the engine sees it. Implemented by [`Linux`](crate::Linux) and by the
/// stateful [`FakeKernel`](crate::FakeKernel), which refuses what the kernel would refuse;
/// one contract suite runs against both.
pub trait Kernel: Send + Sync {
    /// Carries out `plan`, whole or not at all: where a change fails, those already made are
    /// undone and the error names the object and carries the kernel's own words. Creating what
    /// exists is an error of class `Exists`; deleting what is gone is not an error.
    ///
    /// Cost, for each place: one batch for nf_tables, one message for each kind of request to rtnetlink (what goes, links,
    /// their settings, port states, contents) that the plan has, one file write a sysctl. No dump.
    fn apply(&self, plan: &Plan) -> Result<()>;

    /// What the kernel holds of the objects that `wanted` names, with their actual attributes,
    /// and also what else it holds that is ours: every element of a table named in `wanted`, and
    /// every link of the host whose name begins with `prefix` or whose alias says that it is ours; none where `prefix` is
    /// empty. Attributes that `wanted` leaves to the kernel (`None`) are reported as `None`, so that equal means equal.
    fn observe(&self, wanted: &Values, prefix: &str) -> Result<Values>;

    /// What the host itself is connected to.
    fn host_networks(&self) -> Result<HostNetworks>;

    /// What there is to know of a device of the host that others are to share; none where there is no such device.
    fn device(&self, name: &str) -> Result<Option<Device>>;

    /// Deletes links for good and waits until they are gone. The links must carry `group`
    /// (see [`Link::group`](crate::Link)); all links of the group go in one request, because a
    /// single deletion waits about 20 ms for an RCU grace period and many share it.
    fn retire_links(&self, retirement: &Retirement) -> Result<()>;

    /// Forgets tracked connections of these flows (both directions); returns how many.
    fn flush_conntrack(&self, flows: &[Flow]) -> Result<usize>;

    /// Tells the neighbours of `interface` that it has `addresses` (gratuitous ARP, unsolicited NA).
    fn announce(&self, place: &Place, interface: &str, mac: MacAddr, addresses: &[IpAddr]) -> Result<()>;

    /// Makes a network namespace and keeps it alive by a bind mount at `path`.
    fn create_netns(&self, path: &Path) -> Result<()>;

    /// Keeps the namespace at `place` alive by a bind mount at `path` as well, whatever becomes of the process
    /// or file that `place` names.
    fn keep_netns(&self, place: &Place, path: &Path) -> Result<()>;

    /// Unmounts and removes the file of [`create_netns`](Self::create_netns) or
    /// [`keep_netns`](Self::keep_netns). Absence is not an error.
    fn remove_netns(&self, path: &Path) -> Result<()>;

    /// Identity of the namespace at `place` (device and inode of its nsfs file); an error of class
    /// `Invalid` or `NotFound` where there is none.
    fn netns_identity(&self, place: &Place) -> Result<(u64, u64)>;

    /// Fails with class `InUse`, naming the holder (process and PID), where a socket of the
    /// host already occupies a port of `ports` at `address` (every address where `None`).
    fn check_ports_free(&self, address: Option<IpAddr>, protocol: Protocol, ports: PortRange) -> Result<()>;

    /// What administrators have in our tables (chains and sets whose names begin with `admin_`), as text to be kept for
    /// [`remember_administrators`](Self::remember_administrators); empty where they have nothing.
    fn administrators(&self) -> Result<String>;

    /// Lets tables that are made anew have what `text` says.
    fn remember_administrators(&self, text: &str) -> Result<()>;

    /// Watches for changes from now on.
    fn watch(&self) -> Result<Box<dyn Watch>>;

    /// Sockets for clients of DHCP, and what ends their waiting.
    fn wires(&self) -> Result<(Box<dyn Wires>, Arc<dyn WireBell>)>;

    /// Sends one message of such a client, which waits for no answer. It has left the interface when this returns.
    fn transmit(&self, port: &WirePort, message: &WireMessage) -> Result<()>;

    /// Looking into the kernel without changing anything; none of a kernel in memory, which has no packets.
    fn inspect(&self) -> Option<&dyn Inspect> {
        None
    }

    /// Whether the kernel makes links of this kind, named as `ip link` names it. It is asked, and loads a module where it
    /// has one.
    fn has_link_kind(&self, kind: &str) -> Result<bool>;

    /// What the kernel has of [`FEATURES`](crate::features::FEATURES); all of a kernel in memory. Takes tens of milliseconds.
    fn features(&self) -> Result<Vec<Probed>>;

    /// Reads a setting below `/proc/sys` of `place`.
    fn read_sysctl(&self, place: &Place, path: &str) -> Result<String>;
}

/// What the host itself is connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostNetworks {
    /// Prefixes of its addresses and routes, default routes left out.
    pub prefixes: Vec<HostPrefix>,
    /// MTU of the device of the default route, IPv4 before IPv6.
    pub default_mtu: Option<u32>,
    /// Interfaces that got an IPv6 default route by router advertisement and would lose it when
    /// forwarding is switched on (`accept_ra` is 1).
    pub ra_interfaces: Vec<String>,
}

impl HostNetworks {
    /// Whether `net` is an address or a route of this interface.
    pub fn has(&self, link: &str, net: &IpNet) -> bool {
        self.prefixes.iter().any(|prefix| prefix.link.as_deref() == Some(link) && prefix.net == *net)
    }
}

/// A prefix that the host can reach or has an address in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPrefix {
    /// The prefix.
    pub net: IpNet,
    /// The interface it belongs to.
    pub link: Option<String>,
}

/// A device of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its kind as `ip -d link` names it, `physical` where it has none.
    pub kind: String,
    /// Its MAC address.
    pub mac: Option<MacAddr>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// It leads back to the host itself.
    pub loopback: bool,
    /// Its frames are those of Ethernet.
    pub ethernet: bool,
    /// A radio that knows one MAC address.
    pub wireless: bool,
    /// What it is a part of: name and kind, such as that of a bridge or a bond.
    pub master: Option<(String, String)>,
    /// The device that it shares, and its tag where it is a VLAN.
    pub parent: Option<(String, Option<u16>)>,
    /// The text that names its owner (ifalias).
    pub alias: Option<String>,
    /// Its addresses, but for link-local ones.
    pub addresses: Vec<IpAddr>,
    /// Other devices of the host that share it: name, kind, and the tag of a VLAN.
    pub sharers: Vec<(String, String, Option<u16>)>,
}

/// Links to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retirement {
    /// The device group of the links.
    pub group: u32,
    /// Their names in the host's namespace.
    pub links: Vec<String>,
}

/// Tracked connections to forget: those of the host whose original destination, or whose
/// destination after translation, is `address` and one of `ports`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The protocol.
    pub protocol: Protocol,
    /// The address. Where absent: any of the host's, as original destination; connections to servers
    /// elsewhere that listen at such a port are none of the flow.
    pub address: Option<IpAddr>,
    /// The ports.
    pub ports: PortRange,
}

/// Path of the namespace of a process.
pub fn netns_of_pid(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/net"))
}
