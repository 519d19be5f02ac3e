//! Carrying out a plan: few messages, in the order in which objects depend on each other, and
//! back again where one of them is refused.

mod links;

use super::{
    Entered, Linux,
    ledger::{Ledger, Part},
    nft, passage,
    refusal::{is_gone, refuse},
    rtnl::{self, Refusal, Request, RtSocket, address, link, route},
    sysctl,
};
use crate::{Change, Link, LinkKind, Place, Plan, Value};
use links::{after_creation, comes_up_at_once, coming_up, link_rank};
use linkspan_failpoint::{Point, hit};
use linkspan_model::{Error, Result};
use netlink_packet_route::{
    AddressFamily,
    neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState},
};
use std::collections::BTreeMap;

/// Changes by place; the host comes first.
type ByPlace<'a> = BTreeMap<&'a Place, Vec<&'a Change>>;

pub(super) fn apply(linux: &Linux, plan: &Plan) -> Result<()> {
    plan.changes().iter().try_for_each(check_kind)?;
    let mut run = Run { linux, plan, ledger: Ledger::default(), rolls_back: false };
    let Err(error) = run.carry_out() else { return Ok(()) };
    let undo = run.ledger.undo();
    // A failure of it has been logged where it happened; the caller is told the first one.
    let _ = Run { linux, plan: &undo, ledger: Ledger::default(), rolls_back: true }.carry_out();
    Err(error)
}

/// Refuses to put the other end of a veth pair in place of another link: it comes only with its pair,
/// so that the link would be lost for nothing.
fn check_kind(change: &Change) -> Result<()> {
    match change {
        Change::Update { place, from: Value::Link(from), to: Value::Link(to) }
            if to.kind == LinkKind::VethPeer && from.kind.is_fixed_against(&to.kind) =>
        {
            let (name, kind) = (&to.name, from.kind.name());
            Err(Error::exists(format!("interface {name} of {place} is no veth device but a {kind}"))
                .fix("remove that interface, or rename it"))
        }
        _ => Ok(()),
    }
}

/// The link that a change makes, where there was none or one of another kind.
fn made_link(change: &Change) -> Option<&Link> {
    match change {
        Change::Create(_, Value::Link(link)) => Some(link),
        Change::Update { to: Value::Link(link), .. } if replaces(change) => Some(link),
        _ => None,
    }
}

/// Whether a change puts a link in place of one of another kind.
fn replaces(change: &Change) -> bool {
    matches!(change, Change::Update { from: Value::Link(from), to: Value::Link(to), .. }
        if from.kind.is_fixed_against(&to.kind))
}

/// A plan being carried out.
struct Run<'a> {
    linux: &'a Linux,
    plan: &'a Plan,
    ledger: Ledger<'a>,
    /// A plan ends with its first failure; one that rolls another back goes on with all that remains.
    rolls_back: bool,
}

impl<'a> Run<'a> {
    fn carry_out(&mut self) -> Result<()> {
        let mut places = ByPlace::new();
        for change in self.plan.changes() {
            places.entry(change.place()).or_default().push(change);
        }
        for (place, changes) in places {
            match self.linux.enter(place, || self.in_place(&changes)) {
                // With the namespace everything in it has gone.
                Entered::Gone(_) if changes.iter().all(|change| matches!(change, Change::Delete(..))) => {}
                Entered::Gone(error) | Entered::Done(Err(error)) => self.fail(error)?,
                Entered::Done(Ok(())) => {}
            }
        }
        Ok(())
    }

