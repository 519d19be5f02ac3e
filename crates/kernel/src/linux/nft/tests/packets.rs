//! The host's ruleset under real packets: a host with two bridges, a sandbox on each, and a
//! neighbour on a wire.

use super::*;
use std::{fs, process::Child};

/// A network namespace held by a process, which goes with the value.
struct Machine(Child);

impl Machine {
    fn new() -> Self {
        let holder = Command::new("setpriv").args("--pdeathsig KILL unshare -n sleep 120".split(' ')).spawn().unwrap();
        let machine = Self(holder);
        let own = fs::read_link("/proc/thread-self/ns/net").unwrap();
        let path = format!("/proc/{}/ns/net", machine.0.id());
        while fs::read_link(&path).unwrap() == own {
            std::thread::yield_now();
        }
        machine.ip("link set lo up");
        let without_waiting = "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad";
        assert!(machine.command("sh").args(["-c", without_waiting]).status().unwrap().success());
        machine
    }

    /// Wires it to interface `outside` of the thread's namespace.
    fn wired(outside: &str, addresses: &[&str], gateways: &[&str]) -> Self {
        let machine = Self::new();
        let pid = machine.0.id();
        run("ip", &format!("link add {outside} type veth peer name eth0 netns {pid}"));
        run("ip", &format!("link set {outside} up"));
        for address in addresses {
            machine.ip(&on("eth0", address));
        }
        machine.ip("link set eth0 up");
        for gateway in gateways {
            machine.ip(&format!("route add default via {gateway}"));
        }
        machine
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.0.id())).arg(program);
        command
    }

    fn ip(&self, arguments: &str) {
        assert!(self.command("ip").args(arguments.split(' ')).status().unwrap().success(), "ip {arguments}");
    }

    /// Serves `text` and the caller's address at a TCP port of every address.
    fn serve(&self, port: u16, text: &str) -> Server {
        let port = port.to_string();
        let shell = format!("echo {text} $NCAT_REMOTE_ADDR");
        let server = self.command("ncat").args(["-l", "-k", &port, "-c", &shell]).spawn().unwrap();
        let listening = || {
            let sockets = self.command("ss").args(["-Hltn", &format!("sport = {port}")]).output().unwrap();
            !sockets.stdout.is_empty()
        };
        let mut server = Server(server);
        while !listening() {
            assert!(server.0.try_wait().unwrap().is_none(), "the server has ended");
            std::thread::yield_now();
        }
        server
    }

    fn get(&self, address: &str, port: u16) -> String {
        fetch(self.command("ncat"), address, port)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a TCP server says; nothing where there is no connection within a second.
fn fetch(mut ncat: Command, address: &str, port: u16) -> String {
    let output = ncat.args(["-w", "1", "--recv-only", address, &port.to_string()]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim_end().replace("::ffff:", "")
}

fn from_host(address: &str, port: u16) -> String {
    fetch(Command::new("ncat"), address, port)
}

/// Arguments of `ip` that add `address`, usable at once.
fn on(link: &str, address: &str) -> String {
    format!("address add {address} dev {link}{}", if address.contains(':') { " nodad" } else { "" })
}

fn sysctl(path: &str, value: &str) {
    fs::write(format!("/proc/sys/net/{path}"), value).unwrap();
}

fn bridge(name: &str, port: &str, addresses: &[&str]) {
    run("ip", &format!("link add {name} type bridge"));
    run("ip", &format!("link set {port} master {name}"));
    run("ip", &format!("link set {port} type bridge_slave hairpin on"));
    for address in addresses {
        run("ip", &on(name, address));
    }
    run("ip", &format!("link set {name} up"));
    sysctl(&format!("ipv4/conf/{name}/route_localnet"), "1");
}

fn network(bridge: &str, net4: &str, net6: &str) -> Vec<Value> {
    vec![
        element("bridges", vec![interface(bridge)], None, bridge),
        element("same_bridge", vec![interface(bridge), interface(bridge)], Some(NftData::Accept), bridge),
        element("hairpin4", vec![interface(bridge), net(net4)], None, bridge),
        element("hairpin6", vec![interface(bridge), net(net6)], None, bridge),
        element("masquerade4", vec![net(net4)], None, bridge),
        element("masquerade6", vec![net(net6)], None, bridge),
    ]
}

#[test]
fn packets_take_the_ways_of_the_ruleset() {
    enter_new_netns();
    sysctl("ipv6/conf/default/accept_dad", "0");
    let web = Machine::wired("web", &["172.18.0.2/16", "fd12::1:2/112"], &["172.18.0.1", "fd12::1:1"]);
    let other = Machine::wired("other", &["172.19.0.2/16", "fd12::2:2/112"], &["172.19.0.1", "fd12::2:1"]);
    let neighbour = Machine::wired("wire", &["192.168.7.2/24", "fd77::2/64"], &["192.168.7.1", "fd77::1"]);
    bridge("br-a", "web", &["172.18.0.1/16", "fd12::1:1/112"]);
    bridge("br-b", "other", &["172.19.0.1/16", "fd12::2:1/112"]);
    run("ip", &on("wire", "192.168.7.1/24"));
    run("ip", &on("wire", "fd77::1/64"));
    sysctl("ipv4/ip_forward", "1");
    sysctl("ipv6/conf/all/forwarding", "1");

    let ports = |first, last| NftField::Ports(linkspan_model::PortRange { first, last });
    let to = |sandbox| Some(NftData::Fields(vec![address(sandbox)]));
    let to_80 = |sandbox| Some(NftData::Fields(vec![address(sandbox), NftField::Port(80)]));
    let mut wanted = vec![host_table()];
    wanted.extend(network("br-a", "172.18.0.0/16", "fd12::1:0/112"));
    wanted.extend(network("br-b", "172.19.0.0/16", "fd12::2:0/112"));
    wanted.extend([
        published("192.168.7.1".parse().unwrap(), 8080, "172.18.0.2", "exact"),
        element("publish4_any", vec![tcp(), NftField::Port(8081)], to_80("172.18.0.2"), "any"),
        element("publish4_range", vec![net("192.168.7.1/32"), tcp(), ports(9000, 9009)], to("172.18.0.2"), "range"),
        element("publish4_any_range", vec![tcp(), ports(9100, 9109)], to("172.18.0.2"), "any range"),
        element("publish6", vec![address("fd77::1"), tcp(), NftField::Port(8080)], to_80("fd12::1:2"), "exact"),
        element("publish6_any", vec![tcp(), NftField::Port(8081)], to_80("fd12::1:2"), "any"),
        element("publish6_range", vec![net("fd77::1/128"), tcp(), ports(9000, 9009)], to("fd12::1:2"), "range"),
        element("publish6_any_range", vec![tcp(), ports(9100, 9109)], to("fd12::1:2"), "any range"),
    ]);
    create(&wanted).unwrap();
    let _servers = [
        web.serve(80, "web"),
        web.serve(9001, "range"),
        web.serve(9101, "any-range"),
        neighbour.serve(7000, "outside"),
    ];

    // Neighbour discovery on new links takes a moment.
    for machine in [&web, &other, &neighbour] {
        let settled = (0..10).any(|_| !machine.get("fd77::1", 8080).is_empty());
        assert!(settled, "no way by IPv6");
    }

    for (host, caller) in [("192.168.7.1", "192.168.7.2"), ("fd77::1", "fd77::2")] {
        // Each map in turn: what one does not hold, the next may.
        assert_eq!(neighbour.get(host, 8080), format!("web {caller}"));
        assert_eq!(neighbour.get(host, 8081), format!("web {caller}"));
        assert_eq!(neighbour.get(host, 9001), format!("range {caller}"));
        assert_eq!(neighbour.get(host, 9101), format!("any-range {caller}"));
        assert_eq!(neighbour.get(host, 80), "", "not published");
        // From the host itself and from the sandbox to its own port.
        assert_eq!(from_host(host, 8080).split(' ').next(), Some("web"));
        assert_eq!(web.get(host, 8080).split(' ').next(), Some("web"), "hairpin");
    }
    // The host's loopback, which only IPv4 can leave by (route_localnet).
    assert_eq!(from_host("127.0.0.1", 8081), "web 172.18.0.1");
    // The other network reaches published ports only, and everyone the outside, masqueraded.
    assert_eq!(other.get("192.168.7.1", 8080), "web 172.19.0.2");
    assert_eq!(other.get("fd77::1", 8080), "web fd12::2:2");
    assert_eq!(other.get("172.18.0.2", 80), "");
    assert_eq!(other.get("fd12::1:2", 80), "");
    assert_eq!(web.get("192.168.7.2", 7000), "outside 192.168.7.1");
    assert_eq!(web.get("fd77::2", 7000), "outside fd77::1");
    // A neighbour that routes to the sandbox's address.
    assert_eq!(neighbour.get("172.18.0.2", 80), "");
    assert_eq!(neighbour.get("fd12::1:2", 80), "");

    // A network made internal reaches nothing outside, and nothing published is left of it.
    create(&[element("internal", vec![interface("br-a")], None, "br-a")]).unwrap();
    assert_eq!(web.get("192.168.7.2", 7000), "");
    assert_eq!(neighbour.get("192.168.7.1", 8081), "");
}
