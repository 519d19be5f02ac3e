use crate::{span::longest_prefix, subnet::check_unicast};
use ipnet::{IpNet, Ipv6Net};
use linkspan_model::{Error, Family, Result};
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

/// A prefix from which networks get subnets when they ask for none of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultPool {
    /// The prefix.
    pub base: IpNet,
    /// Prefix length of a subnet of it.
    pub prefix: u8,
}

/// How a [`PoolIpam`](crate::PoolIpam) chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Where subnets come from, in this order.
    pub pools: Vec<DefaultPool>,
    /// How long a released address rests at least, even when no other is free. The next-fit
    /// order lets it rest far longer in a subnet with room.
    pub quarantine: Duration,
}

impl PoolConfig {
    /// The default quarantine. It covers what a neighbour has still on its way to the last
    /// holder of the address, and is short enough that a /24 whose sandboxes live for some
    /// milliseconds each does not run dry.
    pub const QUARANTINE: Duration = Duration::from_millis(500);

    /// 4,096 IPv4 subnets of 254 addresses, and 65,536 IPv6 subnets of `ula` (a /48 of RFC
    /// 4193, see [`random_ula`]).
    ///
    /// IPv4 comes from 172.17.0.0 to 172.31.255.255, then from 192.168.0.0/16, where people's
    /// home networks are. It never comes from 10.0.0.0/8, where VPNs and data centres are
    /// whose routes may appear only later, nor from 172.16.0.0/16, the first choice of many a
    /// cloud. The bases are the widest possible, so that `0.0.0.0/13` can be had too.
    pub fn new(ula: Ipv6Net) -> Self {
        let v4 = |b: u8, c: u8, length: u8| DefaultPool {
            base: ipnet::Ipv4Net::new_assert(Ipv4Addr::new(b, c, 0, 0), length).into(),
            prefix: 24,
        };
        let pools = vec![
            v4(172, 17, 16),
            v4(172, 18, 15),
            v4(172, 20, 14),
            v4(172, 24, 13),
            v4(192, 168, 16),
            DefaultPool { base: ula.into(), prefix: 64 },
        ];
        Self { pools, quarantine: Self::QUARANTINE }
    }

    /// Refuses bases that are no networks of hosts, and subnets that do not fit.
    pub(crate) fn check(&self) -> Result<()> {
        for DefaultPool { base, prefix } in &self.pools {
            let family = Family::of_net(base);
            check_unicast(base).map_err(|e| e.context("default pool"))?;
            if *prefix < base.prefix_len() || *prefix > longest_prefix(family) || base.prefix_len() == 0 {
                return Err(Error::invalid(format!("default pool {base} cannot be cut into subnets of /{prefix}"))
                    .fix(format!(
                        "choose a length from /{} to /{}",
                        base.prefix_len().max(1),
                        longest_prefix(family)
                    )));
            }
        }
        Ok(())
    }

    /// The default pools of `family`.
    pub(crate) fn of(&self, family: Family) -> impl Iterator<Item = &DefaultPool> {
        self.pools.iter().filter(move |pool| Family::of_net(&pool.base) == family)
    }
}

/// A /48 of unique local addresses with a random global ID (RFC 4193 §3.2.1), for a host to
/// keep. The ID is never zero: fd00::/48 is what people number by hand.
///
/// # Errors
/// `Unavailable` where the kernel has no random bytes, early at boot.
pub fn random_ula() -> Result<Ipv6Net> {
    let mut id = [0; 5];
    while id == [0; 5] {
        getrandom::fill(&mut id).map_err(|e| Error::unavailable(format!("no random bytes: {e}")))?;
    }
    let mut octets = [0; 16];
    octets[0] = 0xfd;
    octets[1..6].copy_from_slice(&id);
    Ok(Ipv6Net::new_assert(Ipv6Addr::from(octets), 48))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_pools_are_disjoint_and_thousands() {
        let config = PoolConfig::new("fd12:3456:789a::/48".parse().unwrap());
        config.check().unwrap();
        let subnets =
            |family| config.of(family).map(|pool| 1u64 << (pool.prefix - pool.base.prefix_len())).sum::<u64>();
        assert_eq!((subnets(Family::V4), subnets(Family::V6)), (4096, 65536));
        for (n, a) in config.pools.iter().enumerate() {
            for b in &config.pools[n + 1..] {
                assert!(!a.base.contains(&b.base) && !b.base.contains(&a.base), "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn local_prefixes_are_random_and_local() {
        let [a, b] = [random_ula().unwrap(), random_ula().unwrap()];
        assert_ne!(a, b);
        for net in [a, b] {
            assert_eq!(net, net.trunc());
            assert!(net.prefix_len() == 48 && net.addr().octets()[0] == 0xfd);
        }
    }

    #[test]
    fn pools_that_cannot_be_cut_are_refused() {
        for (base, prefix) in [
            ("10.0.0.0/16", 8),
            ("10.0.0.0/16", 31),
            ("10.0.0.1/16", 24),
            ("127.0.0.0/8", 24),
            ("fd12::/48", 127),
            ("::/0", 64),
        ] {
            let pools = vec![DefaultPool { base: base.parse().unwrap(), prefix }];
            let config = PoolConfig { pools, quarantine: Duration::ZERO };
            assert!(config.check().is_err(), "{base} at /{prefix}");
        }
    }
}
