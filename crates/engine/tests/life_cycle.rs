//! The CNM life cycle over a fake kernel.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use linkspan_engine::{Knowledge, Question};
use linkspan_model::{EndpointSpec, ErrorClass, Family, NamespaceSpec, NetworkSpec};
use support::{Host, network, sandbox};

fn class<T: std::fmt::Debug>(result: linkspan_model::Result<T>) -> ErrorClass {
    result.expect_err("it must be refused").class()
}

#[test]
fn built_in_networks_are_there_and_stay() {
    let host = Host::new();
    let names: Vec<String> = host.engine.networks().into_iter().map(|network| network.name.to_string()).collect();
    assert_eq!(names, ["bridge", "host", "none"]);
    for name in names {
        assert_eq!(class(host.engine.remove_network(&name)), ErrorClass::Forbidden);
    }
    assert_eq!(class(host.engine.create_network(network("bridge"))), ErrorClass::Exists);
    assert_eq!(
        class(host.engine.create_network(NetworkSpec::new("x".parse().unwrap(), "host"))),
        ErrorClass::Forbidden
    );
    assert_eq!(class(host.engine.create_network(NetworkSpec::new("x".parse().unwrap(), "warp"))), ErrorClass::NotFound);
}

#[test]
fn create_join_leave_delete() {
    let host = Host::new();
    host.network("app");
    let before = host.snapshot();
    host.sandbox("web", &[]);
    let endpoint = host.engine.create_endpoint(EndpointSpec::on("app")).unwrap();
    assert_eq!(endpoint.sandbox, None);
    let reference = endpoint.id.to_string();

    assert_eq!(class(host.engine.remove_network("app")), ErrorClass::InUse);
    let joined = host.engine.join(&reference, "web").unwrap();
    assert_eq!((joined.ipv4, joined.interface.as_deref()), (endpoint.ipv4, Some("eth0")));
    assert_eq!(class(host.engine.join(&reference, "web")), ErrorClass::InUse);
    assert_eq!(class(host.engine.delete_endpoint(&reference)), ErrorClass::InUse);

    host.engine.leave(&reference).unwrap();
    assert_eq!(class(host.engine.leave(&reference)), ErrorClass::NotFound);
    let back = host.engine.join(&reference, "web").unwrap();
    assert_eq!(back.ipv4, endpoint.ipv4, "an endpoint keeps its address while it is in no sandbox");
    host.engine.leave(&reference).unwrap();
    host.engine.delete_endpoint(&reference).unwrap();
    host.engine.remove_sandbox("web").unwrap();
    assert_eq!(host.snapshot(), before);
    host.engine.remove_network("app").unwrap();
}

#[test]
fn references_follow_docker() {
    let host = Host::new();
    host.network("app");
    let id = host.engine.network("app").unwrap().id;
    assert_eq!(host.engine.network(&id.to_string()).unwrap().id, id);
    assert_eq!(host.engine.network(&id.short()).unwrap().id, id);
    // A full name comes before a prefix of an ID.
    let prefix = &id.to_string()[..3];
    host.network(prefix);
    assert_eq!(host.engine.network(prefix).unwrap().name.as_str(), prefix);
    assert_eq!(class(host.engine.network("nonsense")), ErrorClass::NotFound);
    // Sixteen more networks share a first digit with another by necessity.
    (0..17).for_each(|n| host.network(&format!("net-{n}")));
    let ambiguous = (0..16).any(|digit| {
        host.engine.network(&format!("{digit:x}")).is_err_and(|error| error.class() == ErrorClass::Ambiguous)
    });
    assert!(ambiguous);
}

#[test]
fn the_default_gateway_does_not_depend_on_the_order_of_joining() {
    let host = Host::new();
    ["beta", "alpha", "gamma"].into_iter().for_each(|name| host.network(name));
    host.sandbox("one", &["beta", "alpha"]);
    host.sandbox("two", &["alpha", "beta"]);
    let default = |sandbox: &str| {
        let view = host.engine.sandbox(sandbox).unwrap();
        let chosen: Vec<_> = view.endpoints.into_iter().filter(|endpoint| endpoint.default_v4).collect();
        assert_eq!(chosen.len(), 1);
        chosen[0].network_name.to_string()
    };
    assert_eq!((default("one"), default("two")), ("alpha".into(), "alpha".into()));
    let preferred = EndpointSpec { gateway_priority: 1, ..EndpointSpec::on("gamma") };
    host.engine.connect("one", preferred).unwrap();
    assert_eq!(default("one"), "gamma");
    host.engine.disconnect("gamma", "one", false).unwrap();
    assert_eq!(default("one"), "alpha");
}

