//! Addresses of a subnet, held against a model that scans.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use ipnet::IpNet;
use linkspan_engine::{IpamDriver, Pool, PoolRequest, Usage};
use linkspan_ipam::{PoolConfig, PoolIpam};
use linkspan_model::{ErrorClass, Family, MacAddr, PoolSpec, Scope};
use proptest::{prelude::*, test_runner::TestCaseResult};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const QUARANTINE: u64 = PoolConfig::QUARANTINE.as_millis() as u64;

/// A driver and the hand of its clock, in milliseconds.
fn driver() -> (PoolIpam, Arc<AtomicU64>) {
    let now = Arc::new(AtomicU64::new(0));
    let (start, hand) = (Instant::now(), now.clone());
    let clock = move || start + Duration::from_millis(hand.load(Ordering::Relaxed));
    let config = PoolConfig::new("fd12:3456:789a::/48".parse().unwrap());
    (PoolIpam::with_clock(config, clock).unwrap(), now)
}

fn pool(driver: &PoolIpam, subnet: &str, range: Option<&str>, gateway: Option<&str>, aux: &[&str]) -> Pool {
    let spec = PoolSpec {
        subnet: subnet.parse().unwrap(),
        ip_range: range.map(|range| range.parse().unwrap()),
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        aux_addresses: aux.iter().map(|aux| (format!("aux {aux}"), aux.parse().unwrap())).collect(),
    };
    let (family, options) = (Family::of_net(&spec.subnet), BTreeMap::new());
    let request = PoolRequest { family, spec: Some(&spec), occupied: &[], scope: Scope::Local, options: &options };
    driver.request_pool(&request).unwrap()
}

fn give(driver: &PoolIpam, pool: &Pool) -> String {
    driver.request_address(pool, None, MAC).unwrap().to_string()
}

/// What the documentation promises, in the plainest way: every question scans the subnet.
struct Model {
    subnet: IpNet,
    usable: Vec<IpAddr>,
    range: Vec<IpAddr>,
    own: BTreeSet<IpAddr>,
    used: BTreeSet<IpAddr>,
    /// Milliseconds until which an address rests.
    resting: BTreeMap<IpAddr, u64>,
    last: Option<IpAddr>,
}

impl Model {
    fn new(pool: &Pool) -> Self {
        let all = |net: IpNet| -> Vec<IpAddr> {
            let at = |n: u128| match net {
                IpNet::V4(net) => IpAddr::from(Ipv4Addr::from(u32::from(net.network()) + n as u32)),
                IpNet::V6(net) => Ipv6Addr::from(u128::from(net.network()) + n).into(),
            };
            (0..1 << (net.max_prefix_len() - net.prefix_len())).map(at).collect()
        };
        let v4 = pool.subnet.addr().is_ipv4();
        let no_host = |ip: &IpAddr| *ip == pool.subnet.network() || (v4 && *ip == pool.subnet.broadcast());
        let usable: Vec<_> = all(pool.subnet).into_iter().filter(|ip| !no_host(ip)).collect();
        let range = usable.iter().copied().filter(|ip| pool.range.is_none_or(|range| range.contains(ip))).collect();
        let own: BTreeSet<_> = pool.gateway_address().into_iter().chain(pool.aux_addresses.values().copied()).collect();
        Self { subnet: pool.subnet, usable, range, used: own.clone(), own, resting: BTreeMap::new(), last: None }
    }

    fn give(&mut self, now: u64) -> Option<IpAddr> {
        let after = self.range.iter().filter(|ip| self.last.is_none_or(|last| **ip > last));
        let free = |ip: &&IpAddr| !self.used.contains(*ip) && self.resting.get(*ip).is_none_or(|end| *end <= now);
        let ip = *after.chain(&self.range).find(free)?;
        self.used.insert(ip);
        self.last = Some(ip);
        Some(ip)
    }

    fn take(&mut self, ip: IpAddr) -> Result<(), ErrorClass> {
        if !self.usable.contains(&ip) {
            return Err(ErrorClass::Invalid);
        }
        if !self.used.insert(ip) {
            return Err(ErrorClass::InUse);
        }
        self.resting.remove(&ip);
        Ok(())
    }

