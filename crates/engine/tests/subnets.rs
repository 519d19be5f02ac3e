//! Networks of several subnets, beside a model: addresses come from the first subnet with room.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use linkspan_model::{EndpointSpec, ErrorClass};
use proptest::prelude::*;
use std::{collections::BTreeSet, net::Ipv4Addr};
use support::{Host, subnets};

/// Subnets of six, two and six addresses, one of each the gateway's.
const SUBNETS: [&str; 3] = ["10.5.0.0/29", "10.5.0.8/30", "10.6.0.0/29"];

fn usable(subnet: &str) -> Vec<Ipv4Addr> {
    let net: ipnet::Ipv4Net = subnet.parse().unwrap();
    // The first is the gateway's.
    net.hosts().skip(1).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn addresses_are_those_of_the_model(
        asked in prop::collection::vec(prop::option::of((0..3u8, 0..16u8)), 1..20),
        restart_after in 0..20usize,
    ) {
        let mut host = Host::new();
        host.engine.create_network(subnets("app", &SUBNETS)).unwrap();
        let mut taken = BTreeSet::new();
        for (number, asked) in asked.into_iter().enumerate() {
            if number == restart_after {
                host.restart();
            }
            // 10.4.0.0/24 is nobody's.
            let ipv4 = asked.map(|(net, last)| Ipv4Addr::new(10, 4 + net, 0, last));
            let got = host.engine.create_endpoint(EndpointSpec { ipv4, ..EndpointSpec::on("app") });
            let holding = SUBNETS.iter().find(|subnet| usable(subnet).iter().any(|address| !taken.contains(address)));
            let refusal = got.as_ref().map(drop).map_err(|error| error.class());
            match (ipv4, holding) {
                (Some(wanted), _) if SUBNETS.iter().any(|subnet| usable(subnet).contains(&wanted)) => {
                    if taken.insert(wanted) {
                        prop_assert_eq!(got.unwrap().ipv4.unwrap().addr(), wanted);
                    } else {
                        prop_assert_eq!(refusal, Err(ErrorClass::InUse));
                    }
                }
                // A gateway's, or an address that nobody in the subnets can have.
                (Some(_), _) => {
                    let error = got.unwrap_err();
                    prop_assert!([ErrorClass::InUse, ErrorClass::Invalid].contains(&error.class()), "{}", error);
                }
                (None, Some(subnet)) => {
                    let view = got.unwrap();
                    let net = view.ipv4.unwrap();
                    prop_assert!(usable(subnet).contains(&net.addr()), "{net} comes from {subnet}, the first with room");
                    prop_assert!(taken.insert(net.addr()), "{net} is given once");
                    let length: ipnet::Ipv4Net = subnet.parse().unwrap();
                    prop_assert_eq!(net.prefix_len(), length.prefix_len());
                    prop_assert_eq!(view.gateway_v4, length.hosts().next(), "the gateway of its own subnet");
                }
                (None, None) => prop_assert_eq!(refusal, Err(ErrorClass::Exhausted)),
            }
        }
    }
}
