//! What operations cost, printed with `--no-capture`; the bounds are loose enough for a busy
//! machine. Each test runs itself again as a process that lives in a namespace of its own, as a
//! daemon does.

use super::*;
use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

/// Runs `test` in a process whose own namespace is new; `name` is the test's.
fn at_home(name: &str, test: impl FnOnce()) {
    if std::env::var_os("LINKSPAN_TEST_AT_HOME").is_some() {
        run("ip", "link set lo up");
        return test();
    }
    let path = format!("{}::{name}", module_path!().split_once("::").unwrap().1);
    let output = Command::new("unshare")
        .arg("-n")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &path, "--nocapture"])
        .env("LINKSPAN_TEST_AT_HOME", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    println!("{text}");
}

fn host(number: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + number).into()
}

fn median(mut of: impl FnMut()) -> Duration {
    let mut times: Vec<_> = (0..101)
        .map(|_| {
            let begin = Instant::now();
            of();
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn many(numbers: std::ops::Range<u32>) -> Vec<Value> {
    numbers.map(|number| published(host(number), 80, "172.18.0.2", "endpoint web")).collect()
}

fn one_more(first: u32) -> Duration {
    let mut next = first;
    median(|| {
        create(&many(next..next + 1)).unwrap();
        next += 1;
    })
}

#[test]
fn one_more_element_costs_the_same_with_ten_and_with_ten_thousand() {
    at_home("one_more_element_costs_the_same_with_ten_and_with_ten_thousand", || {
        create(&[host_table()]).unwrap();
        create(&many(0..10)).unwrap();
        let with_ten = one_more(1_000_000);
        create(&many(10..10_000)).unwrap();
        let with_many = one_more(2_000_000);
        println!("one more element with 10: {with_ten:?}, with 10,000: {with_many:?}");
        assert!(with_many < with_ten * 4 + Duration::from_millis(1), "{with_ten:?} became {with_many:?}");
    });
}

#[test]
fn one_element_comes_and_goes() {
    at_home("one_element_comes_and_goes", || {
        create(&[host_table()]).unwrap();
        for element in [
            published(host(1), 80, "172.18.0.2", "endpoint web"),
            element("masquerade4", vec![net("10.0.0.0/8")], None, "network a"),
            element("hairpin4", vec![interface("br-a"), net("10.0.0.0/8")], None, "network a"),
        ] {
            let element = [element];
            let (mut created, mut deleted) = (Vec::new(), Vec::new());
            for _ in 0..51 {
                let begin = Instant::now();
                create(&element).unwrap();
                created.push(begin.elapsed());
                let begin = Instant::now();
                delete(&element).unwrap();
                deleted.push(begin.elapsed());
            }
            created.sort_unstable();
            deleted.sort_unstable();
            println!("{}: created in {:?}, deleted in {:?}", element[0], created[25], deleted[25]);
            // An RCU grace period would be 15 ms and more.
            assert!(deleted[25] < Duration::from_millis(5), "the deletion waits");
        }
    });
}

#[test]
fn a_thousand_elements_go_in_one_batch() {
    at_home("a_thousand_elements_go_in_one_batch", || {
        create(&[host_table()]).unwrap();
        let elements = many(0..1_000);
        let generation = || crabtables::Socket::new().unwrap().get_gen().unwrap();
        let (before, begin) = (generation(), Instant::now());
        create(&elements).unwrap();
        let created = begin.elapsed();
        assert_eq!(generation(), before + 1);
        let begin = Instant::now();
        assert_eq!(observed(&elements).len(), 1_000);
        let listed = begin.elapsed();
        let begin = Instant::now();
        delete(&elements).unwrap();
        let deleted = begin.elapsed();
        assert_eq!(generation(), before + 2);
        println!("1,000 elements: created in {created:?}, observed in {listed:?}, deleted in {deleted:?}");
    });
}

#[test]
fn a_table_comes_goes_and_is_observed() {
    at_home("a_table_comes_goes_and_is_observed", || {
        let table = host_table();
        let begin = Instant::now();
        create(std::slice::from_ref(&table)).unwrap();
        let first = begin.elapsed();
        delete(std::slice::from_ref(&table)).unwrap();
        let create_delete = median(|| {
            create(std::slice::from_ref(&table)).unwrap();
            delete(std::slice::from_ref(&table)).unwrap();
        });
        create(std::slice::from_ref(&table)).unwrap();
        let observe = median(|| drop(observed(std::slice::from_ref(&table))));
        println!(
            "the host's table: first creation {first:?}, creation and deletion {create_delete:?}, observation {observe:?}"
        );
        assert_eq!(observed(std::slice::from_ref(&table)), [table]);
    });
}

#[test]
fn ranges_of_ports() {
    at_home("ranges_of_ports", || {
        create(&[host_table()]).unwrap();
        let range = |number: u32| {
            let ports = NftField::Ports(linkspan_model::PortRange { first: 9000, last: 9099 });
            let data = NftData::Fields(vec![address("172.18.0.2")]);
            element("publish4_range", vec![NftField::Address(host(number)), tcp(), ports], Some(data), "endpoint web")
        };
        let mut last = 0;
        for held in [10, 100, 1_000] {
            create(&(last..held).map(range).collect::<Vec<_>>()).unwrap();
            last = held;
            let mut next = 1_000_000 * held;
            let cost = median(|| {
                create(&[range(next)]).unwrap();
                delete(&[range(next)]).unwrap();
                next += 1;
            });
            println!("one range comes and goes beside {held}: {cost:?}");
        }
        assert_eq!(observed(&[range(0)]).len(), 1_000);
    });
}
