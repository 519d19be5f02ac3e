//! Which subnets networks get, and which they are refused.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use ipnet::IpNet;
use linkspan_engine::{IpamDriver, Occupied, Pool, PoolRequest};
use linkspan_ipam::{NullIpam, PoolConfig, PoolIpam};
use linkspan_model::{ErrorClass, Family, MacAddr, PoolSpec, Result, Scope};
use std::{collections::BTreeMap, net::IpAddr};

fn driver() -> PoolIpam {
    PoolIpam::new(PoolConfig::new("fd12:3456:789a::/48".parse().unwrap())).unwrap()
}

fn occupied(nets: &[&str]) -> Vec<Occupied> {
    nets.iter().map(|net| Occupied { net: net.parse().unwrap(), holder: format!("the holder of {net}") }).collect()
}

fn request(driver: &dyn IpamDriver, family: Family, spec: Option<&PoolSpec>, occupied: &[Occupied]) -> Result<Pool> {
    driver.request_pool(&PoolRequest { family, spec, occupied, scope: Scope::Local, options: &BTreeMap::new() })
}

fn automatic(driver: &PoolIpam, family: Family, nets: &[&str]) -> Result<String> {
    request(driver, family, None, &occupied(nets)).map(|pool| pool.subnet.to_string())
}

/// A request in the words of `network create`: `SUBNET [range=NET] [gateway=IP] [NAME=IP]…`.
fn spec(text: &str) -> PoolSpec {
    let mut words = text.split_whitespace();
    let subnet = words.next().unwrap().parse().unwrap();
    let mut spec = PoolSpec { subnet, ip_range: None, gateway: None, aux_addresses: BTreeMap::new() };
    for (key, value) in words.map(|word| word.split_once('=').unwrap()) {
        match key {
            "range" => spec.ip_range = Some(value.parse().unwrap()),
            "gateway" => spec.gateway = Some(value.parse().unwrap()),
            name => drop(spec.aux_addresses.insert(name.to_owned(), value.parse().unwrap())),
        }
    }
    spec
}

fn explicit(driver: &PoolIpam, text: &str, nets: &[&str]) -> Result<Pool> {
    let spec = spec(text);
    request(driver, Family::of_net(&spec.subnet), Some(&spec), &occupied(nets))
}

#[test]
fn the_lowest_free_default_pool() {
    let driver = driver();
    assert_eq!(automatic(&driver, Family::V4, &[]).unwrap(), "172.17.0.0/24");
    assert_eq!(automatic(&driver, Family::V4, &["172.17.1.128/25", "172.17.3.7/32"]).unwrap(), "172.17.2.0/24");
    let pool = request(&driver, Family::V4, None, &occupied(&["172.17.0.0/16", "172.18.0.0/16"])).unwrap();
    assert_eq!(pool.subnet, "172.19.0.0/24".parse().unwrap());
    driver.release_pool(&pool);
    assert_eq!(automatic(&driver, Family::V4, &["172.16.0.0/12"]).unwrap(), "192.168.0.0/24");
    assert_eq!(automatic(&driver, Family::V6, &[]).unwrap(), "fd12:3456:789a::/64");
    assert_eq!(automatic(&driver, Family::V6, &["fd12:3456:789a:1::5/128"]).unwrap(), "fd12:3456:789a:2::/64");
}

#[test]
fn default_routes_in_pieces_keep_nothing_away() {
    let wide = ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "::/0", "2000::/3", "fc00::/7", "fd00::/8"];
    assert_eq!(automatic(&driver(), Family::V4, &wide).unwrap(), "172.17.0.0/24");
    assert_eq!(automatic(&driver(), Family::V6, &wide).unwrap(), "fd12:3456:789a::/64");
    explicit(&driver(), "10.1.0.0/24", &wide).unwrap();
    let error = explicit(&driver(), "10.1.0.0/24", &["10.0.0.0/8"]).unwrap_err();
    assert_eq!(error.class(), ErrorClass::InUse);
}

