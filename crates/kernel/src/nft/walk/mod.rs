//! What a ruleset does with a packet: the rules as the kernel lists them, walked as the kernel walks them. What the walk
//! does not understand (marks, limits, foreign extensions) is not guessed: what hangs on it *may* happen.

mod field;
mod legacy;
mod rule;

pub(crate) use legacy::{Legacy, LegacyRule};

use super::field::FieldType;
use crabtables::{
    Family, Ruleset,
    lang::ast::{BaseChain, Chain, Elem, Table, TableItem},
    lang::decompile,
};
use linkspan_model::MacAddr;
use std::{collections::HashMap, fmt, net::IpAddr};

/// The type `integer` of nftables, of any length.
const BYTES: u32 = 4;

/// The rules of a namespace.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    tables: Vec<Table>,
    legacy: Vec<Legacy>,
}

/// Where in the kernel a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Just come in.
    Prerouting,
    /// For the namespace itself.
    Input,
    /// On its way through.
    Forward,
    /// Begun here.
    Output,
    /// About to leave.
    Postrouting,
}

impl Hook {
    fn name(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
        }
    }
}

/// The first packet of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The interface it came in by.
    pub incoming: Option<String>,
    /// Where that is a VRF: the interface of the VRF that it came in by.
    pub slave: Option<String>,
    /// The interface it leaves by.
    pub outgoing: Option<String>,
    /// Who sends it, where that is known.
    pub mac: Option<MacAddr>,
    /// Its source; none where it could be anybody's.
    pub source: Option<IpAddr>,
    /// Its destination.
    pub destination: IpAddr,
    /// Its protocol by number.
    pub protocol: u8,
    /// Its destination port.
    pub port: Option<u16>,
    /// The destination is an address of the namespace itself.
    pub local: bool,
    /// Its destination was translated on the way.
    pub translated: bool,
}

/// Who decided something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Decision {
    /// Family and name of the table.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// The rule, as `nft` writes it; `policy drop` where no rule decided.
    pub rule: String,
    /// The element that decided, with its comment, where the rule looks something up.
    pub element: Option<String>,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {} chain {}: {}", self.table, self.chain, self.rule)?;
        self.element.as_ref().map_or(Ok(()), |element| write!(f, " ({element})"))
    }
}

/// How a packet passed a hook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// What stops it.
    pub stopped: Option<Decision>,
    /// What lets it pass explicitly, the last such.
    pub accepted: Option<Decision>,
    /// What may stop it.
    pub may_stop: Vec<Decision>,
    /// Where its destination is led to instead.
    pub translated: Option<(IpAddr, Option<u16>, Decision)>,
    /// The next hop that it is sent to as a copy, in place of going on.
    pub copied: Option<(IpAddr, Decision)>,
    /// What gives it another source.
    pub source_changed: Option<Decision>,
}

impl Rules {
    /// What the kernel holds.
    pub(crate) fn of(ruleset: &Ruleset, legacy: Vec<Legacy>) -> Self {
        let mut ruleset = super::canon::plain(ruleset);
        ruleset.rules.iter_mut().for_each(super::extension::say_natively);
        // Of data that is an address and a port the library shows the address alone; of bytes it shows all.
        for (set, _) in &mut ruleset.sets {
            if matches!(set.data_type.and_then(FieldType::list).as_deref(), Some([_, FieldType::Port])) {
                (set.data_type, set.userdata) = (Some(BYTES), None);
            }
        }
        Self { tables: decompile::ruleset(&ruleset), legacy }
    }

    /// What happens to `packet` at `hook`, of the rules for IP or, with `bridged`, for frames of bridges.
    pub fn pass(&self, hook: Hook, packet: &Packet, bridged: bool) -> Passed {
        let mut passed = Passed::default();
        let version = if packet.destination.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        let mut chains: Vec<(i32, &Table, &Chain, &BaseChain)> = Vec::new();
        for table in &self.tables {
            let concerned = if bridged {
                table.family == Family::Bridge
            } else {
                table.family == Family::Inet || table.family == version
            };
            if !concerned || table.flags.iter().any(|flag| flag == "dormant") {
                continue;
            }
            for item in &table.items {
                if let TableItem::Chain(chain) = item
                    && let Some(base) = chain.base.as_ref().filter(|base| base.hook == hook.name())
                {
                    chains.push((priority(base, bridged), table, chain, base));
                }
            }
        }
        chains.sort_by_key(|(priority, ..)| *priority);
        for (_, table, chain, base) in chains {
            // A connection is translated once at a hook.
            let done = match hook {
                Hook::Postrouting | Hook::Input => passed.source_changed.is_some(),
                _ => passed.translated.is_some(),
            };
            if base.ty == "nat" && done {
                continue;
            }
            rule::Walk::new(table, packet, &mut passed).base(chain, base);
            if passed.stopped.is_some() {
                break;
            }
        }
        // What it does beside nf_tables is filtering alone, at priority 0; which of two stops a packet first matters to nobody.
        let v4 = packet.destination.is_ipv4();
        for chain in self.legacy.iter().filter(|chain| !bridged && chain.hook == hook && chain.v4 == v4) {
            if passed.stopped.is_none() {
                chain.pass(packet, &mut passed);
            }
        }
        passed.may_stop.sort();
        passed.may_stop.dedup();
        passed
    }
}

/// The number that a base chain's place in the order stands for.
fn priority(base: &BaseChain, bridged: bool) -> i32 {
    let named = match (base.priority.name.as_deref(), bridged) {
        (Some("raw"), _) => -300,
        (Some("mangle"), _) => -150,
        (Some("dstnat"), false) => -100,
        (Some("dstnat"), true) => -300,
        (Some("filter"), true) => -200,
        (Some("security"), _) => 50,
        (Some("srcnat"), false) => 100,
        (Some("srcnat"), true) => 300,
        (Some("out"), true) => 100,
        _ => 0,
    };
    named + base.priority.offset
}

/// The chains and sets of a table by name.
struct Names<'a> {
    chains: HashMap<&'a str, &'a Chain>,
    sets: HashMap<&'a str, &'a [Elem]>,
}

impl<'a> Names<'a> {
    fn of(table: &'a Table) -> Self {
        let mut names = Self { chains: HashMap::new(), sets: HashMap::new() };
        for item in &table.items {
            match item {
                TableItem::Chain(chain) => drop(names.chains.insert(&chain.name, chain)),
                TableItem::Set(set) => {
                    names.sets.insert(&set.name, set.elements.as_deref().unwrap_or_default());
                }
                _ => {}
            }
        }
        names
    }
}
