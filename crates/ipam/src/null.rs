use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use linkspan_engine::{IpamDriver, Pool, PoolRequest, Usage};
use linkspan_model::{Error, Family, MacAddr, Result};
use std::{collections::BTreeMap, net::IpAddr};

/// The IPAM driver `null`: for networks whose endpoints get no address from us.
///
/// As in Docker its pool is the unspecified one, `0.0.0.0/0` or `::/0`, and every request for
/// an address is answered with the unspecified address, which means none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullIpam;

impl IpamDriver for NullIpam {
    fn name(&self) -> &'static str {
        "null"
    }

    fn request_pool(&self, request: &PoolRequest<'_>) -> Result<Pool> {
        if let Some(spec) = request.spec {
            return Err(Error::invalid(format!("subnet {} with the IPAM driver null, which gives none", spec.subnet))
                .fix("leave the subnet out, or use the IPAM driver pool"));
        }
        let subnet = match request.family {
            Family::V4 => IpNet::V4(Ipv4Net::default()),
            Family::V6 => IpNet::V6(Ipv6Net::default()),
        };
        Ok(Pool { subnet, range: None, gateway: None, aux_addresses: BTreeMap::new() })
    }

    fn restore_pool(&self, _: &Pool) -> Result<()> {
        Ok(())
    }

    fn release_pool(&self, _: &Pool) {}

    fn request_address(&self, pool: &Pool, wanted: Option<IpAddr>, _: MacAddr) -> Result<IpNet> {
        match wanted {
            Some(address) => {
                Err(Error::invalid(format!("address {address} with the IPAM driver null, which gives none"))
                    .fix("leave the address out, or use a network with the IPAM driver pool"))
            }
            None => Ok(pool.subnet),
        }
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
