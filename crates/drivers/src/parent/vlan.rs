//! VLANs that networks name as their parents: `eth0.10`, and within it `eth0.10.20`. Networks share them, and each goes
//! with its last user, where it is ours.

use linkspan_engine::{Vlan, vlans};
use linkspan_kernel::{Link, LinkKind, Owner, Place, Sysctl, Value, Values};

/// The VLANs that the parent called `name` is made of, but for those that are `foreign`.
fn ours<'a>(name: &'a str, foreign: &'a [String]) -> impl Iterator<Item = Vlan<'a>> {
    vlans(name).filter(|vlan| !foreign.iter().any(|other| other == vlan.name))
}

/// The links, which networks share.
pub(super) fn links(name: &str, foreign: &[String], values: &mut Values) {
    for vlan in ours(name, foreign) {
        let link = Value::Link(Link {
            name: vlan.name.to_owned(),
            kind: LinkKind::Vlan { parent: vlan.parent.to_owned(), id: vlan.id },
            mac: None,
            mtu: None,
            up: true,
            master: None,
            port: None,
            alias: Some(format!("linkspan VLAN {} of {}", vlan.id, vlan.parent)),
            group: 0,
        });
        values.insert(Place::Host, &Owner::new(format!("VLAN {}", vlan.name)), link);
    }
}

/// What keeps the host itself off them. It goes with the links, so that each network may say it.
pub(super) fn settings<'a>(name: &'a str, foreign: &'a [String]) -> impl Iterator<Item = Value> + 'a {
    ours(name, foreign).map(|vlan| Value::Sysctl(Sysctl::new(format!("net/ipv6/conf/{}/disable_ipv6", vlan.name), "1")))
}
