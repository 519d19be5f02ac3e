use super::{
    Decision, Names, Packet, Passed,
    field::{Field, Of, any, text},
};
use crabtables::lang::{
    ast::{BaseChain, Chain, Elem, Expr, NatKind, RelOp, Rule, Stmt, Table, Value, Verdict},
    print,
};
use linkspan_model::PortRange;
use std::net::IpAddr;

/// How deep chains call each other at most (NFT_JUMP_STACK_SIZE).
const DEPTH: usize = 16;

/// How a chain ends.
enum End {
    /// The base chain is left: the packet passes, or is stopped.
    Decided,
    /// The calling chain goes on.
    Back,
}

/// A packet in a table.
pub(super) struct Walk<'a, 'p> {
    table: &'a Table,
    names: Names<'a>,
    packet: &'p Packet,
    passed: &'p mut Passed,
    /// Something that cannot be told may have let the packet leave the base chain already.
    unsure: bool,
}

impl<'a, 'p> Walk<'a, 'p> {
    pub(super) fn new(table: &'a Table, packet: &'p Packet, passed: &'p mut Passed) -> Self {
        Self { table, names: Names::of(table), packet, passed, unsure: false }
    }

    /// Walks a base chain to its end.
    pub(super) fn base(mut self, chain: &'a Chain, base: &BaseChain) {
        if matches!(self.chain(chain, DEPTH), End::Back) && base.policy.as_deref() == Some("drop") {
            let decision = self.decision(chain, "policy drop".to_owned(), None);
            self.stop(decision);
        }
    }

    fn decision(&self, chain: &Chain, rule: String, element: Option<String>) -> Decision {
        Decision {
            table: format!("{} {}", self.table.family, self.table.name),
            chain: chain.name.clone(),
            rule,
            element,
        }
    }

    fn stop(&mut self, decision: Decision) {
        if self.unsure {
            self.passed.may_stop.push(decision);
        } else {
            self.passed.stopped = Some(decision);
        }
    }

    fn chain(&mut self, chain: &'a Chain, depth: usize) -> End {
        for rule in &chain.rules {
            match self.rule(chain, rule, depth) {
                None => {}
                Some(end) => return end,
            }
        }
        End::Back
    }

    /// One rule; none where the next one is looked at.
    fn rule(&mut self, chain: &'a Chain, rule: &'a Rule, depth: usize) -> Option<End> {
        let opts = print::Opts { stateless: true, ..print::Opts::default() };
        let says = || print::rule(rule, self.table.family, &opts);
        let mut element = None;
        let mut sure = true;
        let mut copy = None;
        for stmt in &rule.stmts {
            match stmt {
                Stmt::Match { left, op, right } => match self.matches(left, *op, right, &mut element) {
                    Some(true) => {}
                    Some(false) => return None,
                    None => sure = false,
                },
                Stmt::Dup { addr: Some(next_hop), .. } => copy = text(next_hop).parse().ok(),
                // A copy that goes on for a packet that does not.
                Stmt::Verdict(Verdict::Drop) if sure && !self.unsure && copy.is_some() => {
                    let decision = self.decision(chain, says(), element);
                    self.passed.copied = copy.map(|next_hop| (next_hop, decision));
                    return Some(End::Decided);
                }
                Stmt::Verdict(verdict) => {
                    let decision = self.decision(chain, says(), element);
                    return self.verdict(verdict, decision, sure, depth);
                }
                Stmt::Vmap { key, map } => {
                    let Some(found) = self.find(key, map) else {
                        sure = false;
                        continue;
                    };
                    let found = found?;
                    let Some(Expr::Verdict(verdict)) = &found.data else { continue };
                    let decision = self.decision(chain, says(), Some(describe(map, found)));
                    return self.verdict(verdict, decision, sure, depth);
                }
                Stmt::Reject { .. } => {
                    let decision = self.decision(chain, says(), element);
                    return self.verdict(&Verdict::Drop, decision, sure, depth);
                }
                Stmt::Nat { kind, family, addr, port, .. } => {
                    // What `nft` leaves out when it lists: a translation of IPv4 is for packets of IPv4.
                    let other = if self.packet.destination.is_ipv4() { "ip6" } else { "ip" };
                    if family.as_deref() == Some(other) {
                        return None;
                    }
                    let Some(target) = self.target(addr.as_ref(), port.as_ref(), &mut element) else {
                        // The lookup gave nothing: the rule is not for this packet.
                        return None;
                    };
                    if !sure {
                        self.unsure = true;
                        return None;
                    }
                    let decision = self.decision(chain, says(), element);
                    match (kind, target) {
                        (NatKind::Dnat, (Some(address), port)) => {
                            self.passed.translated = Some((address, port, decision));
                        }
                        (NatKind::Snat | NatKind::Masquerade, _) => self.passed.source_changed = Some(decision),
                        _ => self.unsure = true,
                    }
                    return Some(End::Decided);
                }
                Stmt::Limit(_) | Stmt::Quota(_) | Stmt::Connlimit { .. } | Stmt::Opaque(_) => sure = false,
                Stmt::Queue { .. } | Stmt::Fwd { .. } | Stmt::Tproxy { .. } | Stmt::Synproxy { .. } => {
                    self.unsure = true;
                    return None;
                }
                _ => {}
            }
        }
        None
    }

