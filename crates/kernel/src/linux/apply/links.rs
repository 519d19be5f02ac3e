//! Links: made, changed, brought up, their ports opened and closed.

use super::{Part, Requests, Step, index, made_link};
use crate::linux::{
    rtnl::{self, Request, link},
    sysctl,
};
use crate::{Change, Link, LinkKind, Netns, Place, Plan, PortState, Value};
use linkspan_failpoint::Point;
use linkspan_model::{Error, Result};
use std::os::fd::{AsFd, AsRawFd};

/// How often a number for a link is chosen anew.
const ATTEMPTS: usize = 8;

impl<'a> Step<'_, 'a> {
    /// New links, and links that change.
    pub(super) fn links(&mut self, changes: &[&'a Change]) -> Result<()> {
        let mut pending = Pending::default();
        let mut ordered: Vec<&'a Change> = changes.to_vec();
        ordered.sort_by_key(|change| link_rank(change));
        for change in ordered {
            let prepared = match (change, made_link(change)) {
                (_, Some(new)) => self.create_link(change, new, &mut pending),
                (Change::Update { from: Value::Link(from), to: Value::Link(to), .. }, None) => {
                    self.update_link(change, from, to, &mut pending)
                }
                _ => Ok(()),
            };
            if let Err(error) = prepared {
                self.run.fail(error)?;
            }
        }
        self.flush(&mut pending)?;
        self.port_states(changes)
    }

    fn create_link(&mut self, change: &'a Change, new: &'a Link, pending: &mut Pending<'a>) -> Result<()> {
        let mut references = link::References::default();
        if let Some(master) = &new.master {
            self.flush_if_made_here(pending, master)?;
            references.master = Some(index(master)?.ok_or_else(|| no_master(new, master))?);
        }
        match &new.kind {
            LinkKind::Loopback | LinkKind::VethPeer => return Ok(()),
            LinkKind::Other(kind) => return Err(Error::unsupported(format!("links of type {kind} are never made"))),
            kind if kind.parent().is_some() => {
                self.parent(change.place(), kind.parent().unwrap_or_default(), &mut references, pending)?;
            }
            LinkKind::Veth { peer, peer_place } => {
                if let Place::Netns(path) = peer_place {
                    let netns = Netns::open(path)?;
                    references.peer_netns = Some(netns.as_fd().as_raw_fd());
                    pending.namespaces.push(netns);
                }
                let other = self.peer(peer_place, peer);
                references.peer_mac = other.and_then(|other| other.mac);
                references.peer_mtu = other.and_then(|other| other.mtu);
            }
            _ => {}
        }
        let creations = if references.netns.is_some() { &mut pending.from_host } else { &mut pending.creations };
        creations.push((change, Part::Making, link::create(new, &references)));
        pending.settings.push((change, Part::Making, link::set(&new.name, after_creation(new))));
        Ok(())
    }

    /// Refers to the device of the host that a link of `place` shares.
    fn parent(
        &mut self,
        place: &Place,
        parent: &str,
        references: &mut link::References,
        pending: &mut Pending<'a>,
    ) -> Result<()> {
        let found = if *place == Place::Host {
            self.flush_if_made_here(pending, parent)?;
            index(parent)?
        } else {
            let netns = Netns::current()?;
            references.netns = Some(netns.as_fd().as_raw_fd());
            // It may have one already; without one, changes in there are found later.
            let _ = self.host_socket()?.batch(vec![rtnl::netns::number(netns.as_fd().as_raw_fd())]);
            pending.namespaces.push(netns);
            self.run.linux.host.enter(|| index(parent))??
        };
        references.parent = Some(found.ok_or_else(|| no_link(parent, "parent"))?);
        Ok(())
    }

    /// Makes a link that shares a device of the host where the kernel refused because the host itself has one of that
    /// name, which it looks for in the namespace of the request. By a number that is free in both it looks for nothing else.
    pub(super) fn beside_a_namesake(
        &mut self,
        place: &Place,
        new: &Link,
    ) -> Option<std::result::Result<(), rtnl::Refusal>> {
        let parent = new.kind.parent().filter(|_| *place != Place::Host)?;
        if index(&new.name).ok()?.is_some() {
            return None;
        }
        let netns = Netns::current().ok()?;
        let host = self.run.linux.host.enter(|| Some((index(parent).ok()??, indexes()?))).ok()??;
        let (parent, theirs) = host;
        let own = indexes()?;
        let mut outcome = None;
        // Somebody else may take the same number at the same moment.
        for number in (2..).filter(|number| !own.contains(number) && !theirs.contains(number)).take(ATTEMPTS) {
            let references = link::References {
                parent: Some(parent),
                netns: Some(netns.as_fd().as_raw_fd()),
                number: Some(number),
                ..link::References::default()
            };
            let tried = self.host_socket().ok()?.batch(vec![link::create(new, &references)]).remove(0);
            let taken = matches!(&tried, Err(refusal) if matches!(refusal.errno, libc::EEXIST | libc::EBUSY));
            outcome = Some(tried);
            if !taken {
                break;
            }
        }
        outcome
    }

    /// Sends creations and settings; not in one message, because where one is refused since the link
    /// exists already, that link is somebody else's and must not be touched.
    fn flush(&mut self, pending: &mut Pending<'a>) -> Result<()> {
        self.send(std::mem::take(&mut pending.creations), Point::LinksMade)?;
        self.send_from(true, std::mem::take(&mut pending.from_host), Point::LinksMade)?;
        let mut settings = std::mem::take(&mut pending.settings);
        // When rolling back a refused creation does not end it.
        settings.retain(|(change, ..)| made_link(change).is_none() || self.run.ledger.has_made(change));
        pending.namespaces.clear();
        self.send(settings, Point::LinksSet)
    }

    /// Opens and closes ports, once nothing else changes about them.
    fn port_states(&mut self, changes: &[&'a Change]) -> Result<()> {
        let mut requests: Requests<'a> = Vec::new();
        for change in changes {
            let (before, after) = match (change, made_link(change)) {
                (_, Some(link)) => (PortState::Forwarding, link),
                (Change::Update { from: Value::Link(from), to: Value::Link(to), .. }, None) => {
                    (from.port.unwrap_or_default().state, to)
                }
                _ => continue,
            };
            if let Some(port) = after.port
                && (port.state == PortState::Disabled || before != port.state)
                && let Some(index) = index(&after.name)?
            {
                requests.push((change, Part::PortState, link::port_state(index, port.state)));
            }
        }
        self.send(requests, Point::PortsSet)
    }

    /// Sends what waits where it makes the link called `name`: its index is needed, and a bridge
    /// must have its own MTU before it gets ports.
    fn flush_if_made_here(&mut self, pending: &mut Pending<'a>, name: &str) -> Result<()> {
        let made_here =
            |(change, ..): &(&Change, Part, Request)| matches!(change.value(), Value::Link(link) if link.name == name);
        if pending.creations.iter().any(made_here) { self.flush(pending) } else { Ok(()) }
    }

    /// The other end of a veth pair, where the plan makes it as well.
    fn peer(&self, place: &Place, name: &str) -> Option<&Link> {
        self.run.plan.changes().iter().find_map(|change| match change {
            Change::Create(at, Value::Link(link)) | Change::Update { place: at, to: Value::Link(link), .. }
                if at == place && link.name == name =>
            {
                Some(link)
            }
            _ => None,
        })
    }

    fn update_link(&mut self, change: &'a Change, from: &Link, to: &Link, pending: &mut Pending<'a>) -> Result<()> {
        let mut settings = link::Settings {
            up: (from.up != to.up).then_some(to.up),
            mac: to.mac.filter(|_| from.mac != to.mac),
            mtu: to.mtu.filter(|_| from.mtu != to.mtu),
            group: (from.group != to.group).then_some(to.group),
            ..link::Settings::default()
        };
        if from.alias != to.alias {
            settings.alias = Some(to.alias.as_deref().unwrap_or_default());
        }
        if from.master != to.master {
            settings.master = Some(match &to.master {
                None => 0,
                Some(master) => {
                    self.flush_if_made_here(pending, master)?;
                    index(master)?.ok_or_else(|| no_master(to, master))?
                }
            });
        }
        // A port's settings are those of the bridge that it is in when the request arrives.
        let enslaved = settings.master.is_some_and(|index| index != 0);
        if from.port != to.port && !enslaved {
            settings.port = to.port;
        }
        // A link whose maker ended before it had its settings was never up.
        if !from.up && to.up && to.is_port() && sysctl::has_ipv6(&to.name) {
            let settings = link::Settings { no_link_local: true, ..link::Settings::default() };
            pending.settings.push((change, Part::Making, link::set(&to.name, settings)));
        }
        pending.settings.push((change, Part::Making, link::set(&to.name, settings)));
        if enslaved && to.port.is_some() {
            let settings = link::Settings { port: to.port, ..link::Settings::default() };
            pending.settings.push((change, Part::Making, link::set(&to.name, settings)));
        }
        if from.kind != to.kind && matches!(to.kind, LinkKind::Bridge(_) | LinkKind::Macvlan(_) | LinkKind::Ipvlan(_)) {
            pending.settings.push((change, Part::Making, link::reconfigure(to)));
        }
        Ok(())
    }
}

/// What waits to be sent.
#[derive(Default)]
struct Pending<'a> {
    creations: Requests<'a>,
    /// Those that share a device of the host, from another namespace.
    from_host: Requests<'a>,
    /// What links get once they are made.
    settings: Requests<'a>,
    /// Namespaces that the creations refer to.
    namespaces: Vec<Netns>,
}

