//! `iptables` and `ip6tables` on nf_tables, whose tables are `filter` of the families `ip` and `ip6`. Docker and ufw set the
//! policy of their chain `FORWARD` to drop; others (firewalld's iptables back end, iptables-services) end it with a `REJECT` of
//! everything. Two rules at its end, or before that one, let pass what no rule before them dropped: whatever the
//! administrator forbids there stays forbidden. They are written as iptables itself writes them, so that its own tools list them.

use super::{compares, name};
use crate::nft::extension::is_extension;
use crabtables::{
    Batch, Chain, CmpOp, Data, Expr, Family, MetaKey, Policy, Reg, Rule, Socket, Verdict,
    expr::{Cmp, Counter, Immediate, Meta},
    udata,
};
use linkspan_model::{Error, Result};

const TABLE: &str = "filter";
const CHAIN: &str = "FORWARD";
/// Says whose the rules are to whoever lists them.
const COMMENT: &str = "linkspan";
/// A rule for what comes from a network, one for what goes to it.
const DIRECTIONS: [MetaKey; 2] = [MetaKey::IifName, MetaKey::OifName];

/// The chains that are there, and our rules in them.
pub(super) struct Chains(Vec<Found>);

struct Found {
    family: Family,
    /// Its policy is to drop.
    drops: bool,
    /// The handle of the `REJECT` of everything that ends it.
    closing: Option<u64>,
    /// Our rules that come before that one, and those that do not.
    ours: Vec<Rule>,
    late: Vec<Rule>,
}

impl Chains {
    pub(super) fn read(socket: &mut Socket) -> Result<Self> {
        let mut chains = Vec::new();
        for family in [Family::Ipv4, Family::Ipv6] {
            let chain: Chain = match socket.get_chain(family, TABLE, CHAIN) {
                Ok(chain) => chain,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(failed(family, &error)),
            };
            let rules = socket.list_rules(family, Some(TABLE), Some(CHAIN)).map_err(|error| failed(family, &error))?;
            let in_chain = |rule: &Rule| rule.family == family && rule.table == TABLE && rule.chain == CHAIN;
            let is_ours = |rule: &Rule| rule.comment() == Some(COMMENT);
            let rules: Vec<Rule> = rules.into_iter().filter(in_chain).collect();
            let last = rules.iter().rposition(|rule| !is_ours(rule)).filter(|at| rejects_everything(&rules[*at]));
            let closing = last.and_then(|at| rules[at].handle);
            let before = rules[..last.unwrap_or(rules.len())].iter().filter(|rule| is_ours(rule)).cloned().collect();
            let behind = rules[last.unwrap_or(rules.len())..].iter().filter(|rule| is_ours(rule)).cloned().collect();
            let drops = chain.policy == Some(Policy::Drop);
            chains.push(Found { family, drops, closing, ours: before, late: behind });
        }
        Ok(Self(chains))
    }

    /// The rules that would have to be added.
    pub(super) fn missing<'a>(&'a self, interfaces: &'a str) -> impl Iterator<Item = Rule> + 'a {
        let dropping = self.0.iter().filter(|found| found.drops || found.closing.is_some());
        dropping.flat_map(move |found| {
            let lacking = DIRECTIONS
                .into_iter()
                .filter(move |key| !found.ours.iter().any(|rule| compares(rule, *key, interfaces)));
            lacking.map(move |key| accept(found, key, interfaces))
        })
    }

    pub(super) fn add(&self, socket: &mut Socket, interfaces: &str) -> Result<()> {
        let mut batch = Batch::new();
        for rule in self.missing(interfaces) {
            if rule.position.is_some() {
                batch.insert_rule(&rule);
            } else {
                batch.add_rule(&rule);
            }
        }
        commit(socket, &batch)
    }

    pub(super) fn remove(&self, socket: &mut Socket, interfaces: &str) -> Result<()> {
        let mut batch = Batch::new();
        for rule in self.0.iter().flat_map(|found| found.ours.iter().chain(&found.late)) {
            if DIRECTIONS.into_iter().any(|key| compares(rule, key, interfaces))
                && let Some(handle) = rule.handle
            {
                batch.delete_rule(rule.family, TABLE, CHAIN, handle);
            }
        }
        match socket.commit(&batch) {
            Err(error) if error.is_not_found() => Ok(()),
            _ if batch.is_empty() => Ok(()),
            done => done.map(drop).map_err(|error| failed(Family::Ipv4, &error)),
        }
    }
}

fn commit(socket: &mut Socket, batch: &Batch) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    socket.commit(batch).map(drop).map_err(|error| failed(Family::Ipv4, &error))
}

/// Whether a rule looks at nothing and rejects, by iptables' own target or as newer ones write it.
fn rejects_everything(rule: &Rule) -> bool {
    let (mut rejects, mut plain) = (false, true);
    for expr in &rule.exprs {
        match expr {
            Expr::Counter(_) => {}
            Expr::Reject(_) => rejects = true,
            expr if is_extension(expr, "target", "REJECT") => rejects = true,
            expr if is_extension(expr, "match", "comment") => {}
            _ => plain = false,
        }
    }
    rejects && plain
}

fn accept(found: &Found, key: MetaKey, interfaces: &str) -> Rule {
    let mut rule = Rule::new(found.family, TABLE, CHAIN);
    rule.position = found.closing;
    rule.exprs = vec![
        Expr::Meta(Meta { dreg: Some(Reg::R1), key, sreg: None }),
        Expr::Cmp(Cmp { sreg: Reg::R1, op: CmpOp::Eq, data: name(interfaces) }),
        Expr::Counter(Counter { bytes: 0, packets: 0 }),
        Expr::Immediate(Immediate { dreg: Reg::VERDICT, data: Data::Verdict(Verdict::Accept) }),
    ];
    rule.userdata = Some(udata::comment(COMMENT));
    rule
}

fn failed(family: Family, error: &crabtables::Error) -> Error {
    let tool = if family == Family::Ipv6 { "ip6tables" } else { "iptables" };
    Error::internal(format!("chain {CHAIN} of {tool}: {error}"))
}
