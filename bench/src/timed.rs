//! The kernel with a watch.

use linkspan_kernel::features::Probed;
use linkspan_kernel::{
    Device, Flow, HostNetworks, Kernel, Linux, Place, Plan, Retirement, Values, WireBell, WireMessage, WirePort, Wires,
};
use linkspan_model::{MacAddr, PortRange, Protocol, Result};
use std::{
    net::IpAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The Linux kernel, which adds up the time that callers wait for it. What happens behind the
/// answers is not counted.
#[derive(Debug)]
pub(crate) struct Timed {
    linux: Linux,
    nanoseconds: AtomicU64,
}

impl Timed {
    /// The kernel as seen from the network namespace of this thread.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { linux: Linux::new()?, nanoseconds: AtomicU64::new(0) })
    }

    /// The time since the last call of this.
    pub(crate) fn take(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.swap(0, Ordering::Relaxed))
    }

    fn timed<T>(&self, call: impl FnOnce(&Linux) -> T) -> T {
        let start = Instant::now();
        let given = call(&self.linux);
        let spent = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(spent, Ordering::Relaxed);
        given
    }
}

impl Kernel for Timed {
    fn apply(&self, plan: &Plan) -> Result<()> {
        self.timed(|linux| linux.apply(plan))
    }

    fn observe(&self, wanted: &Values, prefix: &str) -> Result<Values> {
        self.timed(|linux| linux.observe(wanted, prefix))
    }

    fn host_networks(&self) -> Result<HostNetworks> {
        self.timed(Linux::host_networks)
    }

    fn device(&self, name: &str) -> Result<Option<Device>> {
        self.timed(|linux| linux.device(name))
    }

    /// Behind the answer.
    fn retire_links(&self, retirement: &Retirement) -> Result<()> {
        self.linux.retire_links(retirement)
    }

    /// Behind the answer.
    fn flush_conntrack(&self, flows: &[Flow]) -> Result<usize> {
        self.linux.flush_conntrack(flows)
    }

    fn announce(&self, place: &Place, interface: &str, mac: MacAddr, addresses: &[IpAddr]) -> Result<()> {
        self.timed(|linux| linux.announce(place, interface, mac, addresses))
    }

    fn create_netns(&self, path: &Path) -> Result<()> {
        self.timed(|linux| linux.create_netns(path))
    }

    fn keep_netns(&self, place: &Place, path: &Path) -> Result<()> {
        self.timed(|linux| linux.keep_netns(place, path))
    }

    fn remove_netns(&self, path: &Path) -> Result<()> {
        self.timed(|linux| linux.remove_netns(path))
    }

    fn netns_identity(&self, place: &Place) -> Result<(u64, u64)> {
        self.timed(|linux| linux.netns_identity(place))
    }

    fn check_ports_free(&self, address: Option<IpAddr>, protocol: Protocol, ports: PortRange) -> Result<()> {
        self.timed(|linux| linux.check_ports_free(address, protocol, ports))
    }

    fn administrators(&self) -> Result<String> {
        self.timed(Linux::administrators)
    }

    fn remember_administrators(&self, text: &str) -> Result<()> {
        self.timed(|linux| linux.remember_administrators(text))
    }

    fn watch(&self) -> Result<Box<dyn linkspan_kernel::Watch>> {
        self.timed(|linux| linux.watch())
    }

    fn wires(&self) -> Result<(Box<dyn Wires>, Arc<dyn WireBell>)> {
        self.timed(Linux::wires)
    }

    fn transmit(&self, port: &WirePort, message: &WireMessage) -> Result<()> {
        self.timed(|linux| linux.transmit(port, message))
    }

    fn has_link_kind(&self, kind: &str) -> Result<bool> {
        self.timed(|linux| linux.has_link_kind(kind))
    }

    fn features(&self) -> Result<Vec<Probed>> {
        self.timed(|linux| linux.features())
    }

    fn read_sysctl(&self, place: &Place, path: &str) -> Result<String> {
        self.timed(|linux| linux.read_sysctl(place, path))
    }
}
