//! What other firewalls of the host are asked for. In nf_tables a packet must get past every chain at a hook, so that what
//! our own table lets pass is still lost where another drops whatever it has no rule for. Each is asked in the way that it
//! offers for this, only where it would drop, and only for our own interfaces.

mod firewalld;
mod iptables;

use super::{legacy, nft::with_socket};
use crate::{
    Passage,
    nft::walk::{Hook, Legacy},
};
use crabtables::{CmpOp, Expr, MetaKey, Rule, expr::Cmp};
use linkspan_model::{Error, Result};

/// Which of `passages` need nothing, or have it already.
pub(super) fn seen<'a>(passages: &[&'a Passage]) -> Result<Vec<&'a Passage>> {
    if passages.is_empty() {
        return Ok(Vec::new());
    }
    with_socket(|socket| {
        let chains = iptables::Chains::read(socket)?;
        let zones = firewalld::Zones::read(socket)?;
        let legacy = legacy::chains()?;
        let open = |passage: &&&Passage| {
            let interfaces = &passage.interfaces;
            chains.missing(interfaces).next().is_none()
                && !zones.lack(interfaces)
                && stuck(&legacy, interfaces).is_none()
        };
        Ok(passages.iter().filter(open).copied().collect())
    })
}

/// Asks for what is missing.
pub(super) fn open(passage: &Passage) -> Result<()> {
    let lacks = with_socket(|socket| {
        iptables::Chains::read(socket)?.add(socket, &passage.interfaces)?;
        Ok(firewalld::Zones::read(socket)?.lack(&passage.interfaces))
    })?;
    if lacks {
        firewalld::trust(&passage.interfaces)?;
    }
    match stuck(&legacy::chains()?, &passage.interfaces) {
        Some(tool) => Err(unreadable(tool, &passage.interfaces)),
        None => Ok(()),
    }
}

/// What nobody but the administrator can change.
pub(super) fn obstacles(passages: &[&Passage]) -> Result<Vec<Error>> {
    let chains = legacy::chains()?;
    let found = |passage: &&Passage| Some(unreadable(stuck(&chains, &passage.interfaces)?, &passage.interfaces));
    Ok(passages.iter().filter_map(found).collect())
}

/// The iptables of the old kind whose chain `FORWARD` drops what it has no rule for, and has none for `interfaces`.
fn stuck(chains: &[Legacy], interfaces: &str) -> Option<&'static str> {
    let stops = chains.iter().find(|chain| chain.hook == Hook::Forward && !chain.lets_pass(interfaces))?;
    Some(if stops.v4 { "iptables-legacy" } else { "ip6tables-legacy" })
}

fn unreadable(tool: &str, interfaces: &str) -> Error {
    let name = interfaces.replace('*', "+");
    Error::unsupported(format!(
        "chain FORWARD of {tool} stops what is forwarded from and to {interfaces}, and linkspan changes no such rules"
    ))
    .fix(format!(
        "`{tool} -A FORWARD -i {name} -j ACCEPT; {tool} -A FORWARD -o {name} -j ACCEPT`, or use iptables on nf_tables"
    ))
}

/// Takes back what was asked for.
pub(super) fn close(passage: &Passage) -> Result<()> {
    let runs = with_socket(|socket| {
        iptables::Chains::read(socket)?.remove(socket, &passage.interfaces)?;
        Ok(firewalld::Zones::read(socket)?.are_there())
    })?;
    if runs { firewalld::distrust(&passage.interfaces) } else { Ok(()) }
}

/// What the name of an interface is compared with: whole with its NUL, or the beginning alone, as iptables has it.
fn name(interfaces: &str) -> Vec<u8> {
    match interfaces.strip_suffix('*') {
        Some(prefix) => prefix.as_bytes().to_vec(),
        None => [interfaces.as_bytes(), &[0]].concat(),
    }
}

/// Whether a rule begins by comparing the interface that `key` stands for with exactly this.
fn compares(rule: &Rule, key: MetaKey, interfaces: &str) -> bool {
    let trimmed = |data: &[u8]| {
        let end = data.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        // What follows the first NUL is padding.
        (data[..end].to_vec(), data.len() > end)
    };
    let wanted = trimmed(&name(interfaces));
    matches!(rule.exprs.as_slice(), [Expr::Meta(meta), Expr::Cmp(Cmp { op: CmpOp::Eq, data, .. }), ..]
        if meta.key == key && trimmed(data) == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crabtables::{Family, Reg};

    #[test]
    fn names_are_compared_as_iptables_and_nft_write_them() {
        let rule = |data: &[u8]| {
            let mut rule = Rule::new(Family::Ipv4, "filter", "FORWARD");
            rule.exprs.push(Expr::Meta(crabtables::expr::Meta {
                dreg: Some(Reg::R1),
                key: MetaKey::IifName,
                sreg: None,
            }));
            rule.exprs.push(Expr::Cmp(Cmp { sreg: Reg::R1, op: CmpOp::Eq, data: data.to_vec() }));
            rule
        };
        for (data, interfaces, same) in [
            (&b"ls-"[..], "ls-*", true),
            (b"ls-\0", "ls-*", false),
            (b"br0\0", "br0", true),
            (b"br0\0\0\0\0\0\0\0\0\0\0\0\0\0", "br0", true),
            (b"br0", "br0", false),
            (b"br01\0", "br0", false),
        ] {
            assert_eq!(compares(&rule(data), MetaKey::IifName, interfaces), same, "{data:?} {interfaces}");
            assert!(!compares(&rule(data), MetaKey::OifName, interfaces));
        }
    }
}
