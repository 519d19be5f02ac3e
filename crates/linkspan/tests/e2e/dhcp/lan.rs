//! A wire with a bridge of the host's administrator, and a neighbour on it that has the server.

use crate::support::host;
use linkspan_testkit::{Background, Host, Place, within};
use std::time::Duration;

/// The server of a wire.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    /// Leases last two minutes at least.
    Dnsmasq,
    /// Leases of these seconds.
    Isc(u32),
    /// The test brings its own.
    None,
}

pub(super) struct Lan {
    pub(super) host: Host,
    pub(super) server: Option<Background>,
}

/// Pool of the servers: 10.77.0.100 to .199 and fd77::100 to ::1ff. The server is 10.77.0.1, fd77::1.
const WIRE: &str = "set -e
    ip link add lan type bridge; echo 1 > /proc/sys/net/ipv6/conf/lan/disable_ipv6; ip link set lan up
    ip netns add server
    ip link add port0 type veth peer name eth0 netns server
    ip link set port0 master lan up
    ip -n server link set lo up
    ip -n server addr add 10.77.0.1/24 dev eth0
    ip -n server addr add 10.77.0.53/24 dev eth0
    ip -n server addr add fd77::1/64 dev eth0 nodad
    ip -n server link set eth0 up
    for try in $(seq 100); do ip -n server -6 addr show dev eth0 tentative | grep -q . || break; sleep 0.05; done";

impl Lan {
    /// A wire with a server and a network `lan` on it, made with further `options`.
    pub(super) fn new(server: Server, options: &str) -> Self {
        let lan = Self::without_network(server);
        lan.host
            .ok(format!("linkspan network create --ipam-driver dhcp -o mode=unmanaged -o bridge=lan {options} lan"));
        lan
    }

    pub(super) fn without_network(server: Server) -> Self {
        let host = host();
        host.ok(WIRE);
        let mut lan = Self { host, server: None };
        lan.serve(server);
        lan
    }

    pub(super) fn neighbour(&self) -> Place<'_> {
        Place::new(&self.host, ["ip", "netns", "exec", "server"].map(str::to_owned).to_vec())
    }

    /// Starts a server.
    pub(super) fn serve(&mut self, server: Server) {
        self.server = match server {
            Server::Dnsmasq => Some(self.dnsmasq()),
            Server::Isc(seconds) => Some(self.isc(seconds, "10.77.0.100 10.77.0.199")),
            Server::None => None,
        };
    }

    fn dnsmasq(&self) -> Background {
        let server = self.neighbour().spawn(
            "exec dnsmasq -d -u root -l $T/leases -C /dev/null --port=0 --interface=eth0 --bind-interfaces \
             --log-dhcp --dhcp-authoritative --no-ping \
             --dhcp-range=10.77.0.100,10.77.0.199,255.255.255.0,2m --dhcp-range=fd77::100,fd77::1ff,64,2m --enable-ra \
             --dhcp-option=3,10.77.0.1 --dhcp-option=6,10.77.0.53 --dhcp-option=15,lan.example --dhcp-option=42,10.77.0.123 \
             --dhcp-option=26,1400 --dhcp-option=option6:dns-server,[fd77::53]",
        );
        server.until("DHCP, sockets bound exclusively");
        server
    }

    /// ISC's server knows times below a minute, and writes what it knows in a file.
    pub(super) fn isc(&self, seconds: u32, range: &str) -> Background {
        let (t1, t2) = (seconds / 2, seconds * 7 / 8);
        self.host.ok(format!(
            "cat > $T/dhcpd.conf <<END
authoritative;
ping-check false;
default-lease-time {seconds}; max-lease-time {seconds}; min-lease-time 1;
option dhcp-renewal-time {t1}; option dhcp-rebinding-time {t2};
subnet 10.77.0.0 netmask 255.255.255.0 {{ range {range}; option routers 10.77.0.1; }}
END
            touch $T/isc-leases"
        ));
        let server = self
            .neighbour()
            .spawn("rm -f $T/dhcpd.pid; exec dhcpd -4 -d -cf $T/dhcpd.conf -lf $T/isc-leases -pf $T/dhcpd.pid eth0");
        server.until("Server starting service");
        server
    }

    /// Ends the server.
    pub(super) fn silence(&mut self) {
        self.host.ok("for pid in $(ip netns pids server); do
                case \"$(cat /proc/$pid/comm)\" in (dnsmasq|dhcpd|python3) kill -9 $pid;; esac
            done");
        self.server = None;
    }

    /// Addresses that the sandbox's interface has, link-local ones left out.
    pub(super) fn addresses(&self, sandbox: &str, family: u8) -> String {
        let script = format!("ip -{family} -o addr show dev eth0 scope global | awk '{{print $4}}' | tr '\\n' ' '");
        self.host.inside(sandbox).ok(script).trim().to_owned()
    }

    pub(super) fn lease(&self, sandbox: &str) -> serde_json::Value {
        let format = "{{json .NetworkSettings.Networks.lan.DHCP}}";
        self.host.json(&format!("linkspan sandbox inspect -f '{format}' {sandbox}"))[0].clone()
    }

    #[track_caller]
    pub(super) fn until(&self, what: &str, limit: u64, condition: impl FnMut() -> bool) {
        assert!(within(Duration::from_secs(limit), condition), "{what}: not within {limit} s");
    }
}
