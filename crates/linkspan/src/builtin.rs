//! What linkspan is made of: the list of built-in drivers, and the parts of the engine.

use linkspan_dns::DnsServer;
use linkspan_drivers::{BridgeDriver, HostDriver, NoneDriver, ParentDriver};
use linkspan_engine::{Durability, IpamDriver, NetworkDriver, RecordChange, Store};
use linkspan_ipam::{DhcpIpam, NullIpam, PoolConfig, PoolIpam, random_ula};
use linkspan_model::{Error, Result};

/// Every network driver. A new one is a line here.
pub(crate) fn network_drivers() -> Vec<Box<dyn NetworkDriver>> {
    vec![
        Box::new(BridgeDriver),
        Box::new(HostDriver),
        Box::new(NoneDriver),
        Box::new(ParentDriver::Macvlan),
        Box::new(ParentDriver::Ipvlan),
    ]
}

/// Every IPAM driver. A new one is a line here.
pub(crate) fn ipam_drivers(store: &dyn Store) -> Result<Vec<Box<dyn IpamDriver>>> {
    Ok(vec![Box::new(PoolIpam::new(PoolConfig::new(local_prefix(store)?))?), Box::new(NullIpam), Box::new(DhcpIpam)])
}

/// The name server.
pub(crate) type Resolver = DnsServer;

/// The unique local /48 of this host (RFC 4193): drawn once, then kept.
fn local_prefix(store: &dyn Store) -> Result<ipnet::Ipv6Net> {
    const KEY: &str = "ipv6-prefix";
    match store.load()?.settings.get(KEY) {
        Some(prefix) => prefix
            .parse()
            .map_err(|_| Error::internal(format!("setting {KEY} of the store is {prefix:?}, which is no prefix"))),
        None => {
            let prefix = random_ula()?;
            store.commit(&[RecordChange::PutSetting(KEY.to_owned(), prefix.to_string())], Durability::Power)?;
            Ok(prefix)
        }
    }
}
