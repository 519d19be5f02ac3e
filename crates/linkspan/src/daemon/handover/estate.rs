use crate::daemon::{Place, claim, lock, socket};
use linkspan_api::Carried;
use linkspan_dns::{Conversation, Suspended};
use linkspan_model::{Error, Result, SandboxId};
use serde::{Deserialize, Serialize};
use std::{
    net::SocketAddrV4,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::UnixListener,
    },
};

/// What a daemon serves with, and can pass on.
pub(in crate::daemon) struct Estate {
    /// The claim to the host.
    pub(in crate::daemon) claim: UnixListener,
    /// The lock of the store, where it is held already.
    pub(in crate::daemon) store: Option<OwnedFd>,
    /// The socket.
    pub(in crate::daemon) listening: socket::Listening,
    /// Connections to it that others have made.
    pub(in crate::daemon) carried: Vec<Carried>,
    /// The sandboxes whose names somebody has served, with their ports.
    pub(in crate::daemon) ports: Vec<(SandboxId, u16)>,
    /// Their sockets, where they are here already.
    pub(in crate::daemon) names: Vec<Suspended>,
    /// The place of the daemon. Last, since fields are dropped in their order: whoever waits for the lock finds all else
    /// free.
    pub(in crate::daemon) lock: lock::Held,
}

impl Estate {
    /// That of a daemon that comes after nobody, or after what systemd `kept`.
    pub(in crate::daemon) fn new(place: &Place, kept: super::systemd::Kept) -> Result<Self> {
        let lock = lock::be_the_daemon(place)?;
        let claim = claim::claim_host()?;
        let listening = match kept.listener {
            Some(listener) => listener,
            None => socket::bind(place)?,
        };
        let ports = kept.names.iter().map(|names| (names.sandbox, names.port)).collect();
        Ok(Self { lock, claim, store: None, listening, carried: kept.carried, ports, names: kept.names })
    }
}

/// [`Suspended`] without its descriptors.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct NamesRecord {
    sandbox: SandboxId,
    port: u16,
    unanswered: Vec<(SocketAddrV4, Vec<u8>)>,
    conversations: Vec<ConversationRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ConversationRecord {
    ahead: Vec<u8>,
    unanswered: Vec<Vec<u8>>,
    unsent: Vec<u8>,
    asking: bool,
}

/// The records of `all`, and their descriptors in order.
pub(super) fn records(all: &[Suspended]) -> (Vec<NamesRecord>, Vec<BorrowedFd<'_>>) {
    let mut fds = Vec::new();
    let mut record = |names: &'_ Suspended| NamesRecord {
        sandbox: names.sandbox,
        port: names.port,
        unanswered: names.unanswered.clone(),
        conversations: names
            .conversations
            .iter()
            .map(|conversation| ConversationRecord {
                ahead: conversation.ahead.clone(),
                unanswered: conversation.unanswered.clone(),
                unsent: conversation.unsent.clone(),
                asking: conversation.asking,
            })
            .collect(),
    };
    let records = all.iter().map(&mut record).collect();
    for names in all {
        fds.extend([names.udp.as_fd(), names.tcp.as_fd()]);
        fds.extend(names.conversations.iter().map(|conversation| conversation.stream.as_fd()));
    }
    (records, fds)
}

/// Puts [`records`] and descriptors together again.
pub(super) fn assemble(records: Vec<NamesRecord>, fds: &mut impl Iterator<Item = OwnedFd>) -> Result<Vec<Suspended>> {
    let mut next = || fds.next().ok_or_else(|| Error::invalid("descriptors are missing"));
    let mut assemble = |record: NamesRecord| {
        let (udp, tcp) = (next()?.into(), next()?.into());
        let conversation = |record: ConversationRecord| -> Result<Conversation> {
            let ConversationRecord { ahead, unanswered, unsent, asking } = record;
            Ok(Conversation { stream: next()?.into(), ahead, unanswered, unsent, asking })
        };
        let NamesRecord { sandbox, port, unanswered, conversations } = record;
        let conversations = conversations.into_iter().map(conversation).collect::<Result<_>>()?;
        Ok(Suspended { sandbox, port, udp, tcp, unanswered, conversations })
    };
    records.into_iter().map(&mut assemble).collect()
}
