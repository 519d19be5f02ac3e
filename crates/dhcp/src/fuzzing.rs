//! The property that `fuzz/` tries: whatever arrives, a client that says it has a lease has one that makes sense, what it
//! sends can be read, and it is never due again at once for ever.

use crate::{Action, Client, FOREVER, Identity, Lease, Server, Settings, Start, Time, random::Random};
use dhcproto::{Decodable as _, Decoder};
use linkspan_model::{Family, MacAddr};
use std::{net::IpAddr, time::Duration};

/// The client that seeds are written for.
pub fn identity() -> Identity {
    Identity {
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        duid: Identity::duid_of(&[b"fuzz"]),
        iaid: 1,
        hostname: Some("web".to_owned()),
        broadcast: false,
    }
}

/// A lease to begin with.
fn lease(family: Family) -> Lease {
    let (address, server) = match family {
        Family::V4 => ("10.0.0.5/24", Server::V4([10, 0, 0, 1].into())),
        Family::V6 => ("fd00:1::5/128", Server::V6(vec![0, 3, 0, 1, 2, 0, 0, 0, 0, 9])),
    };
    let address = address.parse().expect("a prefix");
    Lease { address, server, renew: 10, rebind: 17, expire: 20, settings: Settings::default() }
}

/// Gives `data` to clients in every stage: the first byte says which IP version, the rest is the answer, with the
/// number and the MAC address that the client waits for, so that what is behind them is read at all.
///
/// # Panics
/// Where the property does not hold.
pub fn dhcp_answer(data: &[u8]) {
    let Some((first, answer)) = data.split_first() else { return };
    let family = if first & 1 == 0 { Family::V4 } else { Family::V6 };
    let wish = lease(family).address.addr();
    let starts = [
        Start::Fresh,
        Start::Wish(wish),
        Start::Again(lease(family)),
        Start::Held(lease(family), Time::ZERO),
        Start::Held(lease(family), Time::from_secs(1)),
    ];
    for (number, start) in starts.into_iter().enumerate() {
        let mut now = Time::from_secs(30);
        if number == 3 {
            // Within the time in which the server is asked.
            now = Time::from_secs(11);
        }
        let mut client = Client::new(family, identity(), start, 7, now);
        let mut random = Random(u64::from(*first));
        let mut xid = check(family, &client.tick(now), now);
        for _ in 0..12 {
            let mut payload = answer.to_vec();
            if let Some(xid) = xid {
                address_to(family, &mut payload, xid);
            }
            let mut actions = client.receive(&payload, now);
            actions.extend(client.receive(answer, now));
            if random.next().is_multiple_of(8) {
                actions.extend(client.conflict(now));
            }
            now = client.next().min(now + Duration::from_secs(100)).max(now);
            actions.extend(client.tick(now));
            assert!(client.next() > now, "due again at once");
            xid = check(family, &actions, now).or(xid);
        }
    }
}

/// Writes into an answer what makes it one for the client.
fn address_to(family: Family, payload: &mut [u8], xid: u32) {
    match family {
        Family::V4 if payload.len() >= 34 => {
            payload[4..8].copy_from_slice(&xid.to_be_bytes());
            payload[28..34].copy_from_slice(&identity().mac.0);
        }
        Family::V6 if payload.len() >= 4 => payload[1..4].copy_from_slice(&xid.to_be_bytes()[1..]),
        _ => {}
    }
}

/// Checks what a client wants; the number of the last message.
fn check(family: Family, actions: &[Action], now: Time) -> Option<u32> {
    let mut xid = None;
    for action in actions {
        match action {
            Action::Send(datagram) if family == Family::V4 => {
                let message =
                    dhcproto::v4::Message::decode(&mut Decoder::new(&datagram.payload)).expect("it can be read");
                xid = Some(message.xid());
            }
            Action::Send(datagram) => {
                let message =
                    dhcproto::v6::Message::decode(&mut Decoder::new(&datagram.payload)).expect("it can be read");
                xid = Some(message.xid_num());
            }
            Action::Probe(address) => assert!(usable(*address)),
            Action::Bound { lease, since } => {
                assert!(usable(lease.address.addr()) && *since <= now, "{lease:?}");
                assert!(lease.expire > 0 && lease.renew <= lease.rebind && lease.rebind <= lease.expire, "{lease:?}");
                assert!(lease.renew > 0 || lease.expire == FOREVER, "{lease:?}");
                assert!(lease.settings.gateway != Some(lease.address.addr()));
                for name in &lease.settings.search {
                    assert!(linkspan_model::is_valid_dns_name(name), "{name:?}");
                }
            }
            Action::Lost(_) => {}
        }
    }
    xid
}

fn usable(address: IpAddr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && !address.is_loopback()
}
