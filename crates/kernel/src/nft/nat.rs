//! Translation to an address and a port that one map gives.
//!
//! `dnat ip to … map @m`, where `m` maps to `ipv4_addr . inet_service`, takes both from the map's
//! data. The compiler in use knows only the address, and so does its printer: the port is put in
//! after compiling and taken out before printing.

use super::field::FieldType;
use crabtables::{Expr, Reg, Rule, expr::Nat};

/// Lets the translations of `rule` take the port as well, where `data_type` of the map that they
/// take the address from says that it is there.
pub(super) fn take_port(rule: &mut Rule, data_type: impl Fn(&str) -> Option<u32>) {
    for_each(rule, data_type, |nat, port| {
        if nat.reg_proto_min.is_none() {
            (nat.reg_proto_min, nat.reg_proto_max) = (Some(port), Some(port));
        }
    });
}

/// Undoes [`take_port`].
pub(super) fn leave_port(rule: &mut Rule, data_type: impl Fn(&str) -> Option<u32>) {
    for_each(rule, data_type, |nat, port| {
        let is_port = |reg: Option<Reg>| reg.and_then(Reg::word_index) == port.word_index();
        if is_port(nat.reg_proto_min) && is_port(nat.reg_proto_max) {
            (nat.reg_proto_min, nat.reg_proto_max) = (None, None);
        }
    });
}

/// Calls `change` for every translation that follows a lookup in a map to an address and a port,
/// with the register that the lookup leaves the port in.
fn for_each(rule: &mut Rule, data_type: impl Fn(&str) -> Option<u32>, mut change: impl FnMut(&mut Nat, Reg)) {
    let mut port = None;
    for expr in &mut rule.exprs {
        match expr {
            Expr::Lookup(lookup) => {
                port = lookup.dreg.and_then(|address| {
                    let types = FieldType::list(data_type(&lookup.set)?)?;
                    match types[..] {
                        [first @ (FieldType::Ipv4 | FieldType::Ipv6), FieldType::Port] => {
                            Some((address, address.next_after(first.len() as u32)))
                        }
                        _ => None,
                    }
                });
            }
            Expr::Nat(nat) => {
                if let Some((address, port)) = port
                    && nat.reg_addr_min == Some(address)
                {
                    change(nat, port);
                }
            }
            _ => port = None,
        }
    }
}