    fn release(&mut self, ip: IpAddr, now: u64) {
        if !self.own.contains(&ip) && self.used.remove(&ip) {
            self.resting.insert(ip, now + QUARANTINE);
        }
    }

    fn usage(&self) -> Usage {
        let free = self.range.iter().filter(|ip| !self.used.contains(*ip)).count();
        Usage { used: self.used.len() as u64, free: free as u64 }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Give,
    Take(u8),
    Release(u8),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Give),
        2 => any::<u8>().prop_map(Step::Take),
        5 => any::<u8>().prop_map(Step::Release),
        2 => (0..QUARANTINE).prop_map(Step::Wait),
    ]
}

/// Runs `steps` on a driver and on the model; both agree on every address and count.
fn agree(driver: &PoolIpam, clock: &AtomicU64, pool: &Pool, steps: &[Step]) -> TestCaseResult {
    let mut model = Model::new(pool);
    // One address on either side of the subnet is asked for too.
    let mut candidates = model.usable.clone();
    candidates.extend([pool.subnet.network(), pool.subnet.broadcast(), "10.99.0.1".parse().unwrap()]);
    let candidate = |n: u8| candidates[usize::from(n) % candidates.len()];
    let net = |ip: IpAddr| IpNet::new(ip, pool.subnet.prefix_len()).unwrap();
    for step in steps {
        let now = clock.load(Ordering::Relaxed);
        match *step {
            Step::Give => {
                let given = driver.request_address(pool, None, MAC);
                match model.give(now) {
                    Some(ip) => prop_assert_eq!(given, Ok(net(ip))),
                    None => {
                        // Released addresses come back by themselves; where all are in use none does.
                        let rests = driver.usage(pool).free > 0;
                        let class = if rests { ErrorClass::Unavailable } else { ErrorClass::Exhausted };
                        prop_assert_eq!(given.unwrap_err().class(), class);
                    }
                }
            }
            Step::Take(n) => {
                let taken = driver.request_address(pool, Some(candidate(n)), MAC);
                prop_assert_eq!(taken.map_err(|e| e.class()), model.take(candidate(n)).map(|()| net(candidate(n))));
            }
            Step::Release(n) => {
                driver.release_address(pool, candidate(n));
                model.release(candidate(n), now);
            }
            Step::Wait(time) => drop(clock.fetch_add(time, Ordering::Relaxed)),
        }
        prop_assert_eq!(driver.usage(pool), model.usage());
    }
    // A restart keeps what is in use, and nothing else.
    let (restarted, _) = self::driver();
    restarted.restore_pool(pool).unwrap();
    for ip in model.used.difference(&model.own) {
        prop_assert_eq!(restarted.restore_address(pool, *ip), Ok(()));
        prop_assert_eq!(restarted.restore_address(pool, *ip).unwrap_err().class(), ErrorClass::InUse);
    }
    prop_assert_eq!(restarted.usage(pool), model.usage());
    prop_assert_eq!(model.subnet, pool.subnet);
    Ok(())
}