/// Links before those that depend on them: VRFs, bridges in them, ports, and what shares any. A bridge loses its IPv6
/// addresses as it enters a VRF, and its ports are opened, so that both come after.
pub(super) fn link_rank(change: &Change) -> u8 {
    match change.value() {
        Value::Link(Link { kind: LinkKind::Macvlan(_) | LinkKind::Ipvlan(_), .. }) => 5,
        // A VLAN within another one has the longer name (see `drivers`), and comes after it.
        Value::Link(Link { kind: LinkKind::Vlan { parent, .. }, .. }) if parent.contains('.') => 4,
        Value::Link(Link { kind: LinkKind::Vlan { .. }, .. }) => 3,
        Value::Link(link) if link.is_port() => 2,
        Value::Link(Link { master: Some(_), .. }) => 1,
        _ => 0,
    }
}

/// Nothing inside a namespace waits for the host's end of a veth pair to be configured.
pub(super) fn comes_up_at_once(link: &Link) -> bool {
    matches!(link.kind, LinkKind::Veth { .. })
}

pub(super) fn after_creation(link: &Link) -> link::Settings<'_> {
    link::Settings {
        up: comes_up_at_once(link).then_some(link.up),
        mtu: link.mtu.filter(|_| matches!(link.kind, LinkKind::Bridge(_))),
        port: link.port,
        alias: link.alias.as_deref(),
        group: (link.group != 0).then_some(link.group),
        no_link_local: link.is_port(),
        ..link::Settings::default()
    }
}

