//! Messages of RFC 8415 with the options of RFC 3646 and 5908.

use crate::{
    Datagram, Identity, Lease, Server, Settings, To,
    random::Random,
    v4::{domains, printable},
};
use dhcproto::{
    Decodable as _, Decoder, Encodable as _,
    v6::{DhcpOption, DhcpOptions, IAAddr, IANA, Message, MessageType, NtpSuboption, ORO, OptionCode, Status},
};
use ipnet::Ipv6Net;
use std::net::{IpAddr, Ipv6Addr};

const MOST: usize = 64;

/// What a client says.
pub(super) enum Question<'a> {
    Solicit { wish: Option<Ipv6Addr> },
    Request { address: Ipv6Addr, server: &'a [u8] },
    Confirm { address: Ipv6Addr },
    Renew { address: Ipv6Addr, server: &'a [u8] },
    Rebind { address: Ipv6Addr },
    Decline { address: Ipv6Addr, server: &'a [u8] },
    Release { address: Ipv6Addr, server: &'a [u8] },
}

/// What a server says.
pub(super) enum Reply {
    /// An advertisement or a reply with an address; the server's preference.
    Lease(MessageType, u8, Lease),
    /// The address fits the wire.
    Confirmed,
    /// This server gives or leaves no address, and why.
    Refused(Vec<u8>, String),
}

pub(super) fn write(question: &Question<'_>, identity: &Identity, xid: u32, elapsed: u16) -> Vec<u8> {
    let (kind, address, server) = match question {
        Question::Solicit { wish } => (MessageType::Solicit, *wish, None),
        Question::Request { address, server } => (MessageType::Request, Some(*address), Some(*server)),
        Question::Confirm { address } => (MessageType::Confirm, Some(*address), None),
        Question::Renew { address, server } => (MessageType::Renew, Some(*address), Some(*server)),
        Question::Rebind { address } => (MessageType::Rebind, Some(*address), None),
        Question::Decline { address, server } => (MessageType::Decline, Some(*address), Some(*server)),
        Question::Release { address, server } => (MessageType::Release, Some(*address), Some(*server)),
    };
    let [_, xid @ ..] = xid.to_be_bytes();
    let mut message = Message::new_with_id(kind, xid);
    let options = message.opts_mut();
    options.insert(DhcpOption::ClientId(identity.duid.clone()));
    if let Some(server) = server {
        options.insert(DhcpOption::ServerId(server.to_vec()));
    }
    options.insert(DhcpOption::ElapsedTime(elapsed));
    let mut inside = DhcpOptions::new();
    if let Some(addr) = address {
        // Zero leaves the times to the server.
        inside.insert(DhcpOption::IAAddr(IAAddr { addr, preferred_life: 0, valid_life: 0, opts: DhcpOptions::new() }));
    }
    options.insert(DhcpOption::IANA(IANA { id: identity.iaid, t1: 0, t2: 0, opts: inside }));
    if matches!(kind, MessageType::Solicit | MessageType::Request | MessageType::Renew | MessageType::Rebind) {
        let opts = vec![OptionCode::DomainNameServers, OptionCode::DomainSearchList, OptionCode::NtpServer];
        options.insert(DhcpOption::ORO(ORO { opts }));
    }
    message.to_vec().unwrap_or_default()
}

pub(crate) fn release(identity: &Identity, lease: &Lease, server: &[u8], seed: u64) -> Datagram {
    let question = Question::Release { address: super::address(lease), server };
    let payload = write(&question, identity, Random(seed).next() as u32 & 0x00ff_ffff, 0);
    Datagram { source: Ipv6Addr::UNSPECIFIED.into(), to: To::Everyone, payload }
}

/// Reads an answer to the question `xid` of `identity`, which was about `known`.
///
/// # Errors
/// None where it is somebody else's; otherwise what is wrong with it.
pub(super) fn read(
    payload: &[u8],
    identity: &Identity,
    xid: u32,
    known: Option<Ipv6Addr>,
) -> Result<Reply, Option<String>> {
    // 7 and 2 are REPLY and ADVERTISE; what relays say to each other has no number here.
    if payload.len() < 4 || !matches!(payload[0], 2 | 7) || payload[1..4] != xid.to_be_bytes()[1..] {
        return Err(None);
    }
    let sieved = crate::sieve::v6(payload).ok_or_else(|| Some("an answer cannot be read".to_owned()))?;
    let message = Message::decode(&mut Decoder::new(&sieved))
        .map_err(|error| Some(format!("an answer cannot be read: {error}")))?;
    let options = message.opts();
    match options.get(OptionCode::ClientId) {
        Some(DhcpOption::ClientId(duid)) if *duid == identity.duid => {}
        _ => return Err(None),
    }
    let server = match options.get(OptionCode::ServerId) {
        // RFC 8415 §11.1.
        Some(DhcpOption::ServerId(duid)) if (3..=130).contains(&duid.len()) => duid.clone(),
        _ => return Err(Some("an answer names no server".to_owned())),
    };
    if let Some(why) = refusal(options) {
        return Ok(Reply::Refused(server, why));
    }
    let mut associations = options.iter().filter_map(|option| match option {
        DhcpOption::IANA(association) if association.id == identity.iaid => Some(association),
        _ => None,
    });
    let Some(association) = associations.next() else {
        return if known.is_some() && options.get(OptionCode::StatusCode).is_some() {
            Ok(Reply::Confirmed)
        } else {
            Err(Some("the server gives no address".to_owned()))
        };
    };
    if let Some(why) = refusal(&association.opts) {
        return Ok(Reply::Refused(server, why));
    }
    let addresses: Vec<&IAAddr> = association
        .opts
        .iter()
        .filter_map(|option| match option {
            DhcpOption::IAAddr(address) => Some(address),
            _ => None,
        })
        .collect();
    // A server that takes an address back gives it no more time (RFC 8415 §18.2.10.1).
    if let Some(known) = known
        && addresses.iter().any(|address| address.addr == known && address.valid_life == 0)
    {
        return Ok(Reply::Refused(server, format!("the server takes address {known} back")));
    }
    let wanted = addresses.iter().find(|address| Some(address.addr) == known).or(addresses.first());
    let address = wanted.ok_or_else(|| Some("the server gives no address".to_owned()))?;
    let preference = match options.get(OptionCode::Preference) {
        Some(DhcpOption::Preference(preference)) => *preference,
        _ => 0,
    };
    let lease = lease(address, association, server, options).map_err(Some)?;
    Ok(Reply::Lease(message.msg_type(), preference, lease))
}

/// What a status other than success says.
fn refusal(options: &DhcpOptions) -> Option<String> {
    match options.get(OptionCode::StatusCode) {
        Some(DhcpOption::StatusCode(code)) if code.status != Status::Success => {
            let message = printable(&code.msg);
            let colon = if message.is_empty() { "" } else { ": " };
            Some(format!("the server refuses the address ({:?}){colon}{message}", code.status))
        }
        _ => None,
    }
}

fn lease(address: &IAAddr, association: &IANA, server: Vec<u8>, options: &DhcpOptions) -> Result<Lease, String> {
    let IAAddr { addr, preferred_life, valid_life, .. } = address;
    if !is_host(*addr) {
        return Err(format!("the server gives {addr}, which is no address of a host"));
    }
    if *valid_life == 0 {
        return Err(format!("the server gives {addr} for no time at all"));
    }
    if preferred_life > valid_life || (association.t2 != 0 && association.t1 > association.t2) {
        return Err(format!("the server gives {addr} with times that contradict each other"));
    }
    // Times of renewal follow the preferred lifetime (RFC 8415 §21.4), within the whole.
    let preferred = if *preferred_life == 0 { *valid_life } else { *preferred_life };
    let (renew, rebind) = Lease::times(preferred, Some(association.t1), Some(association.t2), (0.5, 0.8));
    Ok(Lease {
        address: Ipv6Net::from(*addr).into(),
        server: Server::V6(server),
        renew,
        rebind: rebind.min(*valid_life),
        expire: *valid_life,
        settings: settings(options),
    })
}

/// An address that one host can have, beyond its link.
fn is_host(address: Ipv6Addr) -> bool {
    let link_local = address.segments()[0] & 0xffc0 == 0xfe80;
    !(address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || link_local
        || address.to_ipv4_mapped().is_some())
}

fn settings(options: &DhcpOptions) -> Settings {
    let mut settings = Settings::default();
    let server = |address: &Ipv6Addr| !address.is_unspecified() && !address.is_multicast() && !address.is_loopback();
    for option in options.iter() {
        match option {
            DhcpOption::DomainNameServers(servers) => {
                settings.dns.extend(
                    servers.iter().filter(|address| server(address)).take(MOST).map(|address| IpAddr::from(*address)),
                );
            }
            DhcpOption::DomainSearchList(names) => {
                settings.search.extend(domains(names.iter().map(ToString::to_string).collect()));
            }
            DhcpOption::NtpServer(servers) => {
                settings.ntp.extend(servers.iter().take(MOST).filter_map(|server| match server {
                    NtpSuboption::ServerAddress(address) => Some(IpAddr::from(*address)),
                    NtpSuboption::MulticastAddress(_) | NtpSuboption::FQDN(_) => None,
                }));
            }
            _ => {}
        }
    }
    settings
}
