//! A kernel in memory that refuses what the kernel would refuse.

mod nft;
mod objects;

use crate::{Change, Flow, HostNetworks, Kernel, Place, Plan, Retirement, Value, Values};
use linkspan_model::{Error, MacAddr, PortRange, Protocol, Result};
use objects::Objects;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A kernel in memory, for tests: stateful, so that what was made is there, what was not cannot be
/// removed, and what depends on something missing is refused.
#[derive(Debug, Default)]
pub struct FakeKernel {
    state: Mutex<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    objects: Objects,
    nft: nft::FakeNft,
    namespaces: BTreeMap<Place, u64>,
    next_inode: u64,
    host: HostNetworks,
    busy_ports: Vec<(Protocol, u16, String)>,
    announced: Vec<(String, IpAddr)>,
}

impl FakeKernel {
    /// A host with nothing but a loopback interface.
    pub fn new() -> Self {
        let kernel = Self::default();
        kernel.state().add_namespace(Place::Host);
        kernel
    }

    /// Says what the host is connected to beside what is made here.
    pub fn set_host_networks(&self, host: HostNetworks) {
        self.state().host = host;
    }

    /// Lets `holder` occupy a host port.
    pub fn occupy_port(&self, protocol: Protocol, port: u16, holder: &str) {
        self.state().busy_ports.push((protocol, port, holder.to_owned()));
    }

    /// Every address announced so far, with its interface.
    pub fn announced(&self) -> Vec<(String, IpAddr)> {
        self.state().announced.clone()
    }

    /// Everything there is, a line an object, in a stable order.
    pub fn dump(&self) -> String {
        let state = self.state();
        state.objects.dump() + &state.nft.dump()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add_namespace(&mut self, place: Place) {
        self.next_inode += 1;
        self.namespaces.insert(place.clone(), self.next_inode);
        self.objects.add_place(place);
    }

    fn check_place(&self, place: &Place) -> Result<u64> {
        let found = self.namespaces.get(place).copied();
        found.ok_or_else(|| Error::not_found(format!("no network namespace at {place}")))
    }

    fn apply(&mut self, plan: &Plan) -> Result<()> {
        let mut changes: Vec<&Change> = plan.changes().iter().collect();
        changes.sort_by_key(|change| objects::rank(change));
        let mut rules: BTreeMap<&Place, Vec<&Change>> = BTreeMap::new();
        for change in changes {
            if self.check_place(change.place()).is_err() {
                if matches!(change, Change::Delete(..)) {
                    continue;
                }
                self.check_place(change.place())?;
            }
            match change.value() {
                Value::Table(_) | Value::Element(_) => rules.entry(change.place()).or_default().push(change),
                _ => self.objects.apply(change, plan)?,
            }
        }
        for (place, changes) in rules {
            self.nft.apply(place, &changes)?;
        }
        Ok(())
    }
}

impl Kernel for FakeKernel {
    fn apply(&self, plan: &Plan) -> Result<()> {
        let mut state = self.state();
        let mut changed = state.clone();
        changed.apply(plan)?;
        *state = changed;
        Ok(())
    }

    fn observe(&self, wanted: &Values, prefix: &str) -> Result<Values> {
        let state = self.state();
        let mut values = state.objects.observe(wanted, prefix);
        let mut places: BTreeMap<&Place, Vec<&Value>> = BTreeMap::new();
        for (place, _, entry) in wanted.iter() {
            places.entry(place).or_default().push(&entry.value);
        }
        for (place, wanted_here) in places {
            for value in state.nft.observe(place, &wanted_here) {
                let owner = wanted.get(place, &value.key()).map_or_else(objects::orphan, |entry| entry.owner.clone());
                values.insert(place.clone(), &owner, value);
            }
        }
        Ok(values)
    }

    fn host_networks(&self) -> Result<HostNetworks> {
        Ok(self.state().host.clone())
    }

    fn retire_links(&self, retirement: &Retirement) -> Result<()> {
        self.state().objects.retire(retirement);
        Ok(())
    }

    fn flush_conntrack(&self, _flows: &[Flow]) -> Result<usize> {
        Ok(0)
    }

    fn announce(&self, place: &Place, interface: &str, _mac: MacAddr, addresses: &[IpAddr]) -> Result<()> {
        let mut state = self.state();
        state.check_place(place)?;
        state.objects.link(place, interface)?;
        state.announced.extend(addresses.iter().map(|address| (interface.to_owned(), *address)));
        Ok(())
    }

    fn create_netns(&self, path: &Path) -> Result<()> {
        let place = Place::Netns(path.to_owned());
        let mut state = self.state();
        if state.namespaces.contains_key(&place) {
            return Err(Error::exists(format!("a namespace is at {} already", path.display())));
        }
        state.add_namespace(place);
        Ok(())
    }

    fn remove_netns(&self, path: &Path) -> Result<()> {
        let place = Place::Netns(path.to_owned());
        let mut state = self.state();
        if state.namespaces.remove(&place).is_some() {
            state.objects.remove_place(&place);
            state.nft.remove_place(&place);
        }
        Ok(())
    }

    fn netns_identity(&self, place: &Place) -> Result<(u64, u64)> {
        self.state().check_place(place).map(|inode| (4, inode))
    }

    fn check_ports_free(&self, _address: Option<IpAddr>, protocol: Protocol, ports: PortRange) -> Result<()> {
        let state = self.state();
        let busy = state.busy_ports.iter().find(|(theirs, port, _)| *theirs == protocol && ports.contains(*port));
        busy.map_or(Ok(()), |(_, port, holder)| {
            Err(Error::in_use(format!("host port {port}/{protocol} is taken")).held_by(holder))
        })
    }

    fn read_sysctl(&self, place: &Place, path: &str) -> Result<String> {
        let state = self.state();
        state.check_place(place)?;
        state.objects.check_sysctl(place, path)?;
        Ok(state.objects.sysctl(place, path))
    }
}
