//! Carrying out a plan: few messages, in the order in which objects depend on each other, and
//! back again where one of them is refused.

use super::{
    Linux, nft,
    rtnl::{Refusal, Request, RtSocket, address, link, route},
    sysctl,
};
use crate::{Change, Link, LinkKind, Netns, Place, Plan, PortState, Retirement, Value};
use linkspan_model::{Error, ErrorClass, Result};
use std::{
    collections::BTreeMap,
    os::fd::{AsFd, AsRawFd},
};

/// Changes by place; the host comes first.
type ByPlace<'a> = BTreeMap<&'a Place, Vec<&'a Change>>;

pub(super) fn apply(linux: &Linux, plan: &Plan) -> Result<()> {
    let mut done = Vec::new();
    let Err(error) = carry_out(linux, plan, &mut done) else { return Ok(()) };
    let undo: Plan = done.into_iter().rev().map(|change| change.clone().inverse()).collect();
    if let Err(undo_error) = carry_out(linux, &undo, &mut Vec::new()) {
        tracing::error!(%undo_error, "a plan that failed could not be undone entirely");
    }
    Err(error)
}

/// Carries out a plan up to the first failure; `done` gets what was carried out.
fn carry_out<'a>(linux: &Linux, plan: &'a Plan, done: &mut Vec<&'a Change>) -> Result<()> {
    let mut places = ByPlace::new();
    for change in plan.changes() {
        places.entry(change.place()).or_default().push(change);
    }
    for (place, changes) in places {
        let entered = linux.within(place, || in_place(plan, &changes, done));
        match entered {
            // With the namespace everything in it has gone.
            Err(error)
                if matches!(error.class(), ErrorClass::NotFound)
                    && *place != Place::Host
                    && changes.iter().all(|change| matches!(change, Change::Delete(..))) => {}
            other => other?,
        }
    }
    Ok(())
}

/// The changes of one place, on a thread inside it.
fn in_place<'a>(plan: &Plan, changes: &[&'a Change], done: &mut Vec<&'a Change>) -> Result<()> {
    // First what decides which packets pass, so that nothing is reachable before its rules exist.
    let rules: Vec<&Change> = changes
        .iter()
        .copied()
        .filter(|change| matches!(change.value(), Value::Table(_) | Value::Element(_)))
        .collect();
    if !rules.is_empty() {
        nft::apply(&rules)?;
        done.extend(rules);
    }
    let mut socket = None;
    let mut step = Step { plan, socket: &mut socket, done };
    step.removals(changes)?;
    step.links(changes)?;
    step.settings(changes)?;
    step.contents(changes)
}

struct Step<'s, 'd, 'a> {
    plan: &'s Plan,
    socket: &'s mut Option<RtSocket>,
    done: &'d mut Vec<&'a Change>,
}

/// Requests, each with the change that it belongs to.
type Requests<'a> = Vec<(&'a Change, Request)>;

