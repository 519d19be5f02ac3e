//! Time of one address in subnets of several sizes, at several fills: `cargo bench -p linkspan-ipam`.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a figure is printed; a failure ends the bench")]

use linkspan_engine::{IpamDriver, Occupied, Pool, PoolRequest};
use linkspan_ipam::{PoolConfig, PoolIpam};
use linkspan_model::{Family, MacAddr, PoolSpec, Scope};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

fn main() {
    // Without a quarantine, so that as many can be given as are measured.
    let config = PoolConfig::new("fd12:3456:789a::/48".parse().unwrap());
    let ipam = PoolIpam::new(PoolConfig { quarantine: Duration::ZERO, ..config.clone() }).unwrap();
    println!("one address given and given back, beside those in use (resident memory after):");
    for (subnet, fills) in [
        ("10.0.0.0/24", vec![25, 228]),
        ("11.0.0.0/8", vec![1_677_721, 15_099_494]),
        ("fd01::/64", vec![1_677_721, 15_099_494]),
    ] {
        let pool = pool(&ipam, subnet);
        let mut used = 0;
        for fill in fills {
            while used < fill {
                ipam.request_address(&pool, None, MAC).unwrap();
                used += 1;
            }
            cycle(&ipam, &pool, &format!("{subnet:>11} {fill:>8} in one run"));
        }
        // The worst the order can come to: every second address is free.
        (0..used).step_by(2).for_each(|n| ipam.release_address(&pool, nth(&pool, n)));
        cycle(&ipam, &pool, &format!("{subnet:>11} {:>8} in single ones", used / 2));
        ipam.release_pool(&pool);
    }

    let ipam = PoolIpam::new(config).unwrap();
    let occupied: Vec<Occupied> = Vec::new();
    let mut times = Vec::new();
    for _ in 0..4096 {
        let start = Instant::now();
        let options = BTreeMap::new();
        let request =
            PoolRequest { family: Family::V4, spec: None, occupied: &occupied, scope: Scope::Local, options: &options };
        ipam.request_pool(&request).unwrap();
        times.push(start.elapsed());
    }
    println!("a subnet chosen: first {:?}, 4,096th {:?}", times[0], times[4095]);
}

fn pool(ipam: &PoolIpam, subnet: &str) -> Pool {
    let spec =
        PoolSpec { subnet: subnet.parse().unwrap(), ip_range: None, gateway: None, aux_addresses: BTreeMap::new() };
    let (family, options) = (Family::of_net(&spec.subnet), BTreeMap::new());
    let request = PoolRequest { family, spec: Some(&spec), occupied: &[], scope: Scope::Local, options: &options };
    ipam.request_pool(&request).unwrap()
}

/// Gives 200 addresses and takes them back in turns, as sandboxes come and go.
fn cycle(ipam: &PoolIpam, pool: &Pool, what: &str) {
    let room = usize::try_from(ipam.usage(pool).free).unwrap_or(usize::MAX).min(200);
    let mut times = Vec::new();
    let mut held: Vec<IpAddr> = Vec::new();
    for _ in 0..20_000 {
        if held.len() == room {
            held.drain(..).for_each(|ip| ipam.release_address(pool, ip));
        }
        let start = Instant::now();
        held.push(ipam.request_address(pool, None, MAC).unwrap().addr());
        times.push(start.elapsed());
    }
    held.drain(..).for_each(|ip| ipam.release_address(pool, ip));
    times.sort();
    let at = |share: f64| times[(times.len() as f64 * share) as usize];
    println!("{what}: median {:?}, p99 {:?} ({} MiB)", at(0.5), at(0.99), resident());
}

/// The `n`th address that a new pool gives.
fn nth(pool: &Pool, n: u32) -> IpAddr {
    match pool.subnet.network() {
        IpAddr::V4(first) => Ipv4Addr::from(u32::from(first) + 2 + n).into(),
        IpAddr::V6(first) => Ipv6Addr::from(u128::from(first) + 2 + u128::from(n)).into(),
    }
}

/// Resident memory of this process in MiB.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4 / 1024
}
