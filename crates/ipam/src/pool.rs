use crate::{
    DefaultPool, PoolConfig,
    addresses::{Addresses, Full},
    choose::{disjoint, lowest_free},
    span::{Span, address_in, number, width},
    subnet,
};
use ipnet::IpNet;
use linkspan_engine::{IpamDriver, Pool, PoolRequest, Usage};
use linkspan_model::{Error, Family, MacAddr, Result};
use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// The IPAM driver `pool`: subnets from the default pools of the host or of the user's choice,
/// addresses in next-fit order.
///
/// IPv6 addresses are given in the same order, from `::2` on after a gateway at `::1`. An
/// address that is asked for by name may lie anywhere in the subnet and need not have rested:
/// its user knows who had it. IPAM options are ignored, as Docker's default driver ignores them.
pub struct PoolIpam {
    config: PoolConfig,
    clock: Box<dyn Fn() -> Instant + Send + Sync>,
    /// The subnets given; no two overlap.
    subnets: Mutex<BTreeMap<IpNet, Addresses>>,
}

impl fmt::Debug for PoolIpam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolIpam").field("config", &self.config).field("subnets", &self.subnets).finish_non_exhaustive()
    }
}

impl PoolIpam {
    /// A driver that has given nothing yet.
    ///
    /// # Errors
    /// `Invalid` where a default pool is no network of hosts or cannot be cut as wanted.
    pub fn new(config: PoolConfig) -> Result<Self> {
        Self::with_clock(config, Instant::now)
    }

    /// As [`new`](Self::new), with a clock of the caller's for quarantines. It never goes back.
    pub fn with_clock(config: PoolConfig, clock: impl Fn() -> Instant + Send + Sync + 'static) -> Result<Self> {
        config.check()?;
        Ok(Self { config, clock: Box::new(clock), subnets: Mutex::default() })
    }

    fn subnets(&self) -> MutexGuard<'_, BTreeMap<IpNet, Addresses>> {
        // Nothing below panics half-way through a change.
        self.subnets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `action` on the addresses of `pool`.
    fn with<T>(&self, pool: &Pool, action: impl FnOnce(&mut Addresses) -> Result<T>) -> Result<T> {
        let mut subnets = self.subnets();
        let addresses = subnets
            .get_mut(&pool.subnet)
            .ok_or_else(|| Error::not_found(format!("no network holds subnet {}", pool.subnet)))?;
        action(addresses)
    }

    /// The addresses of a new `pool`, with those that it holds itself.
    fn addresses(&self, pool: &Pool) -> Addresses {
        let usable = Span::usable(&pool.subnet);
        let range = pool.range.and_then(|range| Span::of(&range).intersection(usable));
        let mut addresses = Addresses::new(range.unwrap_or(usable), self.config.quarantine);
        for address in pool.gateway_address().into_iter().chain(pool.aux_addresses.values().copied()) {
            addresses.take(number(address));
        }
        addresses
    }

    /// The lowest free subnet of the default pools, of their own size or of `prefix`.
    fn choose(
        &self,
        request: &PoolRequest<'_>,
        prefix: Option<u8>,
        given: &BTreeMap<IpNet, Addresses>,
    ) -> Result<IpNet> {
        let family = request.family;
        let others = request.occupied.iter().filter(|other| subnet::matters(other, family)).map(|other| &other.net);
        let given = given.keys().filter(|net| Family::of_net(net) == family);
        let taken = disjoint(others.chain(given).map(Span::of).collect());
        let bases = || self.config.of(family);
        for DefaultPool { base, prefix: usual } in bases() {
            let prefix = prefix.unwrap_or(*usual);
            if prefix < base.prefix_len() {
                continue;
            }
            // The shift is below 128, because no base is as wide as ::/0.
            let size = 1u128 << (width(family) - prefix);
            if let Some(first) = lowest_free(Span::of(base), size, &taken) {
                return Ok(with_prefix(&address_in(base, first), prefix));
            }
        }
        let list = bases().map(|pool| pool.base.to_string()).collect::<Vec<_>>().join(", ");
        let widest = bases().map(|pool| pool.base.prefix_len()).min();
        Err(match (prefix, widest) {
            (_, None) => {
                Error::exhausted(format!("there is no default pool for {family}")).fix("choose a subnet yourself")
            }
            (Some(prefix), Some(widest)) if prefix < widest => {
                Error::invalid(format!("no default pool is as large as /{prefix}"))
                    .fix(format!("ask for /{widest} or less, or choose a subnet yourself"))
            }
            (prefix, _) => Error::exhausted(format!(
                "no free {}subnet is left in the default pools ({list})",
                prefix.map_or(String::new(), |prefix| format!("/{prefix} "))
            ))
            .fix("remove unused networks, or choose a subnet yourself"),
        })
    }
}

/// The network of `prefix` bits that begins at the address of `net`.
fn with_prefix(net: &IpNet, prefix: u8) -> IpNet {
    IpNet::new_assert(net.addr(), prefix)
}

