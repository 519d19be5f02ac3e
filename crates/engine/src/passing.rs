//! The kernel and the store with a fail point before and after everything that changes them, whoever calls.

use crate::{Durability, RecordChange, Snapshot, Store};
use linkspan_failpoint::{Point, hit};
use linkspan_kernel::{Flow, HostNetworks, Inspect, Kernel, Place, Plan, Retirement, Values, Watch};
use linkspan_model::{MacAddr, PortRange, Protocol, Result};
use std::{net::IpAddr, path::Path, sync::Arc};

/// A kernel that passes fail points.
pub(crate) struct PassingKernel(pub(crate) Arc<dyn Kernel>);

fn between<T>(before: Point, change: impl FnOnce() -> T, after: Point) -> T {
    hit(before);
    let done = change();
    hit(after);
    done
}

impl Kernel for PassingKernel {
    fn apply(&self, plan: &Plan) -> Result<()> {
        between(Point::Apply, || self.0.apply(plan), Point::Applied)
    }
    fn observe(&self, wanted: &Values, prefix: &str) -> Result<Values> {
        self.0.observe(wanted, prefix)
    }
    fn host_networks(&self) -> Result<HostNetworks> {
        self.0.host_networks()
    }
    fn retire_links(&self, retirement: &Retirement) -> Result<()> {
        between(Point::RetireLinks, || self.0.retire_links(retirement), Point::RetiredLinks)
    }
    fn flush_conntrack(&self, flows: &[Flow]) -> Result<usize> {
        between(Point::FlushConntrack, || self.0.flush_conntrack(flows), Point::FlushedConntrack)
    }
    fn announce(&self, place: &Place, interface: &str, mac: MacAddr, addresses: &[IpAddr]) -> Result<()> {
        between(Point::Announce, || self.0.announce(place, interface, mac, addresses), Point::Announced)
    }
    fn create_netns(&self, path: &Path) -> Result<()> {
        between(Point::CreateNetns, || self.0.create_netns(path), Point::CreatedNetns)
    }
    fn keep_netns(&self, place: &Place, path: &Path) -> Result<()> {
        between(Point::KeepNetns, || self.0.keep_netns(place, path), Point::KeptNetns)
    }
    fn remove_netns(&self, path: &Path) -> Result<()> {
        between(Point::RemoveNetns, || self.0.remove_netns(path), Point::RemovedNetns)
    }
    fn netns_identity(&self, place: &Place) -> Result<(u64, u64)> {
        self.0.netns_identity(place)
    }
    fn check_ports_free(&self, address: Option<IpAddr>, protocol: Protocol, ports: PortRange) -> Result<()> {
        self.0.check_ports_free(address, protocol, ports)
    }
    fn administrators(&self) -> Result<String> {
        self.0.administrators()
    }
    fn remember_administrators(&self, text: &str) -> Result<()> {
        self.0.remember_administrators(text)
    }
    fn watch(&self) -> Result<Box<dyn Watch>> {
        self.0.watch()
    }
    fn inspect(&self) -> Option<&dyn Inspect> {
        self.0.inspect()
    }
    fn read_sysctl(&self, place: &Place, path: &str) -> Result<String> {
        self.0.read_sysctl(place, path)
    }
}

/// A store that passes fail points.
pub(crate) struct PassingStore(pub(crate) Box<dyn Store>);

impl Store for PassingStore {
    fn load(&self) -> Result<Snapshot> {
        self.0.load()
    }
    fn commit(&self, changes: &[RecordChange], durability: Durability) -> Result<()> {
        between(Point::Commit, || self.0.commit(changes, durability), Point::Committed)
    }
}
