//! Messages of RFC 2131 with the options of RFC 2132, 3397, 3442, 4361 and 6842.

use crate::{Datagram, FOREVER, Identity, Lease, Server, Settings, To, Way, random::Random};
use dhcproto::{
    Decodable as _, Decoder, Encodable as _,
    v4::{DhcpOption, DhcpOptions, Flags, HType, Message, MessageType, Opcode, OptionCode},
};
use ipnet::{IpNet, Ipv4Net};
use std::net::{IpAddr, Ipv4Addr};

/// What we can read: the payload of a datagram that is not in fragments.
const LARGEST: u16 = 1472;
/// More than this of anything is of no use to anybody.
const MOST: usize = 64;

/// What is asked for. The routes of option 121 go before the router of option 3 (RFC 3442).
const WANTED: [OptionCode; 10] = [
    OptionCode::SubnetMask,
    OptionCode::ClasslessStaticRoute,
    OptionCode::Router,
    OptionCode::DomainNameServer,
    OptionCode::DomainName,
    OptionCode::DomainSearch,
    OptionCode::InterfaceMtu,
    OptionCode::NtpServers,
    OptionCode::Renewal,
    OptionCode::Rebinding,
];

/// What a client says.
pub(super) enum Question {
    Discover {
        wish: Option<Ipv4Addr>,
    },
    /// `server` is named where its offer is taken, not where an old lease is to hold again.
    Request {
        address: Ipv4Addr,
        server: Option<Ipv4Addr>,
    },
    /// For more time; the address is in use.
    Extend {
        address: Ipv4Addr,
    },
    Decline {
        address: Ipv4Addr,
        server: Ipv4Addr,
    },
    Release {
        address: Ipv4Addr,
        server: Ipv4Addr,
    },
}

/// What a server says.
pub(super) enum Reply {
    /// An offer or an acknowledgement.
    Lease(MessageType, Lease),
    /// No, from this server, and why.
    Nak(Ipv4Addr, Option<String>),
}

pub(super) fn write(question: &Question, identity: &Identity, xid: u32, seconds: u16) -> Vec<u8> {
    let none = Ipv4Addr::UNSPECIFIED;
    let mut message = Message::new_with_id(xid, none, none, none, none, &identity.mac.0);
    message.set_opcode(Opcode::BootRequest).set_htype(HType::Eth).set_secs(seconds);
    let (kind, asks) = match question {
        Question::Discover { .. } => (MessageType::Discover, true),
        Question::Request { .. } | Question::Extend { .. } => (MessageType::Request, true),
        Question::Decline { .. } => (MessageType::Decline, false),
        Question::Release { .. } => (MessageType::Release, false),
    };
    let answered_at_address = matches!(question, Question::Extend { .. });
    if identity.broadcast && asks && !answered_at_address {
        message.set_flags(Flags::default().set_broadcast());
    }
    let options = message.opts_mut();
    options.insert(DhcpOption::MessageType(kind));
    options.insert(DhcpOption::ClientIdentifier(identity.client_id()));
    if asks {
        options.insert(DhcpOption::ParameterRequestList(WANTED.to_vec()));
        options.insert(DhcpOption::MaxMessageSize(LARGEST));
        if let Some(name) = &identity.hostname {
            options.insert(DhcpOption::Hostname(name.clone()));
        }
    }
    match question {
        Question::Discover { wish } => {
            if let Some(wish) = wish {
                options.insert(DhcpOption::RequestedIpAddress(*wish));
            }
        }
        Question::Request { address, server } => {
            options.insert(DhcpOption::RequestedIpAddress(*address));
            if let Some(server) = server {
                options.insert(DhcpOption::ServerIdentifier(*server));
            }
        }
        Question::Extend { address } => {
            message.set_ciaddr(*address);
        }
        Question::Decline { address, server } => {
            options.insert(DhcpOption::RequestedIpAddress(*address));
            options.insert(DhcpOption::ServerIdentifier(*server));
        }
        Question::Release { address, server } => {
            options.insert(DhcpOption::ServerIdentifier(*server));
            message.set_ciaddr(*address);
        }
    }
    message.to_vec().unwrap_or_default()
}

pub(crate) fn release(identity: &Identity, lease: &Lease, server: Ipv4Addr, seed: u64) -> Datagram {
    let address = super::address(lease);
    let payload = write(&Question::Release { address, server }, identity, Random(seed).next() as u32, 0);
    Datagram { source: address.into(), to: To::Server(server.into()), payload }
}

/// Reads an answer to the question `xid` of `identity`.
///
/// # Errors
/// None where it is somebody else's; otherwise what is wrong with it.
pub(super) fn read(payload: &[u8], identity: &Identity, xid: u32) -> Result<Reply, Option<String>> {
    // Before anything else: much on the wire is for others, and is none of our business.
    if payload.len() < 34 || payload[4..8] != xid.to_be_bytes() || payload[28..34] != identity.mac.0 {
        return Err(None);
    }
    let sieved = crate::sieve::v4(payload).ok_or_else(|| Some("an answer cannot be read".to_owned()))?;
    let message = Message::decode(&mut Decoder::new(&sieved))
        .map_err(|error| Some(format!("an answer cannot be read: {error}")))?;
    if message.opcode() != Opcode::BootReply || message.hlen() != 6 || message.xid() != xid {
        return Err(None);
    }
    let options = message.opts();
    // A server that returns the client's identifier (RFC 6842) means the client that has it.
    if let Some(DhcpOption::ClientIdentifier(id)) = options.get(OptionCode::ClientIdentifier)
        && *id != identity.client_id()
    {
        return Err(None);
    }
    let server = match options.get(OptionCode::ServerIdentifier) {
        Some(DhcpOption::ServerIdentifier(server)) if is_host(*server) => *server,
        _ => return Err(Some("an answer names no server".to_owned())),
    };
    match options.msg_type() {
        Some(MessageType::Nak) => {
            let why = match options.get(OptionCode::Message) {
                Some(DhcpOption::Message(why)) => Some(printable(why)),
                _ => None,
            };
            Ok(Reply::Nak(server, why))
        }
        Some(kind @ (MessageType::Offer | MessageType::Ack)) => {
            lease(message.yiaddr(), server, options).map(|lease| Reply::Lease(kind, lease)).map_err(Some)
        }
        _ => Err(None),
    }
}

