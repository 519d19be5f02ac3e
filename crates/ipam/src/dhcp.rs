use crate::NullIpam;
use ipnet::IpNet;
use linkspan_engine::{IpamDriver, Pool, PoolRequest, Source, Usage};
use linkspan_model::{Error, Family, MacAddr, Result};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// How long an endpoint that joins waits for its first address where the network does not say.
const PATIENCE: Duration = Duration::from_secs(10);

/// The IPAM driver `dhcp`: for networks that are on a wire with servers and routers of somebody else, which give the
/// addresses. The engine asks them; this driver only says so. Like `null` it has no pools.
#[derive(Clone, Copy, Debug, Default)]
pub struct DhcpIpam;

/// Options of a network.
struct Options {
    patience: Duration,
    v6: Source,
}

impl Options {
    fn parse(options: &BTreeMap<String, String>) -> Result<Self> {
        let mut patience = PATIENCE;
        let mut autoconf = false;
        for (key, text) in options {
            let malformed = |fix: &str| Err(Error::invalid(format!("IPAM option {key}={text} is malformed")).fix(fix));
            match key.as_str() {
                "timeout" => match text.parse() {
                    Ok(seconds @ 0..=120) => patience = Duration::from_secs(seconds),
                    _ => return malformed("give seconds from 0 (an endpoint starts without an address) to 120"),
                },
                "ipv6" => match text.as_str() {
                    "dhcp" => autoconf = false,
                    "slaac" => autoconf = true,
                    _ => return malformed("give dhcp or slaac"),
                },
                _ => {
                    return Err(Error::invalid(format!("IPAM driver dhcp has no option {key:?}"))
                        .fix("its options are ipv6, timeout"));
                }
            }
        }
        Ok(Self { patience, v6: if autoconf { Source::Routers } else { Source::Server { patience } } })
    }
}

impl IpamDriver for DhcpIpam {
    fn name(&self) -> &'static str {
        "dhcp"
    }

    fn source(&self, family: Family, options: &BTreeMap<String, String>) -> Result<Source> {
        let Options { patience, v6 } = Options::parse(options)?;
        Ok(if family == Family::V4 { Source::Server { patience } } else { v6 })
    }

    fn request_pool(&self, request: &PoolRequest<'_>) -> Result<Pool> {
        Options::parse(request.options)?;
        if let Some(spec) = request.spec {
            return Err(Error::invalid(format!(
                "subnet {} with the IPAM driver dhcp, whose server knows it",
                spec.subnet
            ))
            .fix("leave the subnet out, or use the IPAM driver pool"));
        }
        NullIpam.request_pool(request)
    }

    fn restore_pool(&self, _: &Pool) -> Result<()> {
        Ok(())
    }

    fn release_pool(&self, _: &Pool) {}

    fn request_address(&self, pool: &Pool, wanted: Option<IpAddr>, mac: MacAddr) -> Result<IpNet> {
        NullIpam.request_address(pool, wanted, mac)
    }

    fn restore_address(&self, _: &Pool, _: IpAddr) -> Result<()> {
        Ok(())
    }

    fn release_address(&self, _: &Pool, _: IpAddr) {}

    fn held(&self, _: &Pool) -> Result<Vec<IpAddr>> {
        Ok(Vec::new())
    }

    fn usage(&self, _: &Pool) -> Usage {
        Usage::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(family: Family, pairs: &[(&str, &str)]) -> Result<Source> {
        DhcpIpam.source(family, &pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn options_say_who_gives_addresses() {
        let seconds = |n| Source::Server { patience: Duration::from_secs(n) };
        assert_eq!(source(Family::V4, &[]).unwrap(), seconds(10));
        assert_eq!(source(Family::V4, &[("timeout", "0"), ("ipv6", "slaac")]).unwrap(), seconds(0));
        assert_eq!(source(Family::V6, &[("ipv6", "slaac")]).unwrap(), Source::Routers);
        assert_eq!(source(Family::V6, &[("ipv6", "dhcp"), ("timeout", "120")]).unwrap(), seconds(120));
        for (key, value) in [("timeout", "121"), ("timeout", "-1"), ("timeout", ""), ("ipv6", "ra"), ("lease", "1")] {
            let error = source(Family::V4, &[(key, value)]).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
    }
}