impl IpamDriver for PoolIpam {
    fn name(&self) -> &'static str {
        "pool"
    }

    fn request_pool(&self, request: &PoolRequest<'_>) -> Result<Pool> {
        let mut subnets = self.subnets();
        let pool = match request.spec {
            None => subnet::pool(self.choose(request, None, &subnets)?, None)?,
            Some(spec) => {
                subnet::check_size(&spec.subnet, request.family)?;
                if subnet::is_size_only(spec) {
                    if spec.ip_range.is_some() || spec.gateway.is_some() || !spec.aux_addresses.is_empty() {
                        return Err(Error::invalid(format!(
                            "range, gateway or auxiliary addresses in {}, which asks for a size only",
                            spec.subnet
                        ))
                        .fix("give the subnet that they are in"));
                    }
                    let subnet = self.choose(request, Some(spec.subnet.prefix_len()), &subnets)?;
                    subnet::pool(subnet, None)?
                } else {
                    subnet::check_unicast(&spec.subnet)?;
                    subnet::check_free(&spec.subnet, request.occupied)?;
                    check_not_given(&spec.subnet, &subnets)?;
                    subnet::pool(spec.subnet, Some(spec))?
                }
            }
        };
        subnets.insert(pool.subnet, self.addresses(&pool));
        Ok(pool)
    }

    fn restore_pool(&self, pool: &Pool) -> Result<()> {
        let mut subnets = self.subnets();
        check_not_given(&pool.subnet, &subnets)?;
        subnets.insert(pool.subnet, self.addresses(pool));
        Ok(())
    }

    fn release_pool(&self, pool: &Pool) {
        self.subnets().remove(&pool.subnet);
    }

    fn request_address(&self, pool: &Pool, wanted: Option<IpAddr>, _: MacAddr) -> Result<IpNet> {
        self.with(pool, |addresses| match wanted {
            Some(address) => {
                claim(pool, addresses, address)?;
                Ok(address_in(&pool.subnet, number(address)))
            }
            None => {
                let n = addresses.give((self.clock)()).map_err(|full| exhausted(pool, full))?;
                Ok(address_in(&pool.subnet, n))
            }
        })
    }

    fn restore_address(&self, pool: &Pool, address: IpAddr) -> Result<()> {
        self.with(pool, |addresses| {
            claim(pool, addresses, address)?;
            // Addresses released shortly before the restart most likely come before this one.
            addresses.continue_after(number(address));
            Ok(())
        })
    }

    fn release_address(&self, pool: &Pool, address: IpAddr) {
        if own_role(pool, address).is_some() {
            return;
        }
        // A subnet that is gone has taken its addresses with it.
        if let Some(addresses) = self.subnets().get_mut(&pool.subnet) {
            addresses.release(number(address), (self.clock)());
        }
    }

    fn held(&self, pool: &Pool) -> Result<Vec<IpAddr>> {
        self.with(pool, |addresses| {
            let held = addresses.held().map(|n| address_in(&pool.subnet, n).addr());
            Ok(held.filter(|address| own_role(pool, *address).is_none()).collect())
        })
    }

    fn usage(&self, pool: &Pool) -> Usage {
        self.subnets().get(&pool.subnet).map_or(Usage::default(), Addresses::usage)
    }
}

/// Refuses a subnet that overlaps one that this driver has given.
fn check_not_given(subnet: &IpNet, given: &BTreeMap<IpNet, Addresses>) -> Result<()> {
    match given.keys().find(|other| other.contains(subnet) || subnet.contains(*other)) {
        Some(other) => Err(Error::in_use(format!("subnet {subnet} overlaps {other}"))
            .held_by("another network")
            .fix("choose another subnet, or none")),
        None => Ok(()),
    }
}

/// Takes `address` of `pool` for an endpoint.
fn claim(pool: &Pool, addresses: &mut Addresses, address: IpAddr) -> Result<()> {
    subnet::check_host(&pool.subnet, address, "address")?;
    if addresses.take(number(address)) {
        return Ok(());
    }
    let error = Error::in_use(format!("address {address} is taken"));
    Err(match own_role(pool, address) {
        Some(role) => error.held_by(role),
        None => error,
    }
    .fix("choose another address, or none"))
}

/// What `address` is for the network itself.
fn own_role(pool: &Pool, address: IpAddr) -> Option<String> {
    if pool.gateway_address() == Some(address) {
        return Some("the network's gateway".to_owned());
    }
    let aux = pool.aux_addresses.iter().find(|(_, aux)| **aux == address);
    aux.map(|(name, _)| format!("auxiliary address {name}"))
}

fn exhausted(pool: &Pool, full: Full) -> Error {
    let whole = match &pool.range {
        Some(range) => format!("range {range} of subnet {}", pool.subnet),
        None => format!("subnet {}", pool.subnet),
    };
    let what = format!("no free address is left in {whole}");
    match full.rests {
        Some(rests) => Error::unavailable(what).fix(format!(
            "one that was released just now can be given again in {:.1} s",
            // Rounded up, so that waiting as long as it says is enough.
            (rests.as_secs_f64() * 10.0).ceil().max(1.0) / 10.0
        )),
        None => Error::exhausted(what).fix("remove unused endpoints, or make a network with a larger subnet"),
    }
}
