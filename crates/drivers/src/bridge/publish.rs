use super::ruleset::{element, suffix};
use linkspan_kernel::{NftData, NftField, Value};
use linkspan_model::{Family, PortBinding};
use std::net::IpAddr;

/// The map elements that lead the host ports of `binding` to `address`; none where the binding
/// is of the other family. A range whose ports keep their numbers is one interval; nf_tables
/// cannot shift a range, so any other is an element a port.
pub(super) fn elements(binding: &PortBinding, address: IpAddr, comment: &str) -> Vec<Value> {
    let family = Family::of(address);
    if binding.host_ip.is_some_and(|ip| Family::of(ip) != family) {
        return Vec::new();
    }
    let exact = binding.host_ip.filter(|ip| !ip.is_unspecified());
    let map = format!("publish{}{}", suffix(family), if exact.is_some() { "" } else { "_any" });
    let key = |port: NftField| {
        let host = exact.map(NftField::Address);
        host.into_iter().chain([NftField::Protocol(binding.protocol.number()), port]).collect()
    };
    if binding.host.count() > 1 && binding.host.first == binding.sandbox {
        let target = NftData::Fields(vec![NftField::Address(address)]);
        return vec![element(
            format!("{map}_range"),
            ranged(key(NftField::Ports(binding.host))),
            Some(target),
            comment,
        )];
    }
    (binding.host.iter().zip(binding.sandbox..))
        .map(|(host, sandbox)| {
            let target = NftData::Fields(vec![NftField::Address(address), NftField::Port(sandbox)]);
            element(map.clone(), key(NftField::Port(host)), Some(target), comment)
        })
        .collect()
}

/// The key of an interval map: a single address is a prefix of full length there.
fn ranged(key: Vec<NftField>) -> Vec<NftField> {
    key.into_iter()
        .map(|field| match field {
            NftField::Address(address) => NftField::Net(address.into()),
            field => field,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use linkspan_model::{PortRange, Protocol};

    fn texts(host_ip: Option<&str>, first: u16, last: u16, sandbox: u16, address: &str) -> Vec<String> {
        let binding = PortBinding {
            host_ip: host_ip.map(|ip| ip.parse().unwrap()),
            host: PortRange { first, last },
            sandbox,
            protocol: Protocol::Tcp,
        };
        elements(&binding, address.parse().unwrap(), "").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn ranges_are_intervals_where_the_numbers_stay() {
        let prefix = "element of inet linkspan ";
        assert_eq!(
            texts(None, 80, 80, 8080, "10.0.0.2"),
            [format!("{prefix}publish4_any: tcp . 80 : 10.0.0.2 . 8080")]
        );
        assert_eq!(
            texts(Some("198.18.0.1"), 80, 90, 80, "10.0.0.2"),
            [format!("{prefix}publish4_range: 198.18.0.1/32 . tcp . 80-90 : 10.0.0.2")]
        );
        assert_eq!(texts(None, 80, 82, 90, "fd12::2").len(), 3);
        assert_eq!(
            texts(Some("0.0.0.0"), 80, 80, 80, "10.0.0.2"),
            [format!("{prefix}publish4_any: tcp . 80 : 10.0.0.2 . 80")]
        );
        assert!(texts(Some("::1"), 80, 80, 80, "10.0.0.2").is_empty());
    }
}
