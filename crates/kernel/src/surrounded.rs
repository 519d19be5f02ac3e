use crate::{
    Device, Flow, HostNetworks, Inspect, Kernel, Place, Plan, Retirement, Values, Watch, WireBell, WireMessage,
    WirePort, Wires, features::Probed,
};
use linkspan_model::{MacAddr, PortRange, Protocol, Result};
use std::{net::IpAddr, path::Path, sync::Arc};

/// A call of a kernel that changes something, or that an operation depends on.
#[derive(Clone, Copy, Debug)]
pub enum Call<'a> {
    /// [`Kernel::apply`].
    Apply,
    /// [`Kernel::observe`].
    Observe,
    /// [`Kernel::host_networks`].
    HostNetworks,
    /// [`Kernel::retire_links`].
    RetireLinks,
    /// [`Kernel::flush_conntrack`].
    FlushConntrack,
    /// [`Kernel::announce`].
    Announce,
    /// [`Kernel::transmit`].
    Transmit,
    /// [`Kernel::create_netns`] at this path.
    CreateNetns(&'a Path),
    /// [`Kernel::keep_netns`] at this path.
    KeepNetns(&'a Path),
    /// [`Kernel::remove_netns`] of this path.
    RemoveNetns(&'a Path),
    /// [`Kernel::check_ports_free`].
    CheckPortsFree,
    /// [`Kernel::read_sysctl`].
    ReadSysctl,
}

/// What happens around the calls of a kernel.
pub trait Around: Send + Sync {
    /// Before a call, which is not made where this fails.
    fn before(&self, _call: Call<'_>) -> Result<()> {
        Ok(())
    }

    /// After a call that was made; whether it succeeded.
    fn after(&self, _call: Call<'_>, _succeeded: bool) {}
}

/// A kernel with something around its calls.
pub struct Surrounded<A> {
    kernel: Arc<dyn Kernel>,
    around: A,
}

impl<A: Around> Surrounded<A> {
    /// `kernel` with `around` around its calls.
    pub fn new(kernel: Arc<dyn Kernel>, around: A) -> Self {
        Self { kernel, around }
    }

    fn call<T>(&self, call: Call<'_>, make: impl FnOnce(&dyn Kernel) -> Result<T>) -> Result<T> {
        self.around.before(call)?;
        let done = make(&*self.kernel);
        self.around.after(call, done.is_ok());
        done
    }
}

impl<A: Around> Kernel for Surrounded<A> {
    fn apply(&self, plan: &Plan) -> Result<()> {
        self.call(Call::Apply, |kernel| kernel.apply(plan))
    }
    fn observe(&self, wanted: &Values, prefix: &str) -> Result<Values> {
        self.call(Call::Observe, |kernel| kernel.observe(wanted, prefix))
    }
    fn host_networks(&self) -> Result<HostNetworks> {
        self.call(Call::HostNetworks, |kernel| kernel.host_networks())
    }
    fn device(&self, name: &str) -> Result<Option<Device>> {
        self.call(Call::Observe, |kernel| kernel.device(name))
    }

    fn retire_links(&self, retirement: &Retirement) -> Result<()> {
        self.call(Call::RetireLinks, |kernel| kernel.retire_links(retirement))
    }
    fn flush_conntrack(&self, flows: &[Flow]) -> Result<usize> {
        self.call(Call::FlushConntrack, |kernel| kernel.flush_conntrack(flows))
    }
    fn announce(&self, place: &Place, interface: &str, mac: MacAddr, addresses: &[IpAddr]) -> Result<()> {
        self.call(Call::Announce, |kernel| kernel.announce(place, interface, mac, addresses))
    }
    fn create_netns(&self, path: &Path) -> Result<()> {
        self.call(Call::CreateNetns(path), |kernel| kernel.create_netns(path))
    }
    fn keep_netns(&self, place: &Place, path: &Path) -> Result<()> {
        self.call(Call::KeepNetns(path), |kernel| kernel.keep_netns(place, path))
    }
    fn remove_netns(&self, path: &Path) -> Result<()> {
        self.call(Call::RemoveNetns(path), |kernel| kernel.remove_netns(path))
    }
    fn netns_identity(&self, place: &Place) -> Result<(u64, u64)> {
        self.kernel.netns_identity(place)
    }
    fn check_ports_free(&self, address: Option<IpAddr>, protocol: Protocol, ports: PortRange) -> Result<()> {
        self.call(Call::CheckPortsFree, |kernel| kernel.check_ports_free(address, protocol, ports))
    }
    fn administrators(&self) -> Result<String> {
        self.kernel.administrators()
    }
    fn remember_administrators(&self, text: &str) -> Result<()> {
        self.kernel.remember_administrators(text)
    }
    fn watch(&self) -> Result<Box<dyn Watch>> {
        self.kernel.watch()
    }
    fn wires(&self) -> Result<(Box<dyn Wires>, Arc<dyn WireBell>)> {
        self.kernel.wires()
    }
    fn transmit(&self, port: &WirePort, message: &WireMessage) -> Result<()> {
        self.call(Call::Transmit, |kernel| kernel.transmit(port, message))
    }
    fn inspect(&self) -> Option<&dyn Inspect> {
        self.kernel.inspect()
    }
    fn has_link_kind(&self, kind: &str) -> Result<bool> {
        self.kernel.has_link_kind(kind)
    }
    fn features(&self) -> Result<Vec<Probed>> {
        self.kernel.features()
    }
    fn read_sysctl(&self, place: &Place, path: &str) -> Result<String> {
        self.call(Call::ReadSysctl, |kernel| kernel.read_sysctl(place, path))
    }
}
