//! The clients beside a server that says what it is told to say.

mod six;

use crate::{
    Action, Client, Datagram, FOREVER, Identity, Lease, Loss, Stage, Start, Time, To,
    fuzzing::{dhcp_answer, identity},
};
use dhcproto::{
    Decodable as _, Decoder, Encodable as _,
    v4::{self, DhcpOption, MessageType, Opcode},
    v6,
};
use linkspan_model::Family;
use proptest::prelude::*;
use six::v6_answer;
use std::{net::Ipv4Addr, time::Duration};

const START: Time = Time::from_secs(1000);

fn sent(actions: &[Action]) -> Vec<&Datagram> {
    actions
        .iter()
        .filter_map(|action| if let Action::Send(datagram) = action { Some(datagram) } else { None })
        .collect()
}

fn v4_message(datagram: &Datagram) -> v4::Message {
    v4::Message::decode(&mut Decoder::new(&datagram.payload)).unwrap()
}

fn kind(datagram: &Datagram) -> MessageType {
    v4_message(datagram).opts().msg_type().unwrap()
}

/// An answer to `question` that gives 10.0.0.5/24 for 100 seconds, with what `edit` makes of it.
fn answer(question: &Datagram, kind: MessageType, edit: impl FnOnce(&mut v4::Message)) -> Vec<u8> {
    let question = v4_message(question);
    let none = Ipv4Addr::UNSPECIFIED;
    let mut message =
        v4::Message::new_with_id(question.xid(), none, [10, 0, 0, 5].into(), none, none, question.chaddr());
    message.set_opcode(Opcode::BootReply);
    let options = message.opts_mut();
    options.insert(DhcpOption::MessageType(kind));
    options.insert(DhcpOption::ServerIdentifier([10, 0, 0, 1].into()));
    options.insert(DhcpOption::SubnetMask([255, 255, 255, 0].into()));
    options.insert(DhcpOption::AddressLeaseTime(100));
    edit(&mut message);
    message.to_vec().unwrap()
}

/// A client that has got its lease at [`START`], and the time after the probes.
fn bound(edit: impl Fn(&mut v4::Message)) -> (Client, Lease, Time) {
    let mut client = Client::new(Family::V4, identity(), Start::Fresh, 1, START);
    let discover = client.tick(START);
    let request = client.receive(&answer(sent(&discover)[0], MessageType::Offer, &edit), START);
    let probing = client.receive(&answer(sent(&request)[0], MessageType::Ack, &edit), START);
    assert!(matches!(probing.as_slice(), [Action::Probe(_)]), "{probing:?}");
    loop {
        let now = client.next();
        for action in client.tick(now) {
            if let Action::Bound { lease, since } = action {
                assert_eq!(since, START, "a lease begins when it was asked for");
                return (client, lease, now);
            }
        }
    }
}

#[test]
fn discover_offer_request_ack_probe() {
    let mut client = Client::new(Family::V4, identity(), Start::Wish([10, 0, 0, 7].into()), 1, START);
    let actions = client.tick(START);
    let discover = sent(&actions)[0];
    assert_eq!((kind(discover), discover.to, client.stage()), (MessageType::Discover, To::Everyone, Stage::Asking));
    let message = v4_message(discover);
    assert_eq!(
        message.opts().get(v4::OptionCode::RequestedIpAddress),
        Some(&DhcpOption::RequestedIpAddress([10, 0, 0, 7].into()))
    );
    assert_eq!(
        message.opts().get(v4::OptionCode::ClientIdentifier),
        Some(&DhcpOption::ClientIdentifier(identity().client_id()))
    );
    assert!(!message.flags().broadcast());
    let actions = client.receive(&answer(discover, MessageType::Offer, |_| ()), START);
    let request = v4_message(sent(&actions)[0]);
    assert_eq!(request.opts().msg_type(), Some(MessageType::Request));
    assert_eq!((request.xid(), request.ciaddr()), (message.xid(), Ipv4Addr::UNSPECIFIED));
    assert_eq!(
        request.opts().get(v4::OptionCode::ServerIdentifier),
        Some(&DhcpOption::ServerIdentifier([10, 0, 0, 1].into()))
    );
    let (client, lease, now) = bound(|_| ());
    assert_eq!(
        (lease.address.to_string().as_str(), lease.renew, lease.rebind, lease.expire),
        ("10.0.0.5/24", 50, 87, 100)
    );
    assert!(now - START < Duration::from_secs(1) && client.stage() == Stage::Bound);
}

