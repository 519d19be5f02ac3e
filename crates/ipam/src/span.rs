use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use linkspan_model::Family;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of one family as numbers, from `first` to `last`, both within.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) first: u128,
    pub(crate) last: u128,
}

impl Span {
    /// All addresses of `net`.
    pub(crate) fn of(net: &IpNet) -> Self {
        Self { first: number(net.network()), last: number(net.broadcast()) }
    }

    /// The addresses of `net` that a host can have: in IPv4 neither the network's nor the
    /// broadcast address, in IPv6 not the routers' anycast address (RFC 4291 §2.6.1).
    pub(crate) fn usable(net: &IpNet) -> Self {
        let all = Self::of(net);
        let last = if net.addr().is_ipv4() { all.last.saturating_sub(1) } else { all.last };
        Self { first: all.first.saturating_add(1), last }
    }

    pub(crate) fn contains(self, n: u128) -> bool {
        self.first <= n && n <= self.last
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// What is in both; `None` where nothing is.
    pub(crate) fn intersection(self, other: Self) -> Option<Self> {
        self.overlaps(other).then(|| Self { first: self.first.max(other.first), last: self.last.min(other.last) })
    }

    /// How many addresses it holds; saturates for the whole of IPv6.
    pub(crate) fn len(self) -> u128 {
        (self.last - self.first).saturating_add(1)
    }
}

/// The address as a number.
pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The address that `n` stands for, with the prefix length of `subnet`. `n` lies in `subnet`.
pub(crate) fn address_in(subnet: &IpNet, n: u128) -> IpNet {
    match subnet {
        // Numbers of IPv4 addresses have 32 bits.
        IpNet::V4(_) => Ipv4Net::new_assert(Ipv4Addr::from(n as u32), subnet.prefix_len()).into(),
        IpNet::V6(_) => Ipv6Net::new_assert(Ipv6Addr::from(n), subnet.prefix_len()).into(),
    }
}

/// Bits of an address.
pub(crate) fn width(family: Family) -> u8 {
    match family {
        Family::V4 => 32,
        Family::V6 => 128,
    }
}

/// The longest prefix whose subnet holds a gateway and an endpoint.
pub(crate) fn longest_prefix(family: Family) -> u8 {
    width(family) - 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usable_addresses() {
        for (net, first, last) in [
            ("10.0.0.0/30", "10.0.0.1", "10.0.0.2"),
            ("10.0.0.0/8", "10.0.0.1", "10.255.255.254"),
            ("fd00:1::/126", "fd00:1::1", "fd00:1::3"),
            ("fd00:1::/64", "fd00:1::1", "fd00:1::ffff:ffff:ffff:ffff"),
        ] {
            let span = Span::usable(&net.parse().unwrap());
            let expected = Span { first: number(first.parse().unwrap()), last: number(last.parse().unwrap()) };
            assert_eq!(span, expected, "{net}");
        }
        assert_eq!(Span::of(&"::/0".parse().unwrap()).len(), u128::MAX);
    }
}