#[test]
fn thousands_of_networks_and_then_a_clear_end() {
    let driver = driver();
    let mut pools = Vec::new();
    let error = loop {
        match request(&driver, Family::V4, None, &[]) {
            Ok(pool) => pools.push(pool),
            Err(error) => break error,
        }
    };
    assert_eq!(pools.len(), 4096);
    assert_eq!(error.class(), ErrorClass::Exhausted);
    assert!(error.to_string().contains("172.24.0.0/13, 192.168.0.0/16"), "{error}");
    driver.release_pool(&pools[1234]);
    assert_eq!(request(&driver, Family::V4, None, &[]).unwrap(), pools[1234]);
}

#[test]
fn a_size_only() {
    let driver = driver();
    for (asked, given) in [
        ("0.0.0.0/26", "172.17.0.0/26"),
        ("0.0.0.0/26", "172.17.0.64/26"),
        ("0.0.0.0/24", "172.17.1.0/24"),
        ("0.0.0.0/30", "172.17.0.128/30"),
        ("0.0.0.0/16", "172.18.0.0/16"),
        ("0.0.0.0/13", "172.24.0.0/13"),
        ("::/64", "fd12:3456:789a::/64"),
        ("::/56", "fd12:3456:789a:100::/56"),
        ("::/126", "fd12:3456:789a:1::/126"),
    ] {
        assert_eq!(explicit(&driver, asked, &[]).unwrap().subnet.to_string(), given, "{asked}");
    }
    for (asked, class) in [
        ("0.0.0.0/12", ErrorClass::Invalid),
        ("0.0.0.0/0", ErrorClass::Invalid),
        ("::/47", ErrorClass::Invalid),
        ("0.0.0.0/31", ErrorClass::Invalid),
        ("0.0.0.0/13", ErrorClass::Exhausted),
        ("0.0.0.0/24 gateway=10.0.0.1", ErrorClass::Invalid),
    ] {
        let error = explicit(&driver, asked, &[]).unwrap_err();
        assert_eq!(error.class(), class, "{asked}: {error}");
    }
}

#[test]
fn what_a_pool_holds() {
    for (asked, gateway, range) in [
        ("10.1.0.0/24", "10.1.0.1/24", None),
        ("10.1.0.0/24 gateway=10.1.0.254", "10.1.0.254/24", None),
        ("10.1.0.0/24 router=10.1.0.1 other=10.1.0.2", "10.1.0.3/24", None),
        ("10.1.0.0/16 range=10.1.5.0/24", "10.1.0.1/16", Some("10.1.5.0/24")),
        ("10.1.0.0/30 gateway=10.1.0.2", "10.1.0.2/30", None),
        ("fd01::/126", "fd01::1/126", None),
        ("fd01::/64 range=fd01::80/121 gateway=fd01::80", "fd01::80/64", Some("fd01::80/121")),
    ] {
        let pool = explicit(&driver(), asked, &[]).unwrap();
        assert_eq!(pool.gateway.unwrap().to_string(), gateway, "{asked}");
        assert_eq!(pool.range, range.map(|range| range.parse().unwrap()), "{asked}");
        assert_eq!(pool.aux_addresses, spec(asked).aux_addresses, "{asked}");
    }
}

