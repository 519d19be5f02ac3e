//! What of a kernel linkspan makes use of.

use crate::NftFamily;

/// Something that a kernel has or lacks, by its configuration, its modules or its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its name, as `linkspan info` shows it.
    pub name: &'static str,
    /// The first kernel that has it; empty where every supported one has.
    pub since: &'static str,
    /// The options of the kernel's configuration that it takes, and their modules.
    pub option: &'static str,
    /// What asks for it.
    pub used_by: &'static str,
    /// What happens where it is missing.
    pub without: &'static str,
    /// How the kernel is asked.
    pub(crate) ask: Ask,
}

/// Something that is tried in namespaces of its own, to see whether the kernel does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// A network namespace, in which all the others are tried.
    Netns,
    /// A mount namespace.
    MountNamespace,
    /// A namespace of the host's name.
    UtsNamespace,
    /// A link of this kind.
    Link(&'static str),
    /// A table of this family, with this in it.
    Rules(NftFamily, &'static str),
    /// A setting below `/proc/sys`, to which what it says is written.
    Setting(&'static str),
    /// A list of tracked connections.
    Connections,
    /// A socket of SCTP.
    SctpSocket,
    /// A socket for frames.
    PacketSocket,
    /// A filter of a socket of netlink.
    SocketFilter,
    /// A socket of netlink that hears of every namespace.
    AllNamespaces,
    /// System calls that a process denies itself.
    SeccompFilter,
}

/// A feature and whether the running kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probed {
    /// The feature.
    pub feature: &'static Feature,
    /// Whether it is there.
    pub present: bool,
}

/// Everything there is to know of, in the order of [docs/kernels.md](../../../docs/kernels.md), whose table is made from it.
pub const FEATURES: &[Feature] = &[
    Feature {
        name: "netns",
        ask: Ask::Netns,
        since: "2.6.24",
        option: "`NET_NS`",
        used_by: "every sandbox",
        without: "nothing works",
    },
    Feature {
        name: "mount namespaces",
        ask: Ask::MountNamespace,
        since: "2.4.19",
        option: "always there",
        used_by: "`run`, `exec`: `/etc/resolv.conf`, `/etc/hosts` of their own",
        without: "`run` and `exec` fail",
    },
    Feature {
        name: "uts namespaces",
        ask: Ask::UtsNamespace,
        since: "2.6.19",
        option: "`UTS_NS`",
        used_by: "sandboxes with a host name",
        without: "it fails",
    },
    Feature {
        name: "bridge",
        ask: Ask::Link("bridge"),
        since: "2.4",
        option: "`BRIDGE` (bridge)",
        used_by: "driver `bridge`",
        without: "its networks are refused, the default one as well",
    },
    Feature {
        name: "veth",
        ask: Ask::Link("veth"),
        since: "2.6.24",
        option: "`VETH` (veth)",
        used_by: "endpoints of bridges",
        without: "they are refused",
    },
    Feature {
        name: "vrf",
        ask: Ask::Link("vrf"),
        since: "4.3",
        option: "`NET_VRF` (vrf)",
        used_by: "`-o vrf=NAME`",
        without: "the option is refused as unsupported",
    },
    Feature {
        name: "vxlan",
        ask: Ask::Link("vxlan"),
        since: "3.7",
        option: "`VXLAN` (vxlan)",
        used_by: "the library's values",
        without: "such a link is refused as unsupported",
    },
    Feature {
        name: "macvlan",
        ask: Ask::Link("macvlan"),
        since: "2.6.23",
        option: "`MACVLAN` (macvlan)",
        used_by: "driver `macvlan`",
        without: "its networks are refused as unsupported",
    },
    Feature {
        name: "ipvlan",
        ask: Ask::Link("ipvlan"),
        since: "3.19",
        option: "`IPVLAN` (ipvlan)",
        used_by: "driver `ipvlan`",
        without: "its networks are refused as unsupported",
    },
    Feature {
        name: "vlan",
        ask: Ask::Link("vlan"),
        since: "2.4.14",
        option: "`VLAN_8021Q` (8021q)",
        used_by: "`parent=LINK.ID` where there is no such link",
        without: "the network is refused as unsupported",
    },
    Feature {
        name: "dummy",
        ask: Ask::Link("dummy"),
        since: "2.2",
        option: "`DUMMY` (dummy)",
        used_by: "networks of `macvlan` and `ipvlan` without a parent",
        without: "they have an `ifb` device in its place",
    },
    Feature {
        name: "wireguard",
        ask: Ask::Link("wireguard"),
        since: "5.6",
        option: "`WIREGUARD` (wireguard)",
        used_by: "nothing yet",
        without: "nothing changes",
    },
    Feature {
        name: "nftables inet",
        ask: Ask::Rules(NftFamily::Inet, "chain c { type filter hook forward priority filter; policy accept; }"),
        since: "3.14",
        option: "`NF_TABLES_INET` (nf_tables)",
        used_by: "driver `bridge`",
        without: "its networks are refused",
    },
    Feature {
        name: "nftables inet nat",
        ask: Ask::Rules(
            NftFamily::Inet,
            "map m { type inet_proto . inet_service : ipv4_addr . inet_service; }\nchain c { type nat hook prerouting priority dstnat; policy accept; dnat ip to meta l4proto . th dport map @m; }",
        ),
        since: "5.2",
        option: "`NFT_NAT` (nft_nat, nft_chain_nat)",
        used_by: "published ports",
        without: "networks of driver `bridge` are refused",
    },
    Feature {
        name: "nftables masquerade",
        ask: Ask::Rules(
            NftFamily::Inet,
            "chain c { type nat hook postrouting priority srcnat; policy accept; masquerade; }",
        ),
        since: "5.2",
        option: "`NFT_MASQ` (nft_masq)",
        used_by: "what leaves a network",
        without: "networks of driver `bridge` are refused",
    },
    Feature {
        name: "nftables verdict maps",
        ask: Ask::Rules(
            NftFamily::Inet,
            "map m { type ifname . ifname : verdict; }\nchain c { iifname . oifname vmap @m; }",
        ),
        since: "3.13",
        option: "`NF_TABLES` (nf_tables)",
        used_by: "isolation, anti-spoof",
        without: "networks of driver `bridge` are refused",
    },
    Feature {
        name: "nftables intervals of several fields",
        ask: Ask::Rules(
            NftFamily::Inet,
            "set s { type ifname . ipv4_addr; flags interval; }\nchain c { oifname . ip daddr @s accept; }",
        ),
        since: "5.6",
        option: "`NF_TABLES` (nf_tables)",
        used_by: "ranges of published ports, subnets of bridges",
        without: "networks of driver `bridge` are refused",
    },
    Feature {
        name: "nftables fib",
        ask: Ask::Rules(
            NftFamily::Inet,
            "chain c { type filter hook prerouting priority filter; policy accept; fib daddr type local accept; }",
        ),
        since: "4.10",
        option: "`NFT_FIB_INET` (nft_fib_inet)",
        used_by: "published ports: what is for the host",
        without: "networks of driver `bridge` are refused",
    },
    Feature {
        name: "nftables ct",
        ask: Ask::Rules(
            NftFamily::Inet,
            "chain c { type filter hook forward priority filter; policy accept; ct state established accept; ct status dnat accept; }",
        ),
        since: "3.13",
        option: "`NFT_CT` (nft_ct), `NF_CONNTRACK`",
        used_by: "answers, translated connections",
        without: "networks of driver `bridge` are refused",
    },
    Feature {
        name: "nftables sdifname",
        ask: Ask::Rules(
            NftFamily::Inet,
            "chain c { type filter hook forward priority filter; policy accept; meta sdifname \"x\" drop; }",
        ),
        since: "5.6",
        option: "`NF_TABLES` (nf_tables)",
        used_by: "rules about VRFs, which every network has",
        without: "networks of driver `bridge` are refused",
    },
    Feature {
        name: "nftables bridge",
        ask: Ask::Rules(
            NftFamily::Bridge,
            "set s { type ifname . ether_addr; }\nchain c { type filter hook prerouting priority -300; policy accept; iifname . ether saddr @s accept; }",
        ),
        since: "3.13",
        option: "`NF_TABLES_BRIDGE`",
        used_by: "anti-spoof",
        without: "networks are refused, but with `antispoof=false`",
    },
    Feature {
        name: "nftables port rewriting",
        ask: Ask::Rules(
            NftFamily::Ip,
            "chain c { type filter hook output priority 300; policy accept; udp dport 53 udp dport set 54; }",
        ),
        since: "4.5",
        option: "`NF_TABLES_IPV4` (nf_tables)",
        used_by: "the resolver at 127.0.0.11 port 53",
        without: "sandboxes with a resolver are refused",
    },
    Feature {
        name: "nftables copies of IPv4",
        ask: Ask::Rules(
            NftFamily::Ip,
            "chain c { type filter hook input priority 300; policy accept; dup to 169.254.200.3 drop; }",
        ),
        since: "4.3",
        option: "`NFT_DUP_IPV4` (nft_dup_ipv4)",
        used_by: "`--respect-host-firewall`",
        without: "networks that ask for it are refused",
    },
    Feature {
        name: "nftables copies of IPv6",
        ask: Ask::Rules(
            NftFamily::Ip6,
            "chain c { type filter hook input priority 300; policy accept; dup to 100::3 drop; }",
        ),
        since: "4.3",
        option: "`NFT_DUP_IPV6` (nft_dup_ipv6)",
        used_by: "`--respect-host-firewall` with `--ipv6`",
        without: "networks that ask for it are refused",
    },
    Feature {
        name: "conntrack netlink",
        ask: Ask::Connections,
        since: "2.6.14",
        option: "`NF_CT_NETLINK` (nf_conntrack_netlink)",
        used_by: "forgetting connections of ports that are published no more",
        without: "a warning is logged; flows to an address that was given to another last until they time out",
    },
    Feature {
        name: "conntrack sctp",
        ask: Ask::Setting("net/netfilter/nf_conntrack_sctp_timeout_established"),
        since: "2.6.16",
        option: "`NF_CT_PROTO_SCTP`",
        used_by: "published ports of SCTP",
        without: "SCTP is tracked by addresses alone: do not rely on published ports of it",
    },
    Feature {
        name: "sctp sockets",
        ask: Ask::SctpSocket,
        since: "2.6",
        option: "`IP_SCTP` (sctp)",
        used_by: "programs in sandboxes; whether a host port of SCTP is free",
        without: "programs have no SCTP; every host port of it counts as free",
    },
    Feature {
        name: "ipv6",
        ask: Ask::Setting("net/ipv6/conf/all/forwarding"),
        since: "2.6",
        option: "`IPV6`",
        used_by: "`--ipv6`",
        without: "networks with IPv6 are refused as unsupported; others work",
    },
    Feature {
        name: "ip_forward",
        ask: Ask::Setting("net/ipv4/ip_forward"),
        since: "2.2",
        option: "`PROC_SYSCTL`",
        used_by: "whatever is routed; also `net/ipv6/conf/all/forwarding`",
        without: "networks are refused",
    },
    Feature {
        name: "route_localnet",
        ask: Ask::Setting("net/ipv4/conf/all/route_localnet"),
        since: "3.6",
        option: "`PROC_SYSCTL`",
        used_by: "ports published on 127.0.0.1",
        without: "networks that translate IPv4 are refused",
    },
    Feature {
        name: "br_netfilter",
        ask: Ask::Setting("net/bridge/bridge-nf-call-iptables"),
        since: "3.18",
        option: "`BRIDGE_NETFILTER` (br_netfilter)",
        used_by: "nothing: Docker and Kubernetes load it, and linkspan's rules allow for it",
        without: "nothing is lost",
    },
    Feature {
        name: "netlink socket filters",
        ask: Ask::SocketFilter,
        since: "2.6.26",
        option: "`NET`",
        used_by: "hearing of changed rules without hearing every element",
        without: "the daemon does not start: it could not heal",
    },
    Feature {
        name: "netlink of all namespaces",
        ask: Ask::AllNamespaces,
        since: "4.2",
        option: "`NET_NS`",
        used_by: "healing inside of sandboxes",
        without: "the daemon does not start: it could not heal",
    },
    Feature {
        name: "packet sockets",
        ask: Ask::PacketSocket,
        since: "2.2",
        option: "`PACKET` (af_packet)",
        used_by: "announcing IPv4 addresses; `--ipam-driver dhcp`",
        without: "a warning is logged, and neighbours learn a moved address later; no address by DHCP",
    },
    Feature {
        name: "seccomp filters",
        ask: Ask::SeccompFilter,
        since: "3.5",
        option: "`SECCOMP_FILTER`",
        used_by: "the daemon, which denies itself system calls",
        without: "a warning is logged, and nothing is denied",
    },
];
