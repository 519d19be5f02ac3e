//! What the running kernel has. It is asked, in a namespace that nobody else is in; nothing is told from version numbers.

use super::rtnl::{RtSocket, link};
use linkspan_model::Result;

/// Whether links of this kind can be made.
pub(super) fn has_link_kind(kind: &str) -> Result<bool> {
    let refused = RtSocket::open()?.batch(vec![link::bare(kind)]).remove(0).err();
    Ok(refused.is_none_or(|refusal| refusal.errno != libc::EOPNOTSUPP))
}
