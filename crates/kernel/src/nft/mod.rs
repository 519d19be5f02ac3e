//! What nf_tables needs to be told about our values, without any socket: the
//! layout of keys and data ([`SetSchema`]), and table bodies compiled to
//! netlink messages ([`Body`]). The kernel's side and the fake share it, so
//! that both refuse the same elements.

mod body;
mod canon;
pub(crate) mod extension;
mod field;
mod nat;
mod schema;
pub(crate) mod walk;

pub(crate) use body::{Body, Message};
pub(crate) use canon::Canon;
pub(crate) use schema::{Region, SetSchema};

use crate::NftFamily;
use crabtables::Family;

/// The family as the library spells it.
pub(crate) fn family(family: NftFamily) -> Family {
    match family {
        NftFamily::Inet => Family::Inet,
        NftFamily::Ip => Family::Ipv4,
        NftFamily::Ip6 => Family::Ipv6,
        NftFamily::Bridge => Family::Bridge,
    }
}