    /// The changes of one place, on a thread inside it.
    fn in_place(&mut self, changes: &[&'a Change]) -> Result<()> {
        // First what decides which packets pass, so that nothing is reachable before its rules exist; where elements
        // only go, last, so that a port which is on its way out is closed before it is no longer held to them.
        let mut rules: Vec<&Change> = changes
            .iter()
            .copied()
            .filter(|change| matches!(change.value(), Value::Table(_) | Value::Element(_)))
            .collect();
        let last = rules.iter().all(|change| matches!(change, Change::Delete(_, Value::Element(_))));
        if !last {
            self.all_rules(&mut rules)?;
        }
        let mut step = Step { run: self, socket: None, host_socket: None };
        step.removals(changes)?;
        step.links(changes)?;
        step.settings(changes)?;
        step.contents(changes)?;
        step.passages(changes);
        if last { self.all_rules(&mut rules) } else { Ok(()) }
    }

    fn all_rules(&mut self, rules: &mut [&'a Change]) -> Result<()> {
        if !rules.is_empty()
            && let Err(error) = self.rules(rules)
        {
            self.fail(error)?;
            // What is wrong with one of them keeps none of the others from being put back.
            rules.sort_by_key(|change| nft_rank(change));
            for rule in rules {
                if let Err(error) = self.rules(&[*rule]) {
                    self.fail(error)?;
                }
            }
        }
        Ok(())
    }

    fn rules(&mut self, rules: &[&'a Change]) -> Result<()> {
        let gone = nft::apply(rules)?;
        hit(Point::Rules);
        for (position, change) in rules.iter().enumerate() {
            if matches!(change, Change::Delete(..) | Change::Update { .. }) && !gone.contains(&position) {
                self.ledger.enter(change, Part::Removal);
            }
            if !matches!(change, Change::Delete(..)) {
                self.ledger.enter(change, Part::Making);
            }
        }
        Ok(())
    }

    fn fail(&self, error: Error) -> Result<()> {
        if !self.rolls_back {
            return Err(error);
        }
        tracing::error!(%error, "a plan that failed could not be undone entirely");
        Ok(())
    }
}

/// What depends on what, for changes of tables and elements applied one by one.
fn nft_rank(change: &Change) -> u8 {
    match change {
        Change::Delete(_, Value::Table(_)) => 4,
        Change::Delete(..) => 0,
        Change::Create(_, Value::Table(_)) | Change::Update { to: Value::Table(_), .. } => 1,
        Change::Update { .. } => 2,
        Change::Create(..) => 3,
    }
}

struct Step<'s, 'a> {
    run: &'s mut Run<'a>,
    socket: Option<RtSocket>,
    /// One in the host's namespace, where devices are that links elsewhere share.
    host_socket: Option<RtSocket>,
}

/// Requests, each with the change that it belongs to and what it does for it.
type Requests<'a> = Vec<(&'a Change, Part, Request)>;

impl<'a> Step<'_, 'a> {
    /// Sends requests; `done` is passed once they are carried out.
    fn send(&mut self, requests: Requests<'a>, done: Point) -> Result<()> {
        self.send_from(false, requests, done)
    }

    /// The same, from the namespace of the host where `host` says so.
    fn send_from(&mut self, host: bool, requests: Requests<'a>, done: Point) -> Result<()> {
        if requests.is_empty() {
            return Ok(());
        }
        let mut parts = Vec::with_capacity(requests.len());
        let mut messages = Vec::with_capacity(requests.len());
        for (change, part, request) in requests {
            parts.push((change, part));
            messages.push(request);
        }
        let outcomes = if host { self.host_socket()?.batch(messages) } else { self.socket()?.batch(messages) };
        let mut failures = Vec::new();
        for ((change, part), outcome) in parts.into_iter().zip(outcomes) {
            let outcome = match outcome {
                Err(refusal) => self.second_try(change, refusal),
                done => done,
            };
            match outcome {
                Ok(()) => self.run.ledger.enter(change, part),
                // Deleting what is gone is done.
                Err(refusal) if part == Part::Removal && is_gone(&refusal) => {}
                // One that only waits for its deletion may have gone: with its group, its namespace or by other hands.
                Err(refusal) if change.retires_link() && is_gone(&refusal) => {}
                // A port without carrier stays closed whatever it is told, and opens when it gets one.
                Err(refusal) if part == Part::PortState && refusal.errno == libc::ENETDOWN => {}
                Err(refusal) => failures.push((change, refusal)),
            }
        }
        // The kernel goes on after a refusal, so that only now it is known what must be undone.
        hit(done);
        for (change, refusal) in failures {
            self.run.fail(refuse(change, refusal))?;
        }
        Ok(())
    }

    fn socket(&mut self) -> Result<&mut RtSocket> {
        match &mut self.socket {
            Some(socket) => Ok(socket),
            slot => Ok(slot.insert(RtSocket::open()?)),
        }
    }

    fn host_socket(&mut self) -> Result<&mut RtSocket> {
        match &mut self.host_socket {
            Some(socket) => Ok(socket),
            slot => Ok(slot.insert(self.run.linux.host.enter(RtSocket::open)??)),
        }
    }

    /// Asks in other words where the kernel refused for a reason that is none; the refusal stands otherwise.
    fn second_try(&mut self, change: &'a Change, refusal: Refusal) -> std::result::Result<(), Refusal> {
        let request = match (change, change.value()) {
            (_, Value::Link(new)) if made_link(change).is_some() && refusal.errno == libc::EEXIST => {
                return self.beside_a_namesake(change.place(), new).unwrap_or(Err(refusal));
            }
            (_, Value::Link(new))
                if made_link(change).is_some() && new.kind == LinkKind::Dummy && refusal.errno == libc::EOPNOTSUPP =>
            {
                let master = new.master.as_deref().and_then(|master| index(master).ok().flatten());
                Some(link::create_drain(new, master))
            }
            // A link without IPv6 (see `sysctl::set`) has no setting that keeps it from a link-local address.
            (_, Value::Link(link))
                if refusal.errno == libc::EAFNOSUPPORT
                    && made_link(change).is_some()
                    && self.run.ledger.has_made(change) =>
            {
                Some(link::set(&link.name, link::Settings { no_link_local: false, ..after_creation(link) }))
            }
            (Change::Create(..) | Change::Update { .. }, value @ (Value::Neighbour(_) | Value::Fdb(_)))
                if refusal.errno == libc::EEXIST =>
            {
                self.replacement(value).ok().flatten()
            }
            _ => None,
        };
        match (request, &mut self.socket) {
            (Some(request), Some(socket)) => socket.batch(vec![request]).remove(0),
            _ => Err(refusal),
        }
    }

    /// The request that puts an entry in place of one that the kernel learnt; none where somebody set that.
    fn replacement(&mut self, value: &Value) -> Result<Option<Request>> {
        let Some(index) = value.link().map(index).transpose()?.flatten() else { return Ok(None) };
        let (family, lasting, names, request) = match value {
            Value::Neighbour(wanted) => (
                address::family(wanted.address),
                NeighbourState::Permanent,
                NeighbourAttribute::Destination(wanted.address.into()),
                address::create_neighbour(wanted, index),
            ),
            Value::Fdb(wanted) if wanted.remote.is_none() => (
                AddressFamily::Bridge,
                NeighbourState::Noarp,
                NeighbourAttribute::LinkLayerAddress(wanted.mac.0.to_vec()),
                address::create_fdb(wanted, index),
            ),
            _ => return Ok(None),
        };
        let entries = rtnl::observe::neighbours(self.socket()?, family)?;
        let in_the_way = |entry: &NeighbourMessage| {
            let state = entry.header.state;
            entry.attributes.contains(&names)
                && (entry.header.ifindex == index || family == AddressFamily::Bridge)
                && !entry.header.flags.contains(NeighbourFlags::Own)
                && (state == lasting || state == NeighbourState::Permanent)
        };
        Ok((!entries.iter().any(in_the_way)).then(|| address::replace(request)))
    }

    /// What goes: contents of links before links, addresses last, because the kernel takes routes along
    /// with them, in the opposite order of their making, because it takes later ones of a subnet along with
    /// the first; and links before those they depend on.
    fn removals(&mut self, changes: &[&'a Change]) -> Result<()> {
        let mut contents: Requests<'a> = Vec::new();
        let mut links: Requests<'a> = Vec::new();
        let mut other_ends = Vec::new();
        for change in changes {
            let (place, value) = match change {
                Change::Delete(place, value) => (place, value),
                Change::Update { place, from, .. } if replaces(change) => (place, from),
                _ => continue,
            };
            match value {
                Value::Link(gone) if replaces(change) => {
                    links.push((change, Part::Removal, link::delete(&gone.name)));
                }
                Value::Link(Link { kind: LinkKind::Loopback, .. }) => {}
                Value::Link(Link { kind: LinkKind::VethPeer, .. }) => other_ends.push(change),
                Value::Link(gone) => links.push((change, Part::Removal, link::delete(&gone.name))),
                Value::Sysctl(setting) => {
                    let of_removed = setting.link().is_some_and(|link| self.run.ledger.has_removed_link(place, link));
                    let restored = sysctl::restore(setting);
                    hit(Point::SettingRestored);
                    match restored {
                        Ok(existed) if existed || of_removed => self.run.ledger.enter(change, Part::Removal),
                        Ok(_) => {}
                        Err(error) => self.run.fail(error)?,
                    }
                }
                Value::Table(_) | Value::Element(_) | Value::Passage(_) => {}
                value => match content(value, false)? {
                    Some(request) => contents.push((change, Part::Removal, request)),
                    // A link that has gone took its contents along.
                    None if value.link().is_some_and(|link| self.run.ledger.has_removed_link(place, link)) => {
                        self.run.ledger.enter(change, Part::Removal);
                    }
                    None => {}
                },
            }
        }
        contents.reverse();
        contents.sort_by_key(|(change, ..)| matches!(change.value(), Value::Address(_)));
        links.sort_by_key(|(change, ..)| std::cmp::Reverse(link_rank(change)));
        self.send(contents, Point::ContentsRemoved)?;
        self.send(links, Point::LinksRemoved)?;
        for change in other_ends {
            if let Value::Link(link) = change.value()
                && self.run.ledger.has_removed_link(change.place(), &link.name)
            {
                self.run.ledger.enter(change, Part::Removal);
            }
        }
        Ok(())
    }

    /// What other firewalls are asked for. A network is whole without it, so that a firewall which does not answer
    /// keeps nothing from being made or removed; the next comparison asks again.
    fn passages(&mut self, changes: &[&'a Change]) {
        for change in changes {
            let (done, part) = match change {
                Change::Create(_, Value::Passage(passage)) => (passage::open(passage), Part::Making),
                Change::Delete(_, Value::Passage(passage)) => (passage::close(passage), Part::Removal),
                _ => continue,
            };
            match done {
                Ok(()) => self.run.ledger.enter(change, part),
                Err(error) => tracing::warn!(%error, %change, "another firewall could not be asked"),
            }
        }
    }

    fn settings(&mut self, changes: &[&'a Change]) -> Result<()> {
        for change in changes {
            if let Change::Create(_, Value::Sysctl(setting)) | Change::Update { to: Value::Sysctl(setting), .. } =
                change
            {
                let set = sysctl::set(setting);
                hit(Point::Setting);
                match set {
                    Ok(()) => self.run.ledger.enter(change, Part::Making),
                    Err(error) => self.run.fail(error)?,
                }
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
                    if !matches!(
                        to,
                        Value::Link(_) | Value::Sysctl(_) | Value::Table(_) | Value::Element(_) | Value::Passage(_)
                    ) && let Some(removal) = content(from, false)?
                    {
                        first.push((change, Part::Removal, removal));
                    }
                    to
                }
                Change::Delete(..) => continue,
            };
            match value {
                Value::Link(_) => {
                    if let Some(new) = made_link(change).filter(|new| !comes_up_at_once(new)) {
                        let settings = coming_up(new, change.place(), self.run.plan);
                        up.push((change, Part::Making, link::set(&new.name, settings)));
                    }
                }
                Value::Sysctl(_) | Value::Table(_) | Value::Element(_) | Value::Passage(_) => {}
                value => {
                    let Some(request) = content(value, true)? else {
                        let what = format!("cannot make {value}: its link does not exist");
                        self.run.fail(Error::not_found(what))?;
                        continue;
                    };
                    let list = if matches!(value, Value::Address(_)) { &mut first } else { &mut last };
                    list.push((change, Part::Making, request));
                }
            }
        }
        // A next hop may be reached by another route of the plan.
        last.sort_by_key(|(change, ..)| matches!(change.value(), Value::Route(route) if route.gateway.is_some()));
        first.append(&mut up);
        first.append(&mut last);
        self.send(first, Point::ContentsMade)
    }
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
        Value::Link(_) | Value::Sysctl(_) | Value::Table(_) | Value::Element(_) | Value::Passage(_) => None,
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
