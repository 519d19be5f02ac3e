//! `iptables` and `ip6tables` on nf_tables, whose tables are `filter` of the families `ip` and `ip6`. Docker and ufw set the
//! policy of their chain `FORWARD` to drop. Two rules at its end let pass what no rule before them dropped: whatever the
//! administrator forbids there stays forbidden. They are written as iptables itself writes them, so that its own tools list them.

use super::{compares, name};
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
    drops: bool,
    ours: Vec<Rule>,
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
            let ours = rules.into_iter().filter(|rule| {
                rule.family == family && rule.table == TABLE && rule.chain == CHAIN && rule.comment() == Some(COMMENT)
            });
            chains.push(Found { family, drops: chain.policy == Some(Policy::Drop), ours: ours.collect() });
        }
        Ok(Self(chains))
    }

    /// The rules that would have to be added.
    pub(super) fn missing<'a>(&'a self, interfaces: &'a str) -> impl Iterator<Item = Rule> + 'a {
        let dropping = self.0.iter().filter(|found| found.drops);
        dropping.flat_map(move |found| {
            let lacking = DIRECTIONS
                .into_iter()
                .filter(move |key| !found.ours.iter().any(|rule| compares(rule, *key, interfaces)));
            lacking.map(move |key| accept(found.family, key, interfaces))
        })
    }

    pub(super) fn add(&self, socket: &mut Socket, interfaces: &str) -> Result<()> {
        let mut batch = Batch::new();
        for rule in self.missing(interfaces) {
            batch.add_rule(&rule);
        }
        commit(socket, &batch)
    }

    pub(super) fn remove(&self, socket: &mut Socket, interfaces: &str) -> Result<()> {
        let mut batch = Batch::new();
        for rule in self.0.iter().flat_map(|found| &found.ours) {
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

fn accept(family: Family, key: MetaKey, interfaces: &str) -> Rule {
    let mut rule = Rule::new(family, TABLE, CHAIN);
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
