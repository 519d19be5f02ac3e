//! A kernel in memory that refuses what the kernel would refuse.

mod nft;
mod objects;
mod parents;
mod watch;
mod wire;

use crate::features::{FEATURES, Probed};
use crate::{
    Change, Device, Flow, HostNetworks, Kernel, Link, LinkKind, Place, Plan, Retirement, Value, Values, Watch,
    WireBell, WireMessage, WirePort, Wires,
};
use linkspan_model::{Error, MacAddr, PortRange, Protocol, Result};
use objects::Objects;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use watch::Watchers;
pub use wire::Answer;
use wire::{FakeWires, Wire};

/// The kinds of link that it makes.
const KINDS: [&str; 8] = ["bridge", "veth", "macvlan", "ipvlan", "vlan", "vxlan", "dummy", "vrf"];

/// A kernel in memory, for tests: stateful, so that what was made is there, what was not cannot be
/// removed, and what depends on something missing is refused.
#[derive(Debug, Default)]
pub struct FakeKernel {
    state: Arc<Mutex<State>>,
    watchers: Watchers,
    wire: Arc<Wire>,
}

#[derive(Clone, Debug, Default)]
struct State {
    objects: Objects,
    nft: nft::FakeNft,
    /// Files of namespaces and the namespaces they lead to; several may lead to one.
    names: BTreeMap<Place, Place>,
    namespaces: BTreeMap<Place, u64>,
    next_inode: u64,
    host: HostNetworks,
    busy_ports: Vec<(Protocol, u16, String)>,
    announced: Vec<(String, IpAddr)>,
    /// Kinds of link that it lacks.
    lacks: Vec<String>,
}

impl FakeKernel {
    /// A host with nothing but a loopback interface.
    pub fn new() -> Self {
        let kernel = Self::default();
        let mut state = kernel.state();
        state.next_inode += 1;
        let inode = state.next_inode;
        state.namespaces.insert(Place::Host, inode);
        state.objects.add_place(Place::Host);
        drop(state);
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

    /// Lets the kernel lack a kind of link, named as `ip link` names it.
    pub fn lack_link_kind(&self, kind: &str) {
        self.state().lacks.push(kind.to_owned());
    }

    /// Lets what clients of DHCP say be answered, at every interface; by nobody where absent.
    pub fn serve_leases(&self, server: Option<Arc<Answer>>) {
        self.wire.serve(server);
    }

    /// Lets a neighbour have an address.
    pub fn add_neighbour(&self, address: IpAddr) {
        self.wire.add_neighbour(address);
    }

    /// Every address announced so far, with its interface.
    pub fn announced(&self) -> Vec<(String, IpAddr)> {
        self.state().announced.clone()
    }

    /// Everything there is, a line an object, in a stable order.
    pub fn dump(&self) -> String {
        let state = self.state();
        let dump = state.objects.dump() + &state.nft.dump();
        state.names.iter().fold(dump, |dump, (name, place)| dump.replace(&format!("[{place}]"), &format!("[{name}]")))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add_namespace(&mut self, name: Place) {
        self.next_inode += 1;
        let place = Place::Netns(format!("net:[{}]", self.next_inode).into());
        self.namespaces.insert(place.clone(), self.next_inode);
        self.objects.add_place(place.clone());
        self.names.insert(name, place);
    }

    /// Where a name leads; to itself where nothing has it.
    fn resolve(&self, name: &Place) -> Place {
        self.names.get(name).unwrap_or(name).clone()
    }

    fn check_place(&self, name: &Place) -> Result<u64> {
        let found = self.namespaces.get(&self.resolve(name)).copied();
        found.ok_or_else(|| Error::not_found(format!("no network namespace at {name}")))
    }

    fn check_free(&self, name: &Place) -> Result<()> {
        if self.names.contains_key(name) {
            return Err(Error::exists(format!("a namespace is at {name} already")));
        }
        Ok(())
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
                Value::Link(link)
                    if matches!(change, Change::Create(..))
                        && self.lacks.iter().any(|kind| kind == link.kind.name()) =>
                {
                    return Err(Error::unsupported(format!("{link}: the kernel has no such kind")));
                }
                _ => self.objects.apply(change, plan)?,
            }
        }
        for (place, changes) in rules {
            self.nft.apply(place, &changes)?;
        }
        Ok(())
    }
}

fn find_link(state: &State, port: &WirePort) -> Result<Link> {
    state.check_place(&port.place)?;
    state.objects.link(&state.resolve(&port.place), &port.interface).cloned()
}

/// The value with the places it speaks of replaced.
fn moved(mut value: Value, mut to: impl FnMut(&Place) -> Place) -> Value {
    if let Value::Link(Link { kind: LinkKind::Veth { peer_place, .. }, .. }) = &mut value {
        *peer_place = to(peer_place);
    }
    value
}