#[test]
fn nobody_answers() {
    let mut client = Client::new(Family::V4, identity(), Start::Fresh, 1, START);
    let (mut now, mut times) = (START, Vec::new());
    while now < START + Duration::from_secs(600) {
        for datagram in sent(&client.tick(now)) {
            assert_eq!(kind(datagram), MessageType::Discover);
            times.push(now - START);
        }
        now = client.next();
    }
    assert!((10..20).contains(&times.len()), "{times:?}");
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!((58..=71).contains(&longest.as_secs()), "{longest:?}");
}

#[test]
fn renewed_by_unicast_and_rebound_by_broadcast() {
    let (mut client, lease, _) = bound(|_| ());
    let renew = START + Duration::from_secs(50);
    assert_eq!(client.next(), renew);
    let actions = client.tick(renew);
    let request = sent(&actions)[0];
    assert_eq!((request.to, request.source), (To::Server([10, 0, 0, 1].into()), lease.address.addr()));
    let message = v4_message(request);
    assert_eq!(message.ciaddr(), Ipv4Addr::new(10, 0, 0, 5));
    assert!(
        !message.opts().contains(v4::OptionCode::ServerIdentifier)
            && !message.opts().contains(v4::OptionCode::RequestedIpAddress)
    );
    let mut again = client.clone();
    let actions = again.receive(&answer(request, MessageType::Ack, |_| ()), renew + Duration::from_secs(1));
    assert!(matches!(&actions[..], [Action::Bound { since, .. }] if *since == renew), "{actions:?}");
    assert_eq!(again.next(), renew + Duration::from_secs(50));
    // Nobody answers until T2, and nobody until the end.
    let (mut now, mut everyone) = (renew, 0);
    while now < START + Duration::from_secs(100) {
        now = client.next();
        for action in client.tick(now) {
            match action {
                Action::Send(datagram) if now < START + Duration::from_secs(100) => {
                    let rebinding = now >= START + Duration::from_secs(87);
                    assert_eq!(datagram.to == To::Everyone, rebinding, "{now:?}");
                    everyone += u32::from(rebinding);
                    assert_eq!(datagram.source, lease.address.addr());
                }
                Action::Send(datagram) => assert_eq!(kind(&datagram), MessageType::Discover),
                Action::Lost(loss) => assert_eq!((loss, now), (Loss::Expired, START + Duration::from_secs(100))),
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(everyone >= 1);
    assert_eq!(client.stage(), Stage::Asking);
}

#[test]
fn a_server_that_says_no() {
    let (mut client, ..) = bound(|_| ());
    let renew = START + Duration::from_secs(50);
    let actions = client.tick(renew);
    let nak = answer(sent(&actions)[0], MessageType::Nak, |message| {
        message.set_yiaddr(Ipv4Addr::UNSPECIFIED);
        message.opts_mut().insert(DhcpOption::Message("wrong\nnetwork".to_owned()));
    });
    let actions = client.receive(&nak, renew);
    assert_eq!(actions[0], Action::Lost(Loss::Refused));
    assert_eq!(kind(sent(&actions)[0]), MessageType::Discover, "the first time at once");
    assert_eq!(client.complaint(), Some("the server refuses the address: wrongnetwork"));
}

#[test]
fn an_old_lease_is_asked_for_again() {
    let (_, lease, _) = bound(|_| ());
    let mut client = Client::new(Family::V4, identity(), Start::Again(lease.clone()), 2, START);
    let actions = client.tick(START);
    let message = v4_message(sent(&actions)[0]);
    assert_eq!(message.opts().msg_type(), Some(MessageType::Request));
    assert!(!message.opts().contains(v4::OptionCode::ServerIdentifier));
    assert_eq!(
        message.opts().get(v4::OptionCode::RequestedIpAddress),
        Some(&DhcpOption::RequestedIpAddress([10, 0, 0, 5].into()))
    );
    let ack = answer(sent(&actions)[0], MessageType::Ack, |_| ());
    assert!(matches!(client.clone().receive(&ack, START)[..], [Action::Probe(_)]));
    let nak = answer(sent(&actions)[0], MessageType::Nak, |_| ());
    let actions = client.receive(&nak, START);
    assert_eq!(actions.len(), 1, "an address that is not in use is not lost: {actions:?}");
    assert_eq!(kind(sent(&actions)[0]), MessageType::Discover);
    // One that runs on goes on where it was.
    let held = Client::new(Family::V4, identity(), Start::Held(lease, START), 3, START + Duration::from_secs(60));
    assert_eq!((held.stage(), held.next()), (Stage::Bound, START + Duration::from_secs(50)));
}

#[test]
fn an_address_of_another_is_declined() {
    let mut client = Client::new(Family::V4, identity(), Start::Fresh, 1, START);
    let mut pauses = Vec::new();
    let mut now = START;
    for _ in 0..3 {
        let begin = now;
        let discover = loop {
            let actions = client.tick(now);
            if let Some(datagram) = sent(&actions).first() {
                break (*datagram).clone();
            }
            now = client.next();
        };
        pauses.push((now - begin).as_secs());
        let request = client.receive(&answer(&discover, MessageType::Offer, |_| ()), now);
        client.receive(&answer(sent(&request)[0], MessageType::Ack, |_| ()), now);
        let actions = client.conflict(now);
        let decline = v4_message(sent(&actions)[0]);
        assert_eq!(decline.opts().msg_type(), Some(MessageType::Decline));
        assert_eq!(
            decline.opts().get(v4::OptionCode::RequestedIpAddress),
            Some(&DhcpOption::RequestedIpAddress([10, 0, 0, 5].into()))
        );
        if pauses.len() == 1 {
            // The next discovery is sent with it, and is what the next turn answers.
            assert_eq!(kind(sent(&actions)[1]), MessageType::Discover);
            let request = client.receive(&answer(sent(&actions)[1], MessageType::Offer, |_| ()), now);
            client.receive(&answer(sent(&request)[0], MessageType::Ack, |_| ()), now);
            client.conflict(now);
        }
    }
    assert_eq!(pauses, [0, 4, 8]);
    assert!(client.complaint().unwrap().contains("10.0.0.5, which the server gave, is in use by another"));
}

#[test]
fn answers_of_no_use_are_told_and_change_nothing() {
    type Edit = fn(&mut v4::Message);
    let bad: [(&str, Edit); 9] = [
        ("for no time at all", |m| {
            m.opts_mut().insert(DhcpOption::AddressLeaseTime(0));
        }),
        ("for how long", |m| {
            m.opts_mut().remove(v4::OptionCode::AddressLeaseTime);
        }),
        ("names no server", |m| {
            m.opts_mut().remove(v4::OptionCode::ServerIdentifier);
        }),
        ("no address of a host", |m| {
            m.set_yiaddr([0, 0, 0, 0]);
        }),
        ("no address of a host", |m| {
            m.set_yiaddr([224, 0, 0, 5]);
        }),
        ("no address of a host", |m| {
            m.set_yiaddr([127, 0, 0, 5]);
        }),
        ("no address of a host in its subnet", |m| {
            m.set_yiaddr([10, 0, 0, 255]);
        }),
        ("no address of a host in its subnet", |m| {
            m.set_yiaddr([10, 0, 0, 0]);
        }),
        ("subnet mask", |m| {
            m.opts_mut().insert(DhcpOption::SubnetMask([255, 0, 255, 0].into()));
        }),
    ];
    for (why, edit) in bad {
        let mut client = Client::new(Family::V4, identity(), Start::Fresh, 1, START);
        let actions = client.tick(START);
        assert_eq!(client.receive(&answer(sent(&actions)[0], MessageType::Offer, edit), START), [], "{why}");
        assert!(client.complaint().unwrap().contains(why), "{:?}", client.complaint());
        let offer = answer(sent(&actions)[0], MessageType::Offer, |_| ());
        let request = client.receive(&offer, START);
        assert_eq!(kind(sent(&request)[0]), MessageType::Request, "a good one is taken afterwards");
    }
    // Somebody else's: not even a complaint.
    let others: [(&str, Edit); 5] = [
        ("number", |m| {
            m.set_xid(m.xid() ^ 1);
        }),
        ("MAC address", |m| {
            m.set_chaddr(&[2, 0, 0, 0, 0, 2]);
        }),
        ("client identifier", |m| {
            m.opts_mut().insert(DhcpOption::ClientIdentifier(vec![1, 2, 3]));
        }),
        ("a request", |m| {
            m.set_opcode(Opcode::BootRequest);
        }),
        ("an acknowledgement", |m| {
            m.opts_mut().insert(DhcpOption::MessageType(MessageType::Ack));
        }),
    ];
    for (what, edit) in others {
        let mut client = Client::new(Family::V4, identity(), Start::Fresh, 1, START);
        let actions = client.tick(START);
        assert_eq!(client.receive(&answer(sent(&actions)[0], MessageType::Offer, edit), START), [], "{what}");
        assert_eq!(client.complaint(), None, "{what}");
    }
}

#[test]
fn another_servers_acknowledgement_is_not_what_was_asked_for() {
    let mut client = Client::new(Family::V4, identity(), Start::Fresh, 1, START);
    let actions = client.tick(START);
    let request = client.receive(&answer(sent(&actions)[0], MessageType::Offer, |_| ()), START);
    let other = |m: &mut v4::Message| {
        m.opts_mut().insert(DhcpOption::ServerIdentifier([10, 0, 0, 2].into()));
    };
    assert_eq!(client.receive(&answer(sent(&request)[0], MessageType::Ack, other), START), []);
    assert_eq!(client.receive(&answer(sent(&request)[0], MessageType::Nak, other), START), []);
    assert_eq!(client.stage(), Stage::Asking);
}

#[test]
fn options_say_what_else_there_is() {
    let (_, lease, _) = bound(|message| {
        let options = message.opts_mut();
        options.insert(DhcpOption::Router(vec![[10, 0, 0, 9].into()]));
        options.insert(DhcpOption::DomainNameServer(vec![[10, 0, 0, 53].into(), [0, 0, 0, 0].into()]));
        options.insert(DhcpOption::NtpServers(vec![[10, 0, 0, 123].into()]));
        options.insert(DhcpOption::InterfaceMtu(1400));
        options.insert(DhcpOption::DomainName("lan.example\0".to_owned()));
        options.insert(DhcpOption::Renewal(20));
        options.insert(DhcpOption::Rebinding(30));
    });
    let settings = &lease.settings;
    assert_eq!((lease.renew, lease.rebind), (20, 30));
    assert_eq!(settings.gateway, Some([10, 0, 0, 9].into()));
    assert_eq!(settings.dns, [std::net::IpAddr::from([10, 0, 0, 53])]);
    assert_eq!(
        (settings.mtu, settings.search.as_slice(), settings.ntp.len()),
        (Some(1400), &["lan.example".to_owned()][..], 1)
    );
    // Classless routes go before the router (RFC 3442).
    let (_, lease, _) = bound(|message| {
        let options = message.opts_mut();
        options.insert(DhcpOption::Router(vec![[10, 0, 0, 9].into()]));
        options.insert(DhcpOption::InterfaceMtu(20));
        options.insert(DhcpOption::ClasslessStaticRoute(vec![
            ("0.0.0.0/0".parse().unwrap(), [10, 0, 0, 8].into()),
            ("10.7.0.0/16".parse().unwrap(), [10, 0, 0, 7].into()),
            ("10.7.0.0/16".parse().unwrap(), [10, 0, 0, 6].into()),
            ("192.168.7.0/24".parse().unwrap(), [0, 0, 0, 0].into()),
        ]));
    });
    assert_eq!((lease.settings.gateway, lease.settings.mtu), (Some([10, 0, 0, 8].into()), None));
    let ways: Vec<String> =
        lease.settings.routes.iter().map(|way| format!("{} {:?}", way.destination, way.gateway)).collect();
    assert_eq!(ways, ["10.7.0.0/16 Some(10.0.0.7)", "192.168.7.0/24 None"]);
}

#[test]
fn leases_for_ever_are_never_renewed() {
    let (client, lease, _) = bound(|message| {
        message.opts_mut().insert(DhcpOption::AddressLeaseTime(FOREVER));
    });
    assert_eq!((lease.renew, lease.rebind, client.next()), (FOREVER, FOREVER, Time::MAX));
}

#[test]
fn who_shares_a_mac_address_is_answered_by_broadcast() {
    let identity = Identity { broadcast: true, ..identity() };
    let mut client = Client::new(Family::V4, identity, Start::Fresh, 1, START);
    assert!(v4_message(sent(&client.tick(START))[0]).flags().broadcast());
}

#[test]
fn given_back() {
    let (_, lease, _) = bound(|_| ());
    let release = Client::release(&identity(), &lease, 5);
    assert_eq!((kind(&release), release.to), (MessageType::Release, To::Server([10, 0, 0, 1].into())));
    assert_eq!(v4_message(&release).ciaddr(), Ipv4Addr::new(10, 0, 0, 5));
}

#[test]
fn saved_answers() {
    linkspan_testkit::replay("dhcp_answer", dhcp_answer);
}

#[test]
fn identities_are_the_same_for_the_same_parts() {
    let duid = Identity::duid_of(&[b"network", b"web"]);
    assert_eq!(duid, Identity::duid_of(&[b"network", b"web"]));
    assert_ne!(duid, Identity::duid_of(&[b"networ", b"kweb"]));
    assert_eq!((duid.len(), &duid[..2]), (18, &[0, 4][..]));
    assert_eq!(identity().client_id()[..5], [255, 0, 0, 0, 1]);
}

proptest! {
    #[test]
    fn times_are_in_order(expire in 1u32.., renew: Option<u32>, rebind: Option<u32>) {
        let (renew, rebind) = Lease::times(expire, renew, rebind, (0.5, 0.875));
        prop_assert!(renew <= rebind && rebind <= expire && renew > 0);
    }

    /// Good answers with bytes changed, at every stage.
    #[test]
    fn whatever_arrives(v6: bool, changes in prop::collection::vec((0usize..400, any::<u8>()), 0..6), cut in 0usize..400) {
        let mut client = Client::new(if v6 { Family::V6 } else { Family::V4 }, identity(), Start::Fresh, 1, START);
        let actions = client.tick(START);
        let mut data = vec![u8::from(v6)];
        data.extend(if v6 {
            v6_answer(sent(&actions)[0], v6::MessageType::Reply, 100, None)
        } else {
            answer(sent(&actions)[0], MessageType::Ack, |_| ())
        });
        for (place, byte) in changes {
            if let Some(at) = data.get_mut(place + 1) {
                *at = byte;
            }
        }
        if cut > 200 {
            data.truncate(cut);
        }
        dhcp_answer(&data);
    }
}