    fn verdict(&mut self, verdict: &'a Verdict, decision: Decision, sure: bool, depth: usize) -> Option<End> {
        match verdict {
            Verdict::Continue => None,
            Verdict::Drop if sure => {
                self.stop(decision);
                Some(End::Decided)
            }
            Verdict::Drop => {
                self.passed.may_stop.push(decision);
                None
            }
            Verdict::Accept if sure => {
                if !self.unsure {
                    self.passed.accepted = Some(decision);
                }
                Some(End::Decided)
            }
            Verdict::Return if sure => Some(End::Back),
            Verdict::Jump(name) | Verdict::Goto(name) if depth > 0 => {
                let target = self.names.chains.get(name.as_str()).copied()?;
                if !sure {
                    // Whatever the chain decides only may happen.
                    let before = std::mem::replace(&mut self.unsure, true);
                    let _ = self.chain(target, depth - 1);
                    self.unsure |= before;
                    return None;
                }
                match (self.chain(target, depth - 1), verdict) {
                    (End::Back, Verdict::Jump(_)) => None,
                    (end, _) => Some(end),
                }
            }
            _ => {
                self.unsure = true;
                None
            }
        }
    }

    /// Whether a match holds; none where that cannot be told. `element` is set to what a set held.
    fn matches(&self, left: &Expr, op: RelOp, right: &'a Expr, element: &mut Option<String>) -> Option<bool> {
        let fields = match Of::look_up(left, self.packet) {
            Of::Nothing => return Some(false),
            Of::Unknown => return None,
            Of::Fields(fields) => fields,
        };
        let found = match right {
            Expr::Set(_) | Expr::SetRef(_) => {
                let found = self.search(&fields, right)?;
                if let (Some(found), Expr::SetRef(_)) = (found, right) {
                    *element = Some(describe(right, found));
                }
                found.is_some()
            }
            _ => covers(&fields, right)?,
        };
        match op {
            RelOp::Implicit | RelOp::Eq => Some(found),
            RelOp::Neq => Some(!found),
            _ => None,
        }
    }

    /// The element of `set` for `key` of the packet; none where it cannot be told whether there is one.
    fn find(&self, key: &Expr, set: &'a Expr) -> Option<Option<&'a Elem>> {
        match Of::look_up(key, self.packet) {
            Of::Nothing => Some(None),
            Of::Unknown => None,
            Of::Fields(fields) => self.search(&fields, set),
        }
    }

    fn search(&self, fields: &[Field], set: &'a Expr) -> Option<Option<&'a Elem>> {
        let elems: &'a [Elem] = match set {
            Expr::Set(elems) => elems,
            Expr::SetRef(name) => self.names.sets.get(name.as_str())?,
            _ => return None,
        };
        let mut unknown = false;
        for elem in elems {
            match elem.key.as_ref().map_or(Some(false), |key| covers(fields, key)) {
                Some(true) => return Some(Some(elem)),
                Some(false) => {}
                None => unknown = true,
            }
        }
        (!unknown).then_some(None)
    }

    /// Where a translation leads: address and port, as far as they are said. None where a lookup gives nothing.
    fn target(
        &self,
        address: Option<&'a Expr>,
        port: Option<&'a Expr>,
        element: &mut Option<String>,
    ) -> Option<(Option<IpAddr>, Option<u16>)> {
        let one_port = |expr: &Expr| text(expr).parse::<PortRange>().ok().map(|ports| ports.first);
        match address {
            Some(Expr::Map(key, map)) => {
                let found = self.find(key, map)??;
                *element = Some(describe(map, found));
                let data = found.data.as_ref()?;
                Some(both_in(data).unwrap_or_else(|| (text(data).parse().ok(), None)))
            }
            Some(value) => Some((text(value).parse().ok(), port.and_then(one_port))),
            None => Some((None, port.and_then(one_port))),
        }
    }
}

/// Whether `fields` are, or lie in, `pattern`; none where that cannot be told.
fn covers(fields: &[Field], pattern: &Expr) -> Option<bool> {
    let patterns: &[Expr] = match pattern {
        Expr::Concat(parts) => parts,
        one => std::slice::from_ref(one),
    };
    if patterns.len() != fields.len() {
        return None;
    }
    any(fields.iter().zip(patterns).map(|(field, pattern)| field.is(pattern).map(|is| !is))).map(|misses| !misses)
}

/// Address and port in data of both, which are bytes in a row.
fn both_in(data: &Expr) -> Option<(Option<IpAddr>, Option<u16>)> {
    let Expr::Value(Value::Typed { bytes, .. }) = data else { return None };
    let (address, port) = match bytes.len() {
        8 => (<[u8; 4]>::try_from(&bytes[..4]).ok().map(IpAddr::from), &bytes[4..6]),
        20 => (<[u8; 16]>::try_from(&bytes[..16]).ok().map(IpAddr::from), &bytes[16..18]),
        _ => return None,
    };
    Some((address, port.try_into().ok().map(u16::from_be_bytes)))
}

/// An element as people find it in the set.
fn describe(set: &Expr, elem: &Elem) -> String {
    let name = match set {
        Expr::SetRef(name) => format!("@{name}"),
        _ => "set".to_owned(),
    };
    let key = elem.key.as_ref().map(text).unwrap_or_default();
    match &elem.comment {
        Some(comment) => format!("{name} {key} \"{comment}\""),
        None => format!("{name} {key}"),
    }
}
