//! What is interrupted.

/// An operation and the one that takes it back.
pub(super) struct Pair {
    pub(super) name: &'static str,
    /// What is there before.
    pub(super) setup: &'static str,
    pub(super) there: &'static str,
    pub(super) back: &'static str,
    /// Shows what the host itself does not see.
    pub(super) inside: &'static str,
}

const NETWORKS: &str = "set -e
    linkspan network create --ipv6 --subnet 10.89.7.0/29 --subnet fd12:89::/64 app
    linkspan network create --ipv6 --subnet 10.89.8.0/29 --subnet fd12:90::/64 other";

/// Calls the local API, for what has no command.
macro_rules! api {
    ($words:literal) => {
        concat!("curl -sSf --unix-socket $LINKSPAN_SOCKET ", $words)
    };
}

pub(super) const OPERATIONS: &[Pair] = &[
    Pair {
        name: "network",
        setup: "linkspan network create made-before",
        there: "linkspan network create --ipv6 --subnet 10.89.7.0/29 --subnet fd12:89::/64 app",
        back: "linkspan network rm app",
        inside: "true",
    },
    Pair {
        name: "sandbox",
        setup: NETWORKS,
        there: "linkspan sandbox create --name s -p 8080:80 -p 9000-9003:9000-9003/udp -p '[::1]:81:81' \
                --network name=app,ip=10.89.7.3,ip6=fd12:89::3,mac-address=02:00:00:00:00:03 \
                --network name=other,ip=10.89.8.3,ip6=fd12:90::3,mac-address=02:00:00:00:01:03",
        back: "linkspan sandbox rm s",
        inside: "true",
    },
    Pair {
        name: "adopted",
        setup: "set -e
            linkspan network create --ipv6 --subnet 10.89.7.0/29 --subnet fd12:89::/64 app
            ip netns add vm; ip -n vm link set lo up; ip -n vm link add keep type bridge; ip -n vm addr add 10.98.3.1/24 dev keep",
        there: "linkspan sandbox create --name s --netns /run/netns/vm -p 8080:80 \
                --network name=app,ip=10.89.7.3,ip6=fd12:89::3,mac-address=02:00:00:00:00:03",
        back: "linkspan sandbox rm s",
        inside: "ip -n vm -o addr show scope global | sed 's/^[0-9]*: /inside /'; ip -n vm route; ip -n vm -6 route | grep -v fe80; ip netns exec vm nft list ruleset | sed 's/dport set .*/dport set/; s/sport [0-9]* //'",
    },
    Pair {
        name: "connection",
        setup: "set -e
            linkspan network create --ipv6 --subnet 10.89.7.0/29 --subnet fd12:89::/64 app
            linkspan network create --ipv6 --subnet 10.89.8.0/29 --subnet fd12:90::/64 other
            linkspan sandbox create --name s -p 8080:80 --network name=other,gw-priority=-1
            linkspan sandbox inspect -f '{{.NetworkSettings.SandboxKey}}' s > $T/path",
        there: "linkspan network connect --ip 10.89.7.3 --ip6 fd12:89::3 --mac-address 02:00:00:00:00:03 app s",
        back: "linkspan network disconnect app s",
        inside: "nsenter --net=$(cat $T/path) sh -c 'ip -o addr show scope global | sed \"s/^[0-9]*: /inside /\"; ip route; ip -6 route | grep -v fe80; nft list ruleset'",
    },
    Pair {
        name: "parent",
        setup: "set -e
            ip link add wire type veth peer name far; ip link set wire up; ip link set far up",
        there: "linkspan network create -d macvlan -o parent=wire -o host_access=true --ipv6 --subnet 10.89.7.0/29 --subnet fd12:89::/64 lan",
        back: "linkspan network rm lan",
        inside: "true",
    },
    Pair {
        name: "parent link",
        setup: "set -e
            ip link add wire type veth peer name far; ip link set wire up; ip link set far up
            linkspan network create -d macvlan -o parent=wire -o host_access=true --ipv6 --subnet 10.89.7.0/29 --subnet fd12:89::/64 lan
            linkspan network create --ipv6 --subnet 10.89.8.0/29 --subnet fd12:90::/64 other
            linkspan sandbox create --name s --network name=other,gw-priority=-1
            linkspan sandbox inspect -f '{{.NetworkSettings.SandboxKey}}' s > $T/path",
        there: "linkspan network connect --ip 10.89.7.4 --ip6 fd12:89::4 --mac-address 02:00:00:00:00:04 lan s",
        back: "linkspan network disconnect lan s",
        inside: "nsenter --net=$(cat $T/path) sh -c 'ip -o link | sed \"s/^[0-9]*: //; s/@if[0-9]*//; s/ state .*//\"; ip -o addr show scope global | sed \"s/^[0-9]*: /inside /\"; ip route; ip -6 route | grep -v fe80; nft list ruleset'",
    },
    Pair {
        name: "endpoint",
        setup: NETWORKS,
        there: api!("-d '{\"network\":\"app\",\"ipv4\":\"10.89.7.3\"}' -H 'content-type: application/json' http://l/v1/endpoints | jq -e .id"),
        // Who was not told its ID finds it on the network.
        back: concat!("set -o pipefail; id=$(", api!("http://l/v1/networks/app | jq -r '.endpoints[].id'"), ") && ", api!("-X DELETE http://l/v1/endpoints/$id")),
        inside: "true",
    },
    Pair {
        name: "join",
        setup: concat!("set -e
            linkspan network create --ipv6 --subnet 10.89.7.0/29 --subnet fd12:89::/64 app
            linkspan network create --ipv6 --subnet 10.89.8.0/29 --subnet fd12:90::/64 other
            linkspan sandbox create --name s -p 8080:80 --network other
            linkspan sandbox inspect -f '{{.NetworkSettings.SandboxKey}}' s > $T/path
            ", api!("-d '{\"network\":\"app\",\"ipv4\":\"10.89.7.3\",\"ipv6\":\"fd12:89::3\",\"mac\":\"02:00:00:00:00:03\",\"interface\":\"lan0\"}' -H 'content-type: application/json' http://l/v1/endpoints | jq -r .id > $T/id")),
        there: api!("-d '{\"sandbox\":\"s\"}' -H 'content-type: application/json' http://l/v1/endpoints/$(cat $T/id)/join"),
        back: api!("-X POST http://l/v1/endpoints/$(cat $T/id)/leave"),
        inside: "nsenter --net=$(cat $T/path) sh -c 'ip -o addr show scope global | sed \"s/^[0-9]*: /inside /\"; ip route; ip -6 route | grep -v fe80; nft list ruleset'",
    },
    Pair {
        name: "program",
        setup: NETWORKS,
        there: "linkspan run -d --name s -p 8080:80 --network name=app,ip=10.89.7.3,ip6=fd12:89::3,mac-address=02:00:00:00:00:03 -- sleep 600",
        back: "linkspan rm -f s",
        inside: "true",
    },
    Pair {
        name: "host",
        setup: "true",
        there: "linkspan sandbox create --name h --network host",
        back: "linkspan sandbox rm h",
        inside: "true",
    },
    Pair {
        name: "lease",
        // A server that gives this client one address, whatever became of it before.
        setup: "set -e
            ip link add lan type bridge && ip link set lan up
            ip netns add server && ip link add port0 type veth peer name eth0 netns server
            ip link set port0 master lan up && ip -n server addr add 10.77.0.1/24 dev eth0 && ip -n server link set eth0 up
            linkspan network create --ipam-driver dhcp -o mode=unmanaged -o bridge=lan lan
            setsid ip netns exec server dnsmasq -d -u root -l $T/leases -C /dev/null --port=0 --interface=eth0 --bind-interfaces --no-ping \
                --dhcp-range=10.77.0.9,10.77.0.9,255.255.255.0,2m --dhcp-host=02:00:00:00:00:09,10.77.0.9 >$T/dnsmasq.log 2>&1 </dev/null &
            for try in $(seq 100); do grep -q 'sockets bound' $T/dnsmasq.log && break; sleep 0.05; done",
        there: "linkspan sandbox create --name s --network name=lan,mac-address=02:00:00:00:00:09",
        back: "linkspan sandbox rm s",
        inside: "true",
    },
    Pair {
        name: "none",
        setup: "true",
        there: "linkspan sandbox create --name n --network none",
        back: "linkspan sandbox rm n",
        inside: "true",
    },
];