#[test]
fn requests_without_sense_say_why() {
    for (asked, why) in [
        ("10.0.0.5/24", "10.0.0.5/24: host bits set; write 10.0.0.0/24"),
        ("fd01::1/64", "host bits set; write fd01::/64"),
        ("10.0.0.0/31", "too small for a gateway and an endpoint; choose /30 or larger"),
        ("10.0.0.1/32", "too small"),
        ("fd01::/127", "too small for a gateway and an endpoint; choose /126 or larger"),
        ("127.1.0.0/16", "loopback"),
        ("169.254.7.0/24", "link-local"),
        ("224.1.0.0/16", "multicast"),
        ("128.0.0.0/1", "link-local"),
        ("0.1.0.0/16", "this network"),
        ("255.255.255.252/30", "broadcast"),
        ("fe80::/64", "link-local"),
        ("ff02::/64", "multicast"),
        ("::ffff:10.0.0.0/120", "IPv4-mapped"),
        ("10.0.0.0/24 range=10.0.1.0/25", "range 10.0.1.0/25 is not within subnet 10.0.0.0/24"),
        ("10.0.0.0/24 range=10.0.0.0/23", "is not within subnet"),
        ("10.0.0.0/24 range=10.0.0.7/25", "range 10.0.0.7/25: host bits set; write 10.0.0.0/25"),
        ("10.0.0.0/24 range=10.0.0.255/32", "holds no address that an endpoint"),
        ("10.0.0.0/24 range=fd01::/64", "is not within subnet"),
        (
            "10.0.0.0/24 gateway=10.0.1.1",
            "gateway 10.0.1.1 is outside subnet 10.0.0.0/24; choose one from 10.0.0.1 to 10.0.0.254",
        ),
        ("10.0.0.0/24 gateway=fd01::1", "is outside subnet"),
        ("10.0.0.0/24 gateway=10.0.0.0", "the network's own address"),
        ("10.0.0.0/24 gateway=10.0.0.255", "the broadcast address"),
        ("fd01::/64 gateway=fd01::", "the routers' anycast address"),
        ("10.0.0.0/24 nas=10.0.1.9", "auxiliary address nas 10.0.1.9 is outside"),
        ("10.0.0.0/24 nas=10.0.0.255", "auxiliary address nas 10.0.0.255 is the broadcast address"),
        ("10.0.0.0/24 nas=10.0.0.7 gateway=10.0.0.7", "auxiliary address nas and the gateway are both 10.0.0.7"),
        ("10.0.0.0/24 nas=10.0.0.7 tv=10.0.0.7", "auxiliary address tv and auxiliary address nas are both"),
        ("10.0.0.0/30 nas=10.0.0.1 tv=10.0.0.2", "leave none of 10.0.0.0/30 for the gateway"),
    ] {
        let driver = driver();
        let error = explicit(&driver, asked, &[]).expect_err(asked);
        assert_eq!(error.class(), ErrorClass::Invalid, "{asked}: {error}");
        assert!(error.to_string().contains(why), "{asked}: {error}");
        explicit(&driver, "10.0.0.0/8", &[]).expect("a refused request holds nothing");
    }
    let error = request(&driver(), Family::V4, Some(&spec("fd01::/64")), &[]).unwrap_err();
    assert!(error.to_string().contains("is not IPv4; choose an IPv4 subnet"), "{error}");
}

#[test]
fn overlaps_name_the_holder() {
    let driver = driver();
    for (held, asked) in [("10.0.0.0/16", "10.0.3.0/24"), ("10.0.3.64/26", "10.0.3.0/24"), ("fd01::/64", "fd01::/64")] {
        let error = explicit(&driver, asked, &["192.168.1.0/24", held]).unwrap_err();
        assert_eq!(error.class(), ErrorClass::InUse);
        assert_eq!(error.holder(), Some(&*format!("the holder of {held}")), "{error}");
    }
    let pool = explicit(&driver, "10.0.0.0/24", &[]).unwrap();
    let error = explicit(&driver, "10.0.0.128/25", &[]).unwrap_err();
    assert_eq!(error.class(), ErrorClass::InUse, "what is given is held without being told");
    driver.release_pool(&pool);
    explicit(&driver, "10.0.0.128/25", &[]).unwrap();
}

#[test]
fn restored_pools_are_held() {
    let first = driver();
    let pool = explicit(&first, "172.17.0.0/24 nas=172.17.0.9", &[]).unwrap();
    let second = driver();
    second.restore_pool(&pool).unwrap();
    assert_eq!(second.usage(&pool), first.usage(&pool));
    assert_eq!(second.restore_pool(&pool).unwrap_err().class(), ErrorClass::InUse);
    assert_eq!(automatic(&second, Family::V4, &[]).unwrap(), "172.17.1.0/24");
}

#[test]
fn null_gives_nothing() {
    let pool = request(&NullIpam, Family::V4, None, &[]).unwrap();
    assert_eq!((pool.subnet, pool.gateway), ("0.0.0.0/0".parse::<IpNet>().unwrap(), None));
    let mac = MacAddr([2, 0, 0, 0, 0, 1]);
    let given = NullIpam.request_address(&pool, None, mac).unwrap();
    assert!(given.addr().is_unspecified());
    let wanted: IpAddr = "10.0.0.1".parse().unwrap();
    let error = NullIpam.request_address(&pool, Some(wanted), mac).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Invalid);
    let error = request(&NullIpam, Family::V4, Some(&spec("10.0.0.0/24")), &[]).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Invalid);
}