impl<'a> Step<'_, '_, 'a> {
    fn send(&mut self, requests: Requests<'a>, tolerate: fn(&Refusal) -> bool) -> Result<()> {
        if requests.is_empty() {
            return Ok(());
        }
        let socket = match self.socket {
            Some(socket) => socket,
            None => self.socket.insert(RtSocket::open()?),
        };
        let (changes, requests): (Vec<&Change>, Vec<Request>) = requests.into_iter().unzip();
        let mut failure = None;
        for (change, outcome) in changes.into_iter().zip(socket.batch(requests)) {
            match outcome {
                Err(refusal) if !tolerate(&refusal) => {
                    failure.get_or_insert_with(|| refuse(change, refusal));
                }
                // A link made by one request and refused by the next must be undone as well.
                _ => {
                    if !self.done.iter().any(|other| std::ptr::eq(*other, change)) {
                        self.done.push(change);
                    }
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// What goes: contents of links before links.
    fn removals(&mut self, changes: &[&'a Change]) -> Result<()> {
        let mut contents: Requests<'a> = Vec::new();
        let mut links: Requests<'a> = Vec::new();
        for change in changes {
            let Change::Delete(_, value) = change else { continue };
            match value {
                Value::Link(Link { kind: LinkKind::Loopback | LinkKind::VethPeer, .. }) => self.done.push(change),
                Value::Link(gone) => links.push((change, link::delete(&gone.name))),
                Value::Sysctl(setting) => {
                    sysctl::restore(setting)?;
                    self.done.push(change);
                }
                Value::Table(_) | Value::Element(_) => {}
                value => {
                    // A link that has gone took its contents along.
                    if let Some(request) = content(value, false)? {
                        contents.push((change, request));
                    } else {
                        self.done.push(change);
                    }
                }
            }
        }
        self.send(contents, is_gone)?;
        self.send(links, is_gone)
    }

    /// New links, and links that change.
    fn links(&mut self, changes: &[&'a Change]) -> Result<()> {
        let mut requests: Requests<'a> = Vec::new();
        let mut settings: Requests<'a> = Vec::new();
        let mut namespaces = Vec::new();
        // Bridges before their ports.
        let mut ordered: Vec<&'a Change> = changes.to_vec();
        ordered.sort_by_key(|change| matches!(change.value(), Value::Link(link) if link.master.is_some()));
        for change in ordered {
            match change {
                Change::Create(_, Value::Link(new)) => match &new.kind {
                    LinkKind::Loopback | LinkKind::VethPeer => {}
                    kind => {
                        let mut references = link::References::default();
                        if let Some(master) = &new.master {
                            self.flush_if_made_here(&mut requests, &mut settings, master)?;
                            references.master = Some(index(master)?.ok_or_else(|| no_link(master, "bridge"))?);
                        }
                        match kind {
                            LinkKind::Macvlan { parent, .. } => {
                                self.flush_if_made_here(&mut requests, &mut settings, parent)?;
                                references.parent = Some(index(parent)?.ok_or_else(|| no_link(parent, "parent"))?);
                            }
                            LinkKind::Veth { peer, peer_place } => {
                                if let Place::Netns(path) = peer_place {
                                    let netns = Netns::open(path)?;
                                    references.peer_netns = Some(netns.as_fd().as_raw_fd());
                                    namespaces.push(netns);
                                }
                                let other = self.peer(peer_place, peer);
                                references.peer_mac = other.and_then(|other| other.mac);
                                references.peer_mtu = other.and_then(|other| other.mtu);
                            }
                            _ => {}
                        }
                        requests.push((change, link::create(new, &references)));
                        settings.push((change, link::set(&new.name, after_creation(new))));
                    }
                },
                Change::Update { from: Value::Link(from), to: Value::Link(to), .. } => {
                    self.update_link(change, from, to, &mut settings)?;
                }
                _ => {}
            }
        }
        // Not in one message with the creations: where one is refused because the link exists
        // already, that link is somebody else's and must not be touched.
        self.send(requests, |_| false)?;
        self.send(settings, |_| false)?;
        self.port_states(changes)
    }

    /// Opens and closes ports, once nothing else changes about them.
    fn port_states(&mut self, changes: &[&'a Change]) -> Result<()> {
        let mut requests: Requests<'a> = Vec::new();
        for change in changes {
            let (before, after) = match change {
                Change::Create(_, Value::Link(link)) => (PortState::Forwarding, link),
                Change::Update { from: Value::Link(from), to: Value::Link(to), .. } => {
                    (from.port.unwrap_or_default().state, to)
                }
                _ => continue,
            };
            if let Some(port) = after.port
                && (port.state == PortState::Disabled || before != port.state)
                && let Some(index) = index(&after.name)?
            {
                requests.push((change, link::port_state(index, port.state)));
            }
        }
        // A port without carrier stays closed whatever it is told, and opens when it gets one.
        self.send(requests, |refusal| refusal.errno == libc::ENETDOWN)
    }

    /// Sends what waits where it makes the link called `name`: its index is needed, and a bridge
    /// must have its own MTU before it gets ports.
    fn flush_if_made_here(
        &mut self,
        requests: &mut Requests<'a>,
        settings: &mut Requests<'a>,
        name: &str,
    ) -> Result<()> {
        let made_here =
            |(change, _): &(&Change, Request)| matches!(change.value(), Value::Link(link) if link.name == name);
        if requests.iter().any(made_here) {
            self.send(std::mem::take(requests), |_| false)?;
            self.send(std::mem::take(settings), |_| false)?;
        }
        Ok(())
    }

    /// The other end of a veth pair, where the plan makes it as well.
    fn peer(&self, place: &Place, name: &str) -> Option<&Link> {
        self.plan.changes().iter().find_map(|change| match change {
            Change::Create(at, Value::Link(link)) if at == place && link.name == name => Some(link),
            _ => None,
        })
    }

    fn update_link(&mut self, change: &'a Change, from: &Link, to: &Link, requests: &mut Requests<'a>) -> Result<()> {
        if from.kind.name() != to.kind.name() {
            requests.push((change, link::delete(&from.name)));
            self.send(std::mem::take(requests), is_gone)?;
            requests.push((change, link::create(to, &link::References::default())));
            requests.push((change, link::set(&to.name, link::Settings { up: Some(to.up), ..after_creation(to) })));
            return Ok(());
        }
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
                Some(master) => index(master)?.ok_or_else(|| no_link(master, "bridge"))?,
            });
        }
        if from.port != to.port || settings.master.is_some() {
            settings.port = to.port;
        }
        requests.push((change, link::set(&to.name, settings)));
        if let (LinkKind::Bridge(old), LinkKind::Bridge(new)) = (&from.kind, &to.kind)
            && old != new
        {
            requests.push((change, link::reconfigure(to)));
        }
        Ok(())
    }

    fn settings(&mut self, changes: &[&'a Change]) -> Result<()> {
        for change in changes {
            if let Change::Create(_, Value::Sysctl(setting)) | Change::Update { to: Value::Sysctl(setting), .. } =
                change
            {
                sysctl::set(setting)?;
                self.done.push(change);
            }
        }
        Ok(())
    }

    /// What is in links, and the links up: addresses before links are up, routes after.
    fn contents(&mut self, changes: &[&'a Change]) -> Result<()> {
        let mut first: Requests<'a> = Vec::new();
        let mut up: Requests<'a> = Vec::new();
        let mut last: Requests<'a> = Vec::new();
        for change in changes {
            let value = match change {
                Change::Create(_, value) => value,
                Change::Update { from, to, .. } => {
                    if !matches!(to, Value::Link(_) | Value::Sysctl(_) | Value::Table(_) | Value::Element(_))
                        && let Some(removal) = content(from, false)?
                    {
                        first.push((change, removal));
                    }
                    to
                }
                Change::Delete(..) => continue,
            };
            match (change, value) {
                (Change::Create(..), Value::Link(new)) if !comes_up_at_once(new) => {
                    up.push((change, link::set(&new.name, coming_up(new, self.plan))));
                }
                (_, Value::Link(_) | Value::Sysctl(_) | Value::Table(_) | Value::Element(_)) => {}
                (_, value) => {
                    let request = content(value, true)?
                        .ok_or_else(|| Error::not_found(format!("cannot make {value}: its link does not exist")))?;
                    let list = if matches!(value, Value::Address(_)) { &mut first } else { &mut last };
                    list.push((change, request));
                }
            }
        }
        first.append(&mut up);
        first.append(&mut last);
        self.send(first, |_| false)
    }
}

/// Nothing inside a namespace waits for the host's end of a veth pair to be configured.
fn comes_up_at_once(link: &Link) -> bool {
    matches!(link.kind, LinkKind::Veth { .. })
}

fn after_creation(link: &Link) -> link::Settings<'_> {
    link::Settings {
        up: comes_up_at_once(link).then_some(link.up),
        mtu: link.mtu.filter(|_| matches!(link.kind, LinkKind::Bridge(_))),
        port: link.port,
        alias: link.alias.as_deref(),
        group: (link.group != 0).then_some(link.group),
        no_link_local: link.master.is_some(),
        ..link::Settings::default()
    }
}

/// What is set on a link once its addresses are there. The other end of a veth pair that exists
/// already gets its attributes here.
fn coming_up<'a>(link: &'a Link, plan: &Plan) -> link::Settings<'a> {
    let made_with_pair = plan.changes().iter().any(|change| {
        matches!(change, Change::Create(_, Value::Link(Link { kind: LinkKind::Veth { peer, .. }, .. })) if *peer == link.name)
    });
    let mut settings = link::Settings { up: Some(link.up), ..link::Settings::default() };
    if link.kind == LinkKind::VethPeer && !made_with_pair {
        settings.mac = link.mac;
        settings.mtu = link.mtu;
    }
    settings
}

/// The request that makes or removes something inside a link; `None` where the link does not exist.
fn content(value: &Value, create: bool) -> Result<Option<Request>> {
    let request = match value {
        Value::Address(v) => index(&v.link)?.map(|index| match create {
            true => address::create_address(v, index),
            false => address::delete_address(v, index),
        }),
        Value::Neighbour(v) => index(&v.link)?.map(|index| match create {
            true => address::create_neighbour(v, index),
            false => address::delete_neighbour(v, index),
        }),
        Value::Fdb(v) => index(&v.link)?.map(|index| match create {
            true => address::create_fdb(v, index),
            false => address::delete_fdb(v, index),
        }),
        Value::Route(v) => {
            let index = match &v.link {
                None => None,
                Some(link) => match index(link)? {
                    None => return Ok(None),
                    some => some,
                },
            };
            Some(if create { route::create(v, index) } else { route::delete(v, index) })
        }
        Value::Link(_) | Value::Sysctl(_) | Value::Table(_) | Value::Element(_) => None,
    };
    Ok(request)
}

/// Index of a link of the calling thread's namespace.
pub(super) fn index(name: &str) -> Result<Option<u32>> {
    match nix::net::if_::if_nametoindex(name) {
        Ok(index) => Ok(Some(index)),
        Err(nix::Error::ENODEV) => Ok(None),
        Err(errno) => Err(Error::internal(format!("cannot look up link {name}: {errno}"))),
    }
}

fn no_link(name: &str, role: &str) -> Error {
    Error::not_found(format!("{role} {name} does not exist"))
}

fn is_gone(refusal: &Refusal) -> bool {
    matches!(refusal.errno, libc::ENODEV | libc::ENOENT | libc::ESRCH | libc::EADDRNOTAVAIL | libc::ENXIO)
}

fn refuse(change: &Change, refusal: Refusal) -> Error {
    match (change, refusal.errno) {
        (Change::Create(_, value), libc::EEXIST) => {
            Error::exists(format!("{value} already exists")).fix("remove it, or choose another name or address")
        }
        (Change::Create(_, Value::Link(link)), libc::EXFULL) => Error::exhausted(format!(
            "bridge {} has no room for another port: Linux has at most 1,023",
            link.master.as_deref().unwrap_or_default()
        ))
        .fix("use another network"),
        (Change::Create(_, Value::Link(link)), libc::EOPNOTSUPP) => {
            let words = refusal.text.unwrap_or_default();
            Error::unsupported(format!("the kernel cannot make links of type {}: {words}", link.kind.name()))
                .fix(format!("load module {}, or use another kernel", link.kind.name()))
        }
        (change, _) => refusal.into_error(change),
    }
}

/// Deletes the links of a group and waits until they have gone.
pub(super) fn retire(retirement: &Retirement) -> Result<()> {
    let mut socket = RtSocket::open()?;
    let outcome = socket.batch(vec![link::delete_group(retirement.group)]).remove(0);
    match outcome {
        Ok(()) => {}
        Err(refusal) if is_gone(&refusal) => {}
        Err(refusal) => return Err(refusal.into_error(format!("deleting the links of group {}", retirement.group))),
    }
    // A link that never made it into the group is deleted by name.
    let mut left: Vec<Request> = Vec::new();
    for name in &retirement.links {
        if index(name)?.is_some() {
            left.push(link::delete(name));
        }
    }
    for outcome in socket.batch(left) {
        match outcome {
            Err(refusal) if !is_gone(&refusal) => return Err(refusal.into_error("deleting links")),
            _ => {}
        }
    }
    Ok(())
}
