use super::*;
use linkspan_model::{ErrorClass, PortRange};

const HOST_ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 7, 1));

#[test]
fn one_bad_element_changes_nothing() {
    enter_new_netns();
    let held = published(HOST_ADDRESS, 80, "172.18.0.2", "endpoint web of network a");
    create(&[host_table(), held.clone()]).unwrap();
    let before = run("nft", "list ruleset");
    let mut batch: Vec<_> = (81..90).map(|port| published(HOST_ADDRESS, port, "172.18.0.3", "db")).collect();
    batch.push(published(HOST_ADDRESS, 80, "172.18.0.3", "db"));
    let error = create(&batch).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Exists);
    assert_eq!(
        error.to_string(),
        "element of inet linkspan publish4: 192.168.7.1 . tcp . 80 : 172.18.0.3 . 80: exists already \
         (held by endpoint web of network a)"
    );
    assert_eq!(run("nft", "list ruleset"), before);
    // Deletions of the same batch are not made either, even where one was gone already.
    let mut changes: Vec<_> = batch[8..].iter().map(|value| Change::Create(Place::Host, value.clone())).collect();
    changes.push(Change::Delete(Place::Host, batch[0].clone()));
    changes.push(Change::Create(Place::Host, held));
    assert_eq!(apply_all(changes).unwrap_err().class(), ErrorClass::Exists);
    assert_eq!(run("nft", "list ruleset"), before);
}

#[test]
fn deleting_what_is_gone_is_done() {
    enter_new_netns();
    let elements: Vec<_> = (80..90).map(|port| published(HOST_ADDRESS, port, "172.18.0.2", "web")).collect();
    delete(&elements).unwrap();
    delete(&[host_table()]).unwrap();
    create(&[host_table()]).unwrap();
    create(&elements[5..]).unwrap();
    delete(&elements).unwrap();
    assert_eq!(observed(&[host_table()]), [host_table()]);
    let unknown = element("nowhere", vec![interface("br-a")], None, "");
    delete(&[unknown]).unwrap();
}

#[test]
fn errors_name_the_object_and_carry_the_kernels_words() {
    enter_new_netns();
    let here = published(HOST_ADDRESS, 80, "172.18.0.2", "web");
    let error = create(std::slice::from_ref(&here)).unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound);
    assert!(error.what().ends_with("192.168.7.1 . tcp . 80 : 172.18.0.2 . 80: no such set"), "{error}");

    create(&[host_table()]).unwrap();
    let error = create(&[host_table()]).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Exists);
    assert!(error.what().starts_with("nftables table inet linkspan: exists already"), "{error}");

    let jump = |chain: &str| {
        let key = vec![interface("br-a"), interface("br-a")];
        element("same_bridge", key, Some(NftData::Jump(chain.into())), "network a")
    };
    assert_eq!(create(&[jump("nowhere")]).unwrap_err().class(), ErrorClass::NotFound);
    create(&[jump("to_network")]).unwrap();

    let looping = table_of(
        "chain a { jump b; }
        chain b { jump a; }
        chain input { type filter hook input priority filter; jump a; }",
    );
    let error = update(&host_table(), &looping).unwrap_err();
    assert!(error.to_string().contains("rule inet linkspan"), "{error}");
}

#[test]
fn elements_that_do_not_fit_are_refused_before_the_kernel_sees_them() {
    enter_new_netns();
    create(&[host_table()]).unwrap();
    let before = run("nft", "list ruleset");
    let to = || Some(NftData::Fields(vec![address("172.18.0.2"), NftField::Port(80)]));
    let port = NftField::Port;
    let range = NftField::Ports(PortRange { first: 80, last: 90 });
    for (what, wrong) in [
        ("too few fields", element("publish4", vec![tcp(), port(80)], to(), "")),
        ("another type", element("publish4", vec![address("fd12::1"), tcp(), port(80)], to(), "")),
        ("a range", element("publish4", vec![address("10.0.0.1"), tcp(), range], to(), "")),
        ("no data", element("publish4_any", vec![tcp(), port(80)], None, "")),
        ("a verdict", element("publish4_any", vec![tcp(), port(80)], Some(NftData::Accept), "")),
        ("data of a set", element("bridges", vec![interface("br-a")], to(), "")),
        ("a long name", element("bridges", vec![interface("sixteen-bytes-xx")], None, "")),
        ("a long comment", element("bridges", vec![interface("br-a")], None, &"x".repeat(129))),
    ] {
        let error = create(&[wrong]).expect_err(what);
        assert_eq!(error.class(), ErrorClass::Invalid, "{what}: {error}");
    }
    assert_eq!(run("nft", "list ruleset"), before);
}

#[test]
fn overlapping_intervals_are_refused() {
    enter_new_netns();
    let ports = |first, last| NftField::Ports(PortRange { first, last });
    let range = |host: &str, first, last, comment: &str| {
        let key = vec![net(host), tcp(), ports(first, last)];
        element("publish4_range", key, Some(NftData::Fields(vec![address("172.18.0.2")])), comment)
    };
    create(&[
        host_table(),
        element("masquerade4", vec![net("10.1.0.0/16")], None, "network a"),
        range("192.168.7.1/32", 9000, 9099, "endpoint web"),
    ])
    .unwrap();
    for wrong in [
        element("masquerade4", vec![net("10.0.0.0/8")], None, "network b"),
        element("masquerade4", vec![net("10.1.2.0/24")], None, "network b"),
        element("masquerade4", vec![net("10.1.0.0/16")], None, "network b"),
        range("192.168.7.1/32", 9050, 9150, "endpoint db"),
        range("192.168.7.1/32", 9000, 9099, "endpoint db"),
        range("192.168.7.1/32", 9010, 9020, "endpoint db"),
        range("192.168.7.0/31", 9010, 9020, "endpoint db"),
    ] {
        let error = create(std::slice::from_ref(&wrong)).expect_err(&wrong.to_string());
        assert_eq!(error.class(), ErrorClass::Exists, "{error}");
    }
    create(&[
        element("masquerade4", vec![net("10.2.0.0/16")], None, "network b"),
        range("192.168.7.2/32", 9050, 9150, "endpoint db"),
        range("192.168.7.1/32", 9100, 9150, "endpoint db"),
    ])
    .unwrap();
}

#[test]
fn a_body_that_is_no_body_is_refused_with_its_place() {
    enter_new_netns();
    for body in ["chain a { nonsense }", "} table inet other {", "set s { type ifname; elements = { \"lo\" } }"] {
        let error = create(&[table_of(body)]).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Internal, "{error}");
        assert!(error.what().starts_with("nftables table inet linkspan: "), "{error}");
    }
    assert_eq!(run("nft", "list ruleset"), "");
}