#[test]
fn networks_host_and_none_stand_alone() {
    let host = Host::new();
    host.network("app");
    assert_eq!(class(host.engine.create_sandbox(sandbox("a", &["none", "app"]))), ErrorClass::Invalid);
    assert_eq!(class(host.engine.create_sandbox(sandbox("a", &["host", "app"]))), ErrorClass::Invalid);
    host.sandbox("a", &["none"]);
    assert_eq!(class(host.engine.connect("a", EndpointSpec::on("app"))), ErrorClass::Invalid);
    assert_eq!(class(host.engine.connect("a", EndpointSpec::on("host"))), ErrorClass::Invalid);
    let mut published = sandbox("b", &["none"]);
    published.ports = vec!["8080:80".parse().unwrap()];
    assert_eq!(class(host.engine.create_sandbox(published)), ErrorClass::Invalid);
}

#[test]
fn names_are_those_of_the_own_networks_only() {
    let host = Host::new();
    host.network("app");
    host.network("other");
    host.sandbox("web", &["app"]);
    host.sandbox("db", &["app", "other"]);
    host.sandbox("alien", &["other"]);
    host.sandbox("plain", &["bridge"]);
    let id = |name: &str| host.engine.sandbox(name).unwrap().id;
    let ask = |from: &str, name: &str| host.engine.look_up(id(from), Question::Address { name, family: Family::V4 });
    let address = |name: &str, network: &str| {
        let view = host.engine.sandbox(name).unwrap();
        let endpoint = view.endpoints.into_iter().find(|e| e.network_name.as_str() == network).unwrap();
        Knowledge::Addresses(vec![endpoint.ipv4.unwrap().addr().into()])
    };
    assert_eq!(ask("web", "db"), address("db", "app"));
    assert_eq!(ask("web", "db.app"), address("db", "app"));
    assert_eq!(ask("web", &id("db").short()), address("db", "app"));
    assert_eq!(ask("web", "db.other"), Knowledge::NotOurs);
    assert_eq!(ask("web", "alien"), Knowledge::NotOurs);
    assert_eq!(ask("plain", "plain"), Knowledge::NotOurs, "the default network resolves no names");
    let question = Question::Address { name: "db", family: Family::V6 };
    assert_eq!(host.engine.look_up(id("web"), question), Knowledge::NoData);
    let Knowledge::Addresses(addresses) = ask("web", "db") else { panic!() };
    let pointer = host.engine.look_up(id("web"), Question::Pointer(addresses[0]));
    assert_eq!(pointer, Knowledge::Names(vec!["db.app".into()]));
    host.engine.disconnect("app", "db", false).unwrap();
    assert_eq!(ask("web", "db"), Knowledge::NotOurs, "names go at once");
}

#[test]
fn a_namespace_is_adopted_once_and_left_behind() {
    let host = Host::new();
    let path = host.dir.path().join("theirs");
    linkspan_kernel::Kernel::create_netns(&*host.kernel, &path).unwrap();
    host.network("app");
    let before = host.snapshot();
    let mut spec = sandbox("web", &["app"]);
    spec.namespace = NamespaceSpec::Path(path.clone());
    host.engine.create_sandbox(spec.clone()).unwrap();
    spec.name = Some("again".parse().unwrap());
    assert_eq!(class(host.engine.create_sandbox(spec)), ErrorClass::Exists);
    host.engine.remove_sandbox("web").unwrap();
    // Loopback stays up in it: that is what anybody would want of a namespace.
    let after = host.snapshot();
    assert_eq!(after.1, before.1);
    let mut missing = sandbox("web", &["app"]);
    missing.namespace = NamespaceSpec::Path("/nowhere".into());
    host.engine.create_sandbox(missing).expect_err("there is no such namespace");
    assert_eq!(host.snapshot().1, before.1);
}