fn lease(address: Ipv4Addr, server: Ipv4Addr, options: &DhcpOptions) -> Result<Lease, String> {
    if !is_host(address) {
        return Err(format!("the server gives {address}, which is no address of a host"));
    }
    let expire = match options.get(OptionCode::AddressLeaseTime) {
        Some(DhcpOption::AddressLeaseTime(0)) => return Err(format!("the server gives {address} for no time at all")),
        Some(DhcpOption::AddressLeaseTime(seconds)) => *seconds,
        _ => return Err(format!("the server does not say for how long it gives {address}")),
    };
    let mask = match options.get(OptionCode::SubnetMask) {
        Some(DhcpOption::SubnetMask(mask)) => *mask,
        // That of its class is a guess of another age.
        _ => Ipv4Addr::BROADCAST,
    };
    let net = Ipv4Net::with_netmask(address, mask).ok().filter(|net| net.prefix_len() > 0);
    let net = net.ok_or_else(|| format!("the server gives {address} with the subnet mask {mask}"))?;
    // Subnets of one and two addresses have neither (RFC 3021).
    if net.prefix_len() < 31 && (address == net.network() || address == net.broadcast()) {
        return Err(format!("the server gives {net}, which is no address of a host in its subnet"));
    }
    let seconds = |code| match options.get(code) {
        Some(DhcpOption::Renewal(seconds) | DhcpOption::Rebinding(seconds)) => Some(*seconds),
        _ => None,
    };
    let (renew, rebind) =
        Lease::times(expire, seconds(OptionCode::Renewal), seconds(OptionCode::Rebinding), (0.5, 0.875));
    debug_assert!(expire == FOREVER || rebind <= expire);
    Ok(Lease {
        address: net.into(),
        server: Server::V4(server),
        renew,
        rebind,
        expire,
        settings: settings(net, options),
    })
}

/// An address that one host can have.
fn is_host(address: Ipv4Addr) -> bool {
    !(address.octets()[0] == 0 || address.is_loopback() || address.is_multicast() || address.octets()[0] >= 240)
}

/// What can be used of the rest. What makes no sense is left out, since the address is good without.
fn settings(net: Ipv4Net, options: &DhcpOptions) -> Settings {
    let hosts = |code| -> Vec<IpAddr> {
        let addresses: &[Ipv4Addr] = match options.get(code) {
            Some(DhcpOption::Router(list) | DhcpOption::DomainNameServer(list) | DhcpOption::NtpServers(list)) => list,
            _ => &[],
        };
        addresses.iter().filter(|address| is_host(**address)).take(MOST).map(|address| (*address).into()).collect()
    };
    let mut settings = Settings {
        gateway: None,
        routes: Vec::new(),
        mtu: match options.get(OptionCode::InterfaceMtu) {
            // RFC 2132 §5.1.
            Some(DhcpOption::InterfaceMtu(mtu)) if *mtu >= 68 => Some(*mtu),
            _ => None,
        },
        search: search(options),
        dns: hosts(OptionCode::DomainNameServer),
        ntp: hosts(OptionCode::NtpServers),
    };
    let own = IpAddr::from(net.addr());
    if let Some(DhcpOption::ClasslessStaticRoute(routes)) = options.get(OptionCode::ClasslessStaticRoute) {
        for (destination, gateway) in routes.iter().take(MOST) {
            let gateway = Some(*gateway).filter(|gateway| !gateway.is_unspecified());
            let way = Way { destination: IpNet::V4(destination.trunc()), gateway: gateway.map(IpAddr::from) };
            let leads = gateway.is_none_or(is_host) && way.gateway != Some(own);
            let known = settings.routes.iter().any(|other| other.destination == way.destination);
            match way {
                Way { destination, gateway: Some(gateway) } if leads && destination.prefix_len() == 0 => {
                    settings.gateway.get_or_insert(gateway);
                }
                Way { destination, .. }
                    if leads && !known && destination.prefix_len() > 0 && destination != IpNet::V4(net.trunc()) =>
                {
                    settings.routes.push(way);
                }
                _ => {}
            }
        }
    } else {
        settings.gateway = hosts(OptionCode::Router).into_iter().find(|router| *router != own);
    }
    settings
}

fn search(options: &DhcpOptions) -> Vec<String> {
    let mut names: Vec<String> = match options.get(OptionCode::DomainSearch) {
        Some(DhcpOption::DomainSearch(names)) => names.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    };
    if names.is_empty()
        && let Some(DhcpOption::DomainName(name)) = options.get(OptionCode::DomainName)
    {
        names.push(name.clone());
    }
    domains(names)
}

/// Domains as they may stand in a line of resolv.conf.
pub(crate) fn domains(names: Vec<String>) -> Vec<String> {
    let names = names.into_iter().map(|name| name.trim_end_matches(['.', '\0']).to_owned());
    names.filter(|name| linkspan_model::is_valid_dns_name(name)).take(6).collect()
}

/// Text of a server, for people.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}
