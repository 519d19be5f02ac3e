//! The kernel objects of a network: the device that it has for itself where it names none, and the host's link.

use super::{ParentOptions, host, owner_of_network, vlan};
use linkspan_engine::NetworkRecord;
use linkspan_kernel::{Link, LinkKind, Place, Sysctl, Value, Values};

pub(super) fn values(network: &NetworkRecord, options: &ParentOptions) -> Values {
    let mut values = Values::new();
    let parent = device(network, options);
    if options.parent.is_none() {
        let owner = owner_of_network(network);
        values.insert(
            Place::Host,
            &owner,
            Value::Link(Link {
                name: parent.clone(),
                kind: LinkKind::Dummy,
                mac: None,
                mtu: options.mtu,
                up: true,
                master: None,
                port: None,
                alias: Some(format!("linkspan network {} {}", network.id.short(), network.name())),
                group: 0,
            }),
        );
        let ipv6 = format!("net/ipv6/conf/{parent}/disable_ipv6");
        values.insert(Place::Host, &owner, Value::Sysctl(Sysctl::new(ipv6, "1")));
    }
    if let Some(name) = &options.parent {
        let owner = owner_of_network(network);
        for setting in vlan::settings(name, &network.foreign_parents) {
            values.insert(Place::Host, &owner, setting);
        }
    }
    if options.host_access {
        host::values(network, options, parent, &mut values);
    }
    values
}

/// The device that endpoints share: one that drops what it is sent where the network names none.
pub(super) fn device(network: &NetworkRecord, options: &ParentOptions) -> String {
    options.parent.clone().unwrap_or_else(|| format!("lsd{}", network.id.short()))
}