/// What is set on a link once its addresses are there. The other end of a veth pair that exists
/// already gets its attributes here.
pub(super) fn coming_up<'a>(link: &'a Link, place: &Place, plan: &Plan) -> link::Settings<'a> {
    let makes_pair = |pair: &Link| matches!(&pair.kind, LinkKind::Veth { peer, peer_place } if *peer == link.name && peer_place == place);
    let made_with_pair = plan.changes().iter().filter_map(made_link).any(makes_pair);
    let mut settings = link::Settings { up: Some(link.up), ..link::Settings::default() };
    if link.kind == LinkKind::VethPeer {
        settings.alias = link.alias.as_deref();
        settings.group = (link.group != 0).then_some(link.group);
        if !made_with_pair {
            settings.mac = link.mac;
            settings.mtu = link.mtu;
        }
    }
    settings
}

fn no_master(link: &Link, name: &str) -> Error {
    no_link(name, if link.is_port() { "bridge" } else { "VRF" })
}

fn no_link(name: &str, role: &str) -> Error {
    Error::not_found(format!("{role} {name} does not exist"))
}

/// Indexes of the links of the calling thread's namespace.
fn indexes() -> Option<Vec<u32>> {
    let links = nix::net::if_::if_nameindex().ok()?;
    Some(links.iter().map(|link| link.index()).collect())
}