/// Subnet, range, gateway and auxiliary addresses.
type Shape = (&'static str, Option<&'static str>, Option<&'static str>, &'static [&'static str]);

const SHAPES: [Shape; 6] = [
    ("10.0.0.0/28", None, None, &["10.0.0.3", "10.0.0.4"]),
    ("10.0.0.0/28", Some("10.0.0.8/29"), None, &["10.0.0.9"]),
    ("10.0.0.0/30", None, Some("10.0.0.2"), &[]),
    ("10.0.0.0/27", Some("10.0.0.0/29"), Some("10.0.0.30"), &[]),
    ("fd01::/124", None, None, &["fd01::f"]),
    ("fd01::/122", Some("fd01::20/124"), Some("fd01::21"), &[]),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_driver_is_its_model(
        steps in prop::collection::vec(step(), 0..300),
        shape in prop::sample::select(&SHAPES[..]),
    ) {
        let (driver, clock) = driver();
        let (subnet, range, gateway, aux) = shape;
        let pool = pool(&driver, subnet, range, gateway, aux);
        agree(&driver, &clock, &pool, &steps)?;
    }
}

#[test]
fn an_address_in_use_is_named() {
    let (driver, _) = driver();
    let pool = pool(&driver, "10.0.0.0/24", None, None, &["10.0.0.9"]);
    driver.request_address(&pool, Some("10.0.0.7".parse().unwrap()), MAC).unwrap();
    for (wanted, class, text) in [
        ("10.0.0.7", ErrorClass::InUse, "address 10.0.0.7 is taken; choose another address, or none"),
        ("10.0.0.1", ErrorClass::InUse, "address 10.0.0.1 is taken (held by the network's gateway)"),
        ("10.0.0.9", ErrorClass::InUse, "(held by auxiliary address aux 10.0.0.9)"),
        ("10.0.1.7", ErrorClass::Invalid, "address 10.0.1.7 is outside subnet 10.0.0.0/24; choose one from 10.0.0.1"),
        ("10.0.0.255", ErrorClass::Invalid, "is the broadcast address in 10.0.0.0/24"),
        ("fd01::1", ErrorClass::Invalid, "is outside subnet"),
    ] {
        let error = driver.request_address(&pool, Some(wanted.parse().unwrap()), MAC).unwrap_err();
        assert_eq!(error.class(), class, "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn the_order_survives_a_restart() {
    let (first, _) = driver();
    let pool = pool(&first, "10.0.0.0/24", None, None, &[]);
    let given: Vec<_> = (0..5).map(|_| first.request_address(&pool, None, MAC).unwrap().addr()).collect();
    first.release_address(&pool, given[1]);
    let (second, _) = driver();
    second.restore_pool(&pool).unwrap();
    for ip in given.iter().filter(|ip| **ip != given[1]) {
        second.restore_address(&pool, *ip).unwrap();
    }
    assert_eq!(give(&second, &pool), "10.0.0.7/24", "not 10.0.0.3, which somebody has just lost");
}

#[test]
fn a_full_subnet_says_when_it_is_worth_asking_again() {
    let (driver, clock) = driver();
    let pool = pool(&driver, "10.0.0.0/30", None, None, &[]);
    assert_eq!(give(&driver, &pool), "10.0.0.2/30");
    let error = driver.request_address(&pool, None, MAC).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Exhausted);
    assert!(error.to_string().contains("subnet 10.0.0.0/30; remove unused endpoints"), "{error}");
    driver.release_address(&pool, "10.0.0.2".parse().unwrap());
    clock.fetch_add(QUARANTINE - 250, Ordering::Relaxed);
    let error = driver.request_address(&pool, None, MAC).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unavailable);
    assert!(error.to_string().ends_with("can be given again in 0.3 s"), "{error}");
    clock.fetch_add(250, Ordering::Relaxed);
    assert_eq!(give(&driver, &pool), "10.0.0.2/30");
}

#[test]
fn counts_of_huge_subnets_saturate() {
    let (driver, _) = driver();
    for (subnet, free) in
        [("10.0.0.0/8", (1 << 24) - 4), ("fd01::/64", u64::MAX - 2), ("fd02::/63", u64::MAX), ("fd03::/16", u64::MAX)]
    {
        let subnet = subnet.parse::<IpNet>().unwrap().trunc().to_string();
        let pool = pool(&driver, &subnet, None, None, &[]);
        let first = driver.request_address(&pool, None, MAC).unwrap().addr();
        assert_eq!(driver.usage(&pool), Usage { used: 2, free }, "{subnet}");
        driver.release_pool(&pool);
        assert!(driver.request_address(&pool, Some(first), MAC).is_err(), "a released subnet gives nothing");
    }
}

#[test]
fn ipv6_addresses_follow_the_gateway() {
    let (driver, _) = driver();
    let pool = pool(&driver, "fd01::/64", None, None, &[]);
    assert_eq!([give(&driver, &pool), give(&driver, &pool)], ["fd01::2/64", "fd01::3/64"]);
}

#[test]
fn threads_never_get_one_address_twice() {
    let (driver, _) = driver();
    let pool = pool(&driver, "10.0.0.0/22", None, None, &[]);
    let given: Vec<IpNet> = std::thread::scope(|scope| {
        let ask = || (0..250).map(|_| driver.request_address(&pool, None, MAC).unwrap()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), 1000);
    assert_eq!(driver.usage(&pool), Usage { used: 1001, free: 1022 - 1001 });
}
