use crate::{Host, Place};

impl Host {
    /// Wires a neighbouring host `name` to this one: this host gets 10.99.`link`.1/24 and
    /// fd99:`link`::1/64 on interface `up``link`, the neighbour .2 and ::2 on its `eth0`. The host's
    /// default routes lead to the neighbour of link 0, which also holds 198.18.0.1 and fd98::1, as
    /// servers far away. A neighbour knows no route to anything behind the host.
    ///
    /// # Panics
    /// Where the kernel refuses.
    pub fn neighbour(&self, name: &str, link: u8) -> Place<'_> {
        self.ok(format!(
            "set -e
            ip netns add {name}
            ip link add up{link} type veth peer name eth0 netns {name}
            ip addr add 10.99.{link}.1/24 dev up{link}
            ip addr add fd99:{link}::1/64 dev up{link} nodad
            ip link set up{link} up
            ip -n {name} link set lo up
            ip -n {name} addr add 10.99.{link}.2/24 dev eth0
            ip -n {name} addr add fd99:{link}::2/64 dev eth0 nodad
            ip -n {name} link set eth0 up
            # Neighbours find each other only once their link-local addresses are settled.
            for try in $(seq 50); do ip netns exec {name} ping -6 -q -c 1 -W 1 fd99:{link}::1 >/dev/null && break; done"
        ));
        if link == 0 {
            self.ok(format!(
                "set -e
                ip -n {name} addr add 198.18.0.1/32 dev lo
                ip -n {name} addr add fd98::1/128 dev lo nodad
                ip route add default via 10.99.0.2
                ip -6 route add default via fd99:0::2"
            ));
        }
        Place::new(self, ["ip", "netns", "exec", name].map(str::to_owned).to_vec())
    }

    /// A network namespace at `/run/netns/NAME` such as another container runtime makes.
    ///
    /// # Panics
    /// Where the kernel refuses.
    pub fn foreign_netns(&self, name: &str) -> Place<'_> {
        self.ok(format!("ip netns add {name}"));
        Place::new(self, ["ip", "netns", "exec", name].map(str::to_owned).to_vec())
    }
}
