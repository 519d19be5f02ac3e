//! The Linux kernel.

mod announce;
mod apply;
mod conntrack;
mod device;
mod features;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod inspect;
mod ledger;
mod legacy;
mod nft;
mod observe;
mod passage;
mod ports;
mod probe;
mod refusal;
mod retire;
mod rtnl;
mod sysctl;
mod watch;
mod wire;

use crate::{
    Device, Flow, HostNetworks, Inspect, Kernel, Netns, Place, Plan, Retirement, Values, Watch, WireBell, WireMessage,
    WirePort, Wires, features::Probed,
};
use linkspan_model::{Error, ErrorClass, MacAddr, PortRange, Protocol, Result};
use std::{net::IpAddr, path::Path, sync::Arc};

/// The running kernel, as seen from the network namespace it was opened in.
#[derive(Debug)]
pub struct Linux {
    host: Netns,
}

/// What became of the attempt to do something inside a namespace.
enum Entered<T> {
    /// It was done there.
    Done(Result<T>),
    /// There is no such namespace.
    Gone(Error),
}

impl Linux {
    /// The kernel; the network namespace of the calling thread is the host's from here on.
    pub fn new() -> Result<Self> {
        Ok(Self { host: Netns::current()? })
    }

    /// Runs `f` inside the namespace of `place`, if there still is one.
    fn enter<T>(&self, place: &Place, f: impl FnOnce() -> Result<T>) -> Entered<T> {
        let opened;
        let netns = match place {
            Place::Host => &self.host,
            Place::Netns(path) => match Netns::open(path) {
                Ok(netns) => {
                    opened = netns;
                    &opened
                }
                // The path has gone, or what is left is the file that the namespace was mounted on.
                Err(error) if matches!(error.class(), ErrorClass::NotFound | ErrorClass::Invalid) => {
                    return Entered::Gone(error);
                }
                Err(error) => return Entered::Done(Err(error)),
            },
        };
        Entered::Done(netns.enter(f).flatten())
    }

    /// Runs `f` inside the namespace of `place`.
    fn within<T>(&self, place: &Place, f: impl FnOnce() -> Result<T>) -> Result<T> {
        match self.enter(place, f) {
            Entered::Done(result) => result,
            Entered::Gone(error) => Err(error),
        }
    }
}

impl Kernel for Linux {
    fn apply(&self, plan: &Plan) -> Result<()> {
        apply::apply(self, plan)
    }

    fn observe(&self, wanted: &Values, prefix: &str) -> Result<Values> {
        observe::observe(self, wanted, prefix)
    }

    fn host_networks(&self) -> Result<HostNetworks> {
        self.host.enter(host::networks)?
    }

    fn device(&self, name: &str) -> Result<Option<Device>> {
        self.host.enter(|| device::find(name))?
    }

    fn retire_links(&self, retirement: &Retirement) -> Result<()> {
        self.host.enter(|| retire::retire(retirement))?
    }

    fn flush_conntrack(&self, flows: &[Flow]) -> Result<usize> {
        self.host.enter(|| conntrack::flush(flows))?
    }

    fn announce(&self, place: &Place, interface: &str, mac: MacAddr, addresses: &[IpAddr]) -> Result<()> {
        self.within(place, || announce::announce(interface, mac, addresses))
    }

    fn create_netns(&self, path: &Path) -> Result<()> {
        Netns::create(path)
    }

    fn keep_netns(&self, place: &Place, path: &Path) -> Result<()> {
        match place {
            Place::Host => self.host.keep(path),
            Place::Netns(source) => Netns::open(source)?.keep(path),
        }
    }

    fn remove_netns(&self, path: &Path) -> Result<()> {
        Netns::remove(path)
    }

    fn netns_identity(&self, place: &Place) -> Result<(u64, u64)> {
        match place {
            Place::Host => self.host.identity(),
            Place::Netns(path) => Netns::open(path)?.identity(),
        }
    }

    fn check_ports_free(&self, address: Option<IpAddr>, protocol: Protocol, ports: PortRange) -> Result<()> {
        self.host.enter(|| ports::check_free(address, protocol, ports))?
    }

    fn administrators(&self) -> Result<String> {
        self.host.enter(nft::guests_text)
    }

    fn remember_administrators(&self, text: &str) -> Result<()> {
        self.host.enter(|| nft::remember_guests(text))?.map_err(|error| {
            Error::internal(format!("what is remembered of the administrator's rules cannot be read: {error}"))
        })
    }

    fn watch(&self) -> Result<Box<dyn Watch>> {
        Ok(Box::new(watch::LinuxWatch::new(&self.host)?))
    }

    fn wires(&self) -> Result<(Box<dyn Wires>, Arc<dyn WireBell>)> {
        let (wires, bell) = wire::LinuxWires::new(Self { host: self.host.try_clone()? })?;
        Ok((Box::new(wires), bell))
    }

    fn transmit(&self, port: &WirePort, message: &WireMessage) -> Result<()> {
        wire::transmit(self, port, message)
    }

    fn inspect(&self) -> Option<&dyn Inspect> {
        Some(self)
    }

    fn has_link_kind(&self, kind: &str) -> Result<bool> {
        Netns::within_a_new_one(|| features::has_link_kind(kind))?
    }

    fn features(&self) -> Result<Vec<Probed>> {
        features::probe()
    }

    fn read_sysctl(&self, place: &Place, path: &str) -> Result<String> {
        self.within(place, || sysctl::read(path))
    }
}
