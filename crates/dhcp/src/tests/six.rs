//! The same for IPv6.

use super::{START, sent};
use crate::{Action, Client, Datagram, Lease, Loss, Start, Time, fuzzing::identity};
use dhcproto::{Decodable as _, Decoder, Encodable as _, v6};
use linkspan_model::Family;
use std::time::Duration;

const SERVER: [u8; 10] = [0, 3, 0, 1, 2, 0, 0, 0, 0, 9];

fn v6_message(datagram: &Datagram) -> v6::Message {
    v6::Message::decode(&mut Decoder::new(&datagram.payload)).unwrap()
}

/// An answer with fd00:1::5 for 100 seconds, and a status for the association.
pub(super) fn v6_answer(question: &Datagram, kind: v6::MessageType, valid: u32, status: Option<v6::Status>) -> Vec<u8> {
    let question = v6_message(question);
    let mut message = v6::Message::new_with_id(kind, question.xid());
    let mut inside = v6::DhcpOptions::new();
    let addr = "fd00:1::5".parse().unwrap();
    inside.insert(v6::DhcpOption::IAAddr(v6::IAAddr {
        addr,
        preferred_life: valid,
        valid_life: valid,
        opts: v6::DhcpOptions::new(),
    }));
    if let Some(status) = status {
        inside.insert(v6::DhcpOption::StatusCode(v6::StatusCode { status, msg: "no".to_owned() }));
    }
    let options = message.opts_mut();
    options.insert(v6::DhcpOption::ClientId(identity().duid));
    options.insert(v6::DhcpOption::ServerId(SERVER.to_vec()));
    options.insert(v6::DhcpOption::IANA(v6::IANA { id: 1, t1: 0, t2: 0, opts: inside }));
    options.insert(v6::DhcpOption::DomainNameServers(vec!["fd00:1::53".parse().unwrap()]));
    message.to_vec().unwrap()
}

/// A client that has got its lease, which began at the time given.
fn v6_bound() -> (Client, Lease, Time) {
    let mut client = Client::new(Family::V6, identity(), Start::Fresh, 1, START);
    let solicit = client.tick(START);
    assert_eq!(v6_message(sent(&solicit)[0]).msg_type(), v6::MessageType::Solicit);
    assert_eq!(
        client.receive(&v6_answer(sent(&solicit)[0], v6::MessageType::Advertise, 100, None), START),
        [],
        "others may be better"
    );
    let asked = client.next();
    assert!(asked >= START + Duration::from_secs(1));
    let request = client.tick(asked);
    assert_eq!(v6_message(sent(&request)[0]).msg_type(), v6::MessageType::Request);
    client.receive(&v6_answer(sent(&request)[0], v6::MessageType::Reply, 100, None), asked);
    loop {
        let now = client.next();
        for action in client.tick(now) {
            if let Action::Bound { lease, since } = action {
                assert_eq!(since, asked);
                return (client, lease, since);
            }
        }
    }
}

#[test]
fn solicit_advertise_request_reply_renew_rebind() {
    let (mut client, lease, since) = v6_bound();
    assert_eq!(
        (lease.address.to_string().as_str(), lease.renew, lease.rebind, lease.expire),
        ("fd00:1::5/128", 50, 80, 100)
    );
    assert_eq!(lease.settings.dns.len(), 1);
    let mut kinds = Vec::new();
    let mut end = None;
    let mut renewed = None;
    while end.is_none() {
        let now = client.next();
        for action in client.tick(now) {
            match action {
                Action::Send(datagram) => {
                    let kind = v6_message(&datagram).msg_type();
                    if kind == v6::MessageType::Renew {
                        let reply = v6_answer(&datagram, v6::MessageType::Reply, 100, None);
                        renewed = Some(client.clone().receive(&reply, now));
                    }
                    kinds.push(kind);
                }
                Action::Lost(loss) => end = Some((loss, now)),
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(matches!(renewed.unwrap()[..], [Action::Bound { .. }]));
    assert_eq!(end, Some((Loss::Expired, since + Duration::from_secs(100))));
    kinds.dedup();
    assert_eq!(kinds, [v6::MessageType::Renew, v6::MessageType::Rebind, v6::MessageType::Solicit]);
}

#[test]
fn servers_of_ipv6_that_say_no() {
    let (mut client, _, since) = v6_bound();
    let actions = client.tick(since + Duration::from_secs(50));
    let renew = sent(&actions)[0].clone();
    for reply in [
        v6_answer(&renew, v6::MessageType::Reply, 100, Some(v6::Status::NoBinding)),
        v6_answer(&renew, v6::MessageType::Reply, 0, None),
    ] {
        let mut client = client.clone();
        let actions = client.receive(&reply, since + Duration::from_secs(51));
        assert_eq!(actions[0], Action::Lost(Loss::Refused));
    }
    // Its answer to a solicitation, and one for no time, leave the client asking.
    let mut client = Client::new(Family::V6, identity(), Start::Fresh, 1, START);
    let actions = client.tick(START);
    for (valid, status) in [(100, Some(v6::Status::NoAddrsAvail)), (0, None)] {
        let reply = v6_answer(sent(&actions)[0], v6::MessageType::Advertise, valid, status);
        assert_eq!(client.receive(&reply, START), []);
        assert!(client.complaint().is_some());
    }
}

#[test]
fn an_old_lease_of_ipv6_is_confirmed_and_then_extended() {
    let (_, lease, _) = v6_bound();
    let mut client = Client::new(Family::V6, identity(), Start::Again(lease), 2, START);
    let actions = client.tick(START);
    let confirm = v6_message(sent(&actions)[0]);
    assert_eq!(confirm.msg_type(), v6::MessageType::Confirm);
    let mut reply = v6::Message::new_with_id(v6::MessageType::Reply, confirm.xid());
    reply.opts_mut().insert(v6::DhcpOption::ClientId(identity().duid));
    reply.opts_mut().insert(v6::DhcpOption::ServerId(SERVER.to_vec()));
    reply
        .opts_mut()
        .insert(v6::DhcpOption::StatusCode(v6::StatusCode { status: v6::Status::Success, msg: String::new() }));
    let actions = client.receive(&reply.to_vec().unwrap(), START);
    let rebind = sent(&actions)[0];
    assert_eq!(v6_message(rebind).msg_type(), v6::MessageType::Rebind);
    let actions = client.receive(&v6_answer(rebind, v6::MessageType::Reply, 100, None), START);
    assert!(matches!(actions[..], [Action::Bound { .. }]), "{actions:?}");
}
