//! An independent client as a witness: dig of BIND.

use crate::{
    upstream::Upstream,
    world::{World, to},
};
use std::process::Command;

fn dig(port: u16, arguments: &str) -> String {
    let output = Command::new("dig")
        .args(["@127.0.0.11", "-p", &port.to_string(), "+tries=1", "+time=5"])
        .args(arguments.split(' '))
        .output()
        .expect("dig is installed");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn dig_finds_nothing_wrong() {
    let upstream = Upstream::knowing(1, 60);
    let world = World::new();
    let (sandbox, port) = world.sandbox(to([&upstream]));
    world.names.set(sandbox, "web", &["172.18.0.2", "fd01::2"]);
    for (arguments, expected) in [
        ("+short web A", "172.18.0.2\n"),
        ("+short +tcp web A", "172.18.0.2\n"),
        ("+short +noedns web AAAA", "fd01::2\n"),
        ("+short -x 172.18.0.2", "web.\n"),
        ("+short -x fd01::2", "web.\n"),
        ("+short _http._tcp.web SRV", "0 0 80 web.\n"),
        ("+short web MX", ""),
        ("+short www.example A", "10.0.0.1\n"),
        ("+short +dnssec +tcp www.example A", "10.0.0.1\n"),
    ] {
        assert_eq!(dig(port, arguments), expected, "{arguments}");
    }
    let report = dig(port, "web A");
    assert!(report.contains("status: NOERROR") && report.contains("flags: qr aa rd ra;"), "{report}");
    assert!(!report.contains("WARNING") && !report.to_lowercase().contains("malformed"), "{report}");
    for (arguments, status) in [
        ("+opcode=notify web A", "NOTIMP"),
        ("+edns=1 +noednsneg web A", "BADVERS"),
        ("-c CH version.bind TXT", "REFUSED"),
    ] {
        let report = dig(port, arguments);
        assert!(report.contains(&format!("status: {status}")), "{arguments}: {report}");
    }
}
