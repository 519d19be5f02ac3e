use super::ruleset::{element, suffix};
use linkspan_kernel::{NftData, NftField, Value};
use linkspan_model::{Family, PortBinding, PortRange, PortSpec, Protocol};
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

/// The elements that let `ports` be reached at `address` itself, the sandbox's. A range is one interval; those that
/// overlap are joined, because the kernel refuses intervals that share a port.
pub(super) fn direct_elements<'a>(
    ports: impl Iterator<Item = &'a PortSpec>,
    address: IpAddr,
    comment: &str,
) -> Vec<Value> {
    let set = format!("direct{}", suffix(Family::of(address)));
    let mut ranges: Vec<(Protocol, PortRange)> = ports.map(|port| (port.protocol, port.sandbox)).collect();
    ranges.sort_unstable();
    ranges.dedup_by(|next, range| {
        let joins = next.0 == range.0 && next.1.overlaps(range.1);
        if joins {
            range.1.last = range.1.last.max(next.1.last);
        }
        joins
    });
    let of_range = |(protocol, range): (Protocol, PortRange)| {
        let key = |ports| vec![NftField::Address(address), NftField::Protocol(protocol.number()), ports];
        if range.count() > 1 {
            element(format!("{set}_range"), ranged(key(NftField::Ports(range))), None, comment)
        } else {
            element(set.clone(), key(NftField::Port(range.first)), None, comment)
        }
    };
    ranges.into_iter().map(of_range).collect()
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

    #[test]
    fn ports_at_the_sandboxes_own_address_are_joined_where_they_overlap() {
        let direct = |ports: &[&str], address: &str| -> Vec<String> {
            let ports: Vec<PortSpec> = ports.iter().map(|port| port.parse().unwrap()).collect();
            direct_elements(ports.iter(), address.parse().unwrap(), "").iter().map(ToString::to_string).collect()
        };
        let prefix = "element of inet linkspan ";
        assert_eq!(direct(&["8080:80", "8081:80"], "10.0.0.2"), [format!("{prefix}direct4: 10.0.0.2 . tcp . 80")]);
        assert_eq!(
            direct(&["80-90", "85-95", "80/udp"], "fd12::2"),
            [
                format!("{prefix}direct6_range: fd12::2/128 . tcp . 80-95"),
                format!("{prefix}direct6: fd12::2 . udp . 80")
            ]
        );
    }
}
