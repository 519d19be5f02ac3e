use crate::Pool;
use ipnet::IpNet;
use linkspan_model::{Family, MacAddr, PoolSpec, Result, Scope};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// A prefix that a new pool must not overlap, and who is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupied {
    /// The prefix.
    pub net: IpNet,
    /// Who is there, for people: `network "web"`, `interface eth0`.
    pub holder: String,
}

/// A request for a pool.
#[derive(Clone, Debug)]
pub struct PoolRequest<'a> {
    /// The IP version.
    pub family: Family,
    /// What the user asked for, if anything.
    pub spec: Option<&'a PoolSpec>,
    /// What others hold: routes and addresses of the host, other networks' pools.
    pub occupied: &'a [Occupied],
    /// How far the network reaches.
    pub scope: Scope,
    /// IPAM options of the user.
    pub options: &'a BTreeMap<String, String>,
}

/// How full a pool is. Counts saturate at `u64::MAX`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// Addresses in use, the gateway and auxiliary ones included.
    pub used: u64,
    /// Addresses that automatic allocation can still give.
    pub free: u64,
}

/// Where addresses of one IP version come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// From pools of the network, if it has any.
    #[default]
    Pools,
    /// From a server on the wire (DHCP), which is waited for as long as this when an endpoint joins.
    Server {
        /// Zero does not wait.
        patience: Duration,
    },
    /// The sandbox makes them of what routers advertise (SLAAC, RFC 4862).
    Routers,
}

/// The same for both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// IPv4.
    pub v4: Source,
    /// IPv6.
    pub v6: Source,
}

/// An IPAM driver gives pools to networks and addresses to endpoints. What it has given is
/// in the engine's records; it keeps only what it needs to choose quickly, and is told again
/// at start ([`restore_pool`](Self::restore_pool), [`restore_address`](Self::restore_address)).
pub trait IpamDriver: Send + Sync {
    /// The name users give after `--ipam-driver`.
    fn name(&self) -> &'static str;

    /// Where addresses of `family` come from on a network with these options.
    ///
    /// # Errors
    /// Of class `Invalid`, naming the option, where one is unknown or malformed.
    fn source(&self, _family: Family, _options: &BTreeMap<String, String>) -> Result<Source> {
        Ok(Source::Pools)
    }

    /// Chooses a pool and takes hold of it. The gateway and the auxiliary addresses are held with it.
    /// A driver that gives no addresses answers with an unspecified pool (`0.0.0.0/0`, `::/0`);
    /// the network then has none.
    fn request_pool(&self, request: &PoolRequest<'_>) -> Result<Pool>;

    /// Takes hold of a pool that was given before the engine was restarted.
    fn restore_pool(&self, pool: &Pool) -> Result<()>;

    /// Gives a pool back with all its addresses.
    fn release_pool(&self, pool: &Pool);

    /// Gives an address of `pool`: `wanted`, or one of the driver's choice. Where only addresses at rest are
    /// left the error is of class `Unavailable`, and the engine asks again.
    fn request_address(&self, pool: &Pool, wanted: Option<IpAddr>, mac: MacAddr) -> Result<IpNet>;

    /// Takes hold of an address that was given before the engine was restarted.
    fn restore_address(&self, pool: &Pool, address: IpAddr) -> Result<()>;

    /// Gives an address back. The driver does not give it to another at once (quarantine).
    fn release_address(&self, pool: &Pool, address: IpAddr);

    /// The addresses of `pool` that endpoints hold; an error of class `NotFound` where the pool itself is not held.
    fn held(&self, pool: &Pool) -> Result<Vec<IpAddr>>;

    /// How full a pool is.
    fn usage(&self, pool: &Pool) -> Usage;
}
