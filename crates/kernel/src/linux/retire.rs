//! Deleting links for good, many in one request.

use super::{
    apply::index,
    refusal::is_gone,
    rtnl::{Request, RtSocket, link},
};
use crate::Retirement;
use linkspan_model::Result;

/// Deletes the links of a group and waits until they have gone.
pub(super) fn retire(retirement: &Retirement) -> Result<()> {
    let mut socket = RtSocket::open()?;
    let outcome = socket.batch(vec![link::delete_group(retirement.group)]).remove(0);
    // What never made it into the group is deleted by name; and everything is, where the kernel refuses to
    // delete the group because somebody put a link into it that cannot be deleted.
    let mut left: Vec<Request> = Vec::new();
    for name in &retirement.links {
        if index(name)?.is_some() {
            left.push(link::delete(name));
        }
    }
    if left.is_empty()
        && let Err(refusal) = outcome
        && !is_gone(&refusal)
    {
        tracing::warn!(group = retirement.group, errno = refusal.errno, "cannot delete the links of the group");
    }
    for outcome in socket.batch(left) {
        match outcome {
            Err(refusal) if !is_gone(&refusal) => return Err(refusal.into_error("deleting links")),
            _ => {}
        }
    }
    Ok(())
}
