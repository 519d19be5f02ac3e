//! What the running kernel has. It is asked, in namespaces that nobody else is in; nothing is told from version numbers.

use super::{
    conntrack, nft,
    rtnl::{RtSocket, link},
    sysctl, watch,
};
use crate::{
    Change, NftFamily, NftTable, Place, Value,
    features::{Ask, FEATURES, Feature, Probed},
};
use linkspan_model::{Error, Result};
use nix::{
    sched::{CloneFlags, unshare},
    sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket},
};
use std::thread;

/// Whether links of this kind can be made.
pub(super) fn has_link_kind(kind: &str) -> Result<bool> {
    let refused = RtSocket::open()?.batch(vec![link::bare(kind)]).remove(0).err();
    Ok(refused.is_none_or(|refusal| refusal.errno != libc::EOPNOTSUPP))
}

/// Every feature, tried on a thread whose namespaces go with it.
pub(super) fn probe() -> Result<Vec<Probed>> {
    let failed = |what: &dyn std::fmt::Display| Error::internal(format!("cannot ask the kernel what it has: {what}"));
    let asking = || {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Ok(FEATURES.iter().map(|feature| Probed { feature, present: is_there(feature) }).collect())
    };
    let thread = thread::Builder::new().name("probe".to_owned()).spawn(asking).map_err(|error| failed(&error))?;
    let probed: nix::Result<Vec<Probed>> = thread.join().map_err(|_| failed(&"the thread that asked has ended"))?;
    probed.map_err(|errno| match errno {
        nix::Error::EPERM => Error::permission("no network namespace to try features in").fix("run it as root"),
        errno => failed(&errno),
    })
}

/// The calling thread is in a network namespace of its own.
fn is_there(feature: &Feature) -> bool {
    let opens =
        |family, kind, protocol: Option<SockProtocol>| socket(family, kind, SockFlag::SOCK_CLOEXEC, protocol).is_ok();
    match feature.ask {
        Ask::Netns => true,
        Ask::MountNamespace => unshare(CloneFlags::CLONE_NEWNS).is_ok(),
        Ask::UtsNamespace => unshare(CloneFlags::CLONE_NEWUTS).is_ok(),
        Ask::Link(kind) => has_link_kind(kind).unwrap_or(false),
        Ask::Rules(family, body) => loads(feature, family, body),
        Ask::Setting(path) => sysctl::read(path).and_then(|value| sysctl::write(path, &value)).is_ok(),
        Ask::Connections => conntrack::can_be_listed(),
        Ask::SctpSocket => opens(AddressFamily::Inet, SockType::Stream, Some(SockProtocol::Sctp)),
        Ask::PacketSocket => opens(AddressFamily::Packet, SockType::Datagram, None),
        Ask::SocketFilter => watch::can_filter(),
        Ask::AllNamespaces => watch::can_hear_all(),
        Ask::SeccompFilter => {
            sysctl::read("kernel/seccomp/actions_avail").is_ok_and(|actions| actions.contains("errno"))
        }
    }
}

/// Whether the kernel takes such a table. It stays until the namespace goes: taking it away would be waited for.
fn loads(feature: &Feature, family: NftFamily, body: &str) -> bool {
    let table = NftTable { family, name: feature.name.replace(' ', "_"), body: body.to_owned() };
    nft::apply(&[&Change::Create(Place::Host, Value::Table(table))]).is_ok()
}
