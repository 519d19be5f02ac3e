//! Extensions of iptables in rules of nf_tables: an expression `match` or `target` with the name of one.

use crabtables::{Expr, RejectType, Rule, expr::Reject};

/// Whether an expression is the extension `name` of a kind.
pub(crate) fn is_extension(expr: &Expr, kind: &str, name: &str) -> bool {
    // The first attribute is the name, with its NUL; what follows is the extension's own.
    let named = |data: &[u8]| data.get(4..).is_some_and(|data| data.starts_with(&[name.as_bytes(), &[0]].concat()));
    matches!(expr, Expr::Unknown(unknown) if unknown.name == kind && named(&unknown.data))
}

/// Puts what nf_tables has itself in the place of extensions that mean the same, as far as whether a packet passes.
pub(super) fn say_natively(rule: &mut Rule) {
    rule.exprs.retain(|expr| !is_extension(expr, "match", "comment"));
    for expr in &mut rule.exprs {
        if is_extension(expr, "target", "REJECT") {
            *expr = Expr::Reject(Reject { ty: RejectType::IcmpxUnreach, icmp_code: Some(0) });
        }
    }
}