impl Kernel for FakeKernel {
    fn apply(&self, plan: &Plan) -> Result<()> {
        let mut state = self.state();
        let mut changed = state.clone();
        let to = |name: &Place| state.resolve(name);
        let resolved = |change: &Change| match change.clone() {
            Change::Create(name, value) => Change::Create(to(&name), moved(value, to)),
            Change::Update { place: name, from, to: new } => {
                Change::Update { place: to(&name), from: moved(from, to), to: moved(new, to) }
            }
            Change::Delete(name, value) => Change::Delete(to(&name), moved(value, to)),
        };
        changed.apply(&plan.changes().iter().map(resolved).collect())?;
        *state = changed;
        drop(state);
        self.watchers.tell(plan);
        Ok(())
    }

    fn observe(&self, wanted: &Values, prefix: &str) -> Result<Values> {
        let state = self.state();
        let (mut resolved, mut names) = (Values::new(), BTreeMap::new());
        for (name, _, entry) in wanted.iter() {
            let place = state.resolve(name);
            let value = moved(entry.value.clone(), |name| {
                let place = state.resolve(name);
                names.insert(place.clone(), name.clone());
                place
            });
            resolved.insert(place.clone(), &entry.owner, value);
            names.insert(place, name.clone());
        }
        let mut seen = state.objects.observe(&resolved, prefix);
        let mut places: BTreeMap<&Place, Vec<&Value>> = BTreeMap::new();
        for (place, _, entry) in resolved.iter() {
            places.entry(place).or_default().push(&entry.value);
        }
        for (place, wanted_here) in places {
            for value in state.nft.observe(place, &wanted_here) {
                let owner = resolved.get(place, &value.key()).map_or_else(objects::orphan, |entry| entry.owner.clone());
                seen.insert(place.clone(), &owner, value);
            }
        }
        let mut values = Values::new();
        for (place, _, entry) in seen.iter() {
            let name = |place: &Place| names.get(place).unwrap_or(place).clone();
            values.insert(name(place), &entry.owner, moved(entry.value.clone(), name));
        }
        Ok(values)
    }

    fn host_networks(&self) -> Result<HostNetworks> {
        Ok(self.state().host.clone())
    }

    fn device(&self, name: &str) -> Result<Option<Device>> {
        Ok(self.state().objects.device(name))
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
        state.objects.link(&state.resolve(place), interface)?;
        state.announced.extend(addresses.iter().map(|address| (interface.to_owned(), *address)));
        Ok(())
    }

    fn create_netns(&self, path: &Path) -> Result<()> {
        let name = Place::Netns(path.to_owned());
        let mut state = self.state();
        state.check_free(&name)?;
        state.add_namespace(name);
        Ok(())
    }

    fn keep_netns(&self, place: &Place, path: &Path) -> Result<()> {
        let name = Place::Netns(path.to_owned());
        let mut state = self.state();
        state.check_place(place)?;
        state.check_free(&name)?;
        let place = state.resolve(place);
        state.names.insert(name, place);
        Ok(())
    }

    fn remove_netns(&self, path: &Path) -> Result<()> {
        let mut state = self.state();
        if let Some(place) = state.names.remove(&Place::Netns(path.to_owned()))
            && !state.names.values().any(|other| *other == place)
        {
            state.namespaces.remove(&place);
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

    fn administrators(&self) -> Result<String> {
        Ok(String::new())
    }

    fn remember_administrators(&self, _text: &str) -> Result<()> {
        Ok(())
    }

    fn watch(&self) -> Result<Box<dyn Watch>> {
        Ok(Box::new(self.watchers.watch()))
    }

    fn wires(&self) -> Result<(Box<dyn Wires>, Arc<dyn WireBell>)> {
        let state = Arc::clone(&self.state);
        let check = move |port: &WirePort| find_link(&state.lock().unwrap_or_else(PoisonError::into_inner), port);
        let wires = FakeWires { wire: Arc::clone(&self.wire), ports: BTreeMap::new(), check: Box::new(check) };
        let bell: Arc<dyn WireBell> = self.wire.clone();
        Ok((Box::new(wires), bell))
    }

    fn transmit(&self, port: &WirePort, message: &WireMessage) -> Result<()> {
        find_link(&self.state(), port)?;
        self.wire.say(port, message);
        Ok(())
    }

    fn has_link_kind(&self, kind: &str) -> Result<bool> {
        Ok(KINDS.contains(&kind) && !self.state().lacks.iter().any(|lacks| lacks == kind))
    }

    fn features(&self) -> Result<Vec<Probed>> {
        let lacks = self.state().lacks.clone();
        let probed = |feature| Probed { feature, present: !lacks.iter().any(|kind| kind == feature.name) };
        Ok(FEATURES.iter().map(probed).collect())
    }

    fn read_sysctl(&self, place: &Place, path: &str) -> Result<String> {
        let state = self.state();
        state.check_place(place)?;
        let place = state.resolve(place);
        state.objects.check_sysctl(&place, path)?;
        Ok(state.objects.sysctl(&place, path))
    }
}
