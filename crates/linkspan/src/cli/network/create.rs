use super::super::{Place, parse};
use crate::{exit::Outcome, output};
use ipnet::IpNet;
use linkspan_model::{Error, NetworkSpec, PoolSpec, Result, RouteSpec, Scope};
use std::net::IpAddr;

/// Arguments of `network create`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan network create app
  linkspan network create --subnet 10.5.0.0/24 --ip-range 10.5.0.128/25 --gateway 10.5.0.1 lab
  linkspan network create --ipv6 dual                       both families, subnets of our choice
  linkspan network create --subnet 0.0.0.0/26 small         any subnet of this size
  linkspan network create --internal vault                  nothing gets in or out
  linkspan network create -o icc=false -o mtu=1400 apart    options of driver bridge
  linkspan network create -o antispoof=false open           members may send from any address
  linkspan network create --subnet 10.5.0.0/24 --subnet 10.6.0.0/24 two   a second subnet where the first is full
  linkspan network create --config-only --subnet 10.7.0.0/24 -o mtu=1400 plan
  linkspan network create --config-from plan net            as plan says
  linkspan network create -o gateway_mode_ipv6=routed --ipv6 --subnet fd12:7::/64 lan6
                                                            published ports at the sandbox's own address
  linkspan network create --internal -o gateway_mode_ipv4=isolated island
                                                            not even this host is on it
  linkspan network create --subnet 10.1.0.0/24 --route 10.9.0.0/16,via=10.1.0.7,metric=100 via
                                                            a way to 10.9.0.0/16 by a member
  linkspan network create -o isolate=off -o com.docker.network.host_ipv4=198.51.100.7 wide
                                                            open to other such networks, with one address outside
  linkspan network create -o host_access=tcp/22,udp/514 ops members reach these ports of this host
  linkspan network create --respect-host-firewall dmz       ports also pass this host's input rules
  linkspan network create -d macvlan -o parent=eth1.10 --subnet 192.168.10.0/24 --gateway 192.168.10.1 lan
                                                            sandboxes are hosts of VLAN 10 on eth1's wire

Prints the ID of the network.

Options of driver bridge, or Docker's names for them (com.docker.network…):
  bridge=NAME              name of the bridge
  mode=managed|unmanaged   unmanaged: the bridge is there already and stays as it is; nothing that
                           passes it is filtered or translated [managed]
  vrf=NAME                 VRF of the host that the bridge is in: sandboxes are on its routes alone; ports
                           are published with gateway_mode_…=routed only
  mtu=BYTES                MTU of the bridge and its endpoints [that of the default route]
  gateway_mode_ipv4=MODE, gateway_mode_ipv6=MODE
                           nat: published ports are the host's, by translation [default]
                           nat-unprotected: and all ports answer who routes to the sandbox's address
                           routed: no translation; published ports and ping at the sandbox's own address
                           isolated: the bridge has no address (with --internal only)
  masquerade=BOOL          what leaves has the host's address [true]; masquerade_ipv4, masquerade_ipv6
  snat_ipv4=IP, snat_ipv6=IP
                           what leaves has this address of the host
  inhibit_ipv4=BOOL        the bridge gets no IPv4 address; --gateway is somebody else on it [false]
  trusted_interfaces=A:B   from these interfaces of the host published ports are reached at the
                           sandbox's own address
  open_interfaces=A:B      from these all ports are
  isolate=strict|normal|off
                           traffic passes to and from other networks where neither is strict and not
                           both are normal (or, as with netavark, true and false) [strict]
  no_default_route=BOOL    sandboxes get no default route here, and no port is translated [false]
  metric=NUMBER            metric of that route
  icc=BOOL                 members reach each other [true]
  antispoof=BOOL           members send from their own addresses only [true]
  host_access=BOOL|LIST    what members reach of this host beside ping and DNS at the gateway's
                           address: nothing, everything, or ports such as tcp/22,udp/500-510 [false]
  respect_host_firewall=BOOL
                           as --respect-host-firewall [false]
  advertise_addr_nmsgs=N, advertise_addr_ms=MS
                           how often and at what interval addresses are announced [1, 1000]
  host_binding_ipv4=IP, host_binding_ipv6=IP
                           host addresses of published ports that name none [every address]
  enable_ipv4=BOOL, enable_ipv6=BOOL
                           as --ipv4 and --ipv6
  interface_prefix=NAME    interfaces of sandboxes are NAME0, NAME1 … [eth]

Options of drivers macvlan and ipvlan:
  parent=NAME              device of the host whose wire the sandboxes are on; NAME.10 is its VLAN 10, made
                           if it is not there; without a parent sandboxes reach each other only
  macvlan_mode=MODE        bridge: siblings reach each other directly [default]; private: not at all;
                           vepa: by way of the switch; passthru: one sandbox has the device for itself
  ipvlan_mode=MODE         l2 [default]; l3, l3s: packets are routed, nothing is broadcast, and routers need
                           a route to the subnet by way of this host
  ipvlan_flag=FLAG         bridge [default], private, vepa: as the modes of macvlan
  host_access=BOOL         this host and the sandboxes reach each other, by a link of its own [false]; its
                           address is the auxiliary one called host, or one of the subnet's
  bc_queue_len=FRAMES      broadcasts that wait for delivery to siblings (macvlan) [the kernel's]
  mtu, metric, no_default_route, interface_prefix, advertise_addr_nmsgs, advertise_addr_ms
                           as with bridge; the MTU is that of the parent unless given")]
pub(in crate::cli) struct Args {
    /// Name of the network
    #[arg(value_name = "NETWORK")]
    name: String,
    /// Driver of the network [default: bridge]
    #[arg(short, long, value_name = "DRIVER")]
    driver: Option<String>,
    /// Make a configuration for other networks: nobody joins it, and it has no objects
    #[arg(long)]
    config_only: bool,
    /// Take addresses, options and labels from this configuration
    #[arg(long, value_name = "NETWORK")]
    config_from: Option<String>,
    /// Option of the driver; may be repeated
    #[arg(short = 'o', long = "opt", value_name = "KEY=VALUE", value_parser = parse::key_value)]
    options: Vec<(String, String)>,
    /// Label of the network; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::key_value)]
    label: Vec<(String, String)>,
    /// Cut the network off from everything but its sandboxes and this host
    #[arg(long)]
    internal: bool,
    /// Let published ports be reached only by what this host's own input rules let pass
    #[arg(long)]
    respect_host_firewall: bool,
    /// Let standalone sandboxes join, on a network of swarm scope
    #[arg(long)]
    attachable: bool,
    /// Make the network of a swarm's routing mesh; drivers of this host make none
    #[arg(long, hide = true)]
    ingress: bool,
    /// How far the network reaches; drivers of this host make local ones
    #[arg(long, value_name = "SCOPE", value_parser = scope)]
    scope: Option<Scope>,
    /// Give IPv4 addresses
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true",
        default_missing_value = "true", help_heading = "Addresses")]
    ipv4: bool,
    /// Give IPv6 addresses
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", help_heading = "Addresses")]
    ipv6: bool,
    /// Subnet, of either family; 0.0.0.0/N and ::/N ask for a size only; may be repeated
    #[arg(long, value_name = "CIDR", value_parser = parse::cidr, help_heading = "Addresses")]
    subnet: Vec<IpNet>,
    /// Part of a subnet that automatic addresses come from; may be repeated
    #[arg(long, value_name = "CIDR", value_parser = parse::cidr, help_heading = "Addresses")]
    ip_range: Vec<IpNet>,
    /// Address of the gateway in a subnet; may be repeated
    #[arg(long, value_name = "IP", help_heading = "Addresses")]
    gateway: Vec<IpAddr>,
    /// Address of a subnet that someone else has; may be repeated
    #[arg(long, value_name = "NAME=IP", value_parser = parse::named_address, help_heading = "Addresses")]
    aux_address: Vec<(String, IpAddr)>,
    /// Route of the sandboxes, DESTINATION,via=GATEWAY[,metric=NUMBER]; may be repeated
    #[arg(long, value_name = "ROUTE", help_heading = "Addresses")]
    route: Vec<RouteSpec>,
    /// Driver that gives the addresses: pool, null, or dhcp, which asks the server of the wire
    #[arg(long, value_name = "DRIVER", default_value = "default", help_heading = "Addresses")]
    ipam_driver: String,
    /// Option of that driver; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::key_value, help_heading = "Addresses")]
    ipam_opt: Vec<(String, String)>,
}

fn scope(text: &str) -> Result<Scope, String> {
    match text {
        "local" => Ok(Scope::Local),
        "swarm" => Ok(Scope::Swarm),
        _ => Err("scopes are local and swarm".to_owned()),
    }
}

pub(in crate::cli) fn run(args: Args, place: &Place) -> Outcome {
    let spec = args.spec()?;
    let made = place.client()?.create_network(&spec)?;
    if let Some(warning) = made.warning {
        output::complain(format!("warning: {warning}"));
    }
    output::line(made.value);
    Ok(())
}

impl Args {
    fn spec(self) -> Result<NetworkSpec> {
        if self.scope == Some(Scope::Swarm) {
            return Err(
                Error::invalid("drivers of this host make networks of scope local only").fix("leave --scope out")
            );
        }
        let pools = pools(&self.subnet, &self.ip_range, &self.gateway, &self.aux_address)?;
        if self.ingress {
            return Err(Error::invalid("--ingress asks for the network of a swarm's routing mesh")
                .fix("leave it out: drivers of this host make networks of scope local only"));
        }
        let driver = self.driver.unwrap_or_else(|| if self.config_only { "none" } else { "bridge" }.to_owned());
        let mut spec = parse::network_named(&self.name, &driver)?;
        spec.config_only = self.config_only;
        spec.config_from = self.config_from;
        spec.internal = self.internal;
        spec.attachable = self.attachable;
        spec.enable_ipv4 = self.ipv4;
        spec.enable_ipv6 = self.ipv6;
        // Docker's name for the built-in driver.
        spec.ipam.driver = if self.ipam_driver == "default" { "pool".to_owned() } else { self.ipam_driver };
        spec.ipam.pools = pools;
        spec.ipam.options = parse::map(&self.ipam_opt);
        spec.routes = self.route;
        spec.options = parse::map(&self.options);
        if self.respect_host_firewall {
            spec.options.insert("respect_host_firewall".to_owned(), "true".to_owned());
        }
        spec.labels = parse::map(&self.label);
        Ok(spec)
    }
}

/// Puts ranges, gateways and foreign addresses to the subnets that hold them.
fn pools(
    subnets: &[IpNet],
    ranges: &[IpNet],
    gateways: &[IpAddr],
    aux_addresses: &[(String, IpAddr)],
) -> Result<Vec<PoolSpec>> {
    let mut pools: Vec<PoolSpec> = Vec::new();
    for subnet in subnets {
        let sized = subnet.addr().is_unspecified();
        if let Some(other) = pools.iter().find(|other| {
            let both = [&other.subnet, subnet];
            !sized && !other.subnet.addr().is_unspecified() && both[0].contains(both[1]) | both[1].contains(both[0])
        }) {
            return Err(Error::invalid(format!("subnets {} and {subnet} overlap", other.subnet))
                .fix("give subnets that do not share addresses"));
        }
        pools.push(PoolSpec { subnet: *subnet, ip_range: None, gateway: None, aux_addresses: Default::default() });
    }
    for range in ranges {
        let pool = holding(&mut pools, "--ip-range", &range.addr(), &range.to_string())?;
        once(&mut pool.ip_range, *range, "--ip-range", &pool.subnet)?;
    }
    for gateway in gateways {
        let pool = holding(&mut pools, "--gateway", gateway, &gateway.to_string())?;
        once(&mut pool.gateway, *gateway, "--gateway", &pool.subnet)?;
    }
    for (name, address) in aux_addresses {
        let pool = holding(&mut pools, "--aux-address", address, &format!("{name}={address}"))?;
        if let Some(other) = pool.aux_addresses.insert(name.clone(), *address) {
            return Err(Error::invalid(format!("--aux-address {name} is both {other} and {address}"))
                .fix("give each address a name of its own"));
        }
    }
    Ok(pools)
}

fn holding<'a>(pools: &'a mut [PoolSpec], flag: &str, address: &IpAddr, value: &str) -> Result<&'a mut PoolSpec> {
    let subnets: Vec<String> = pools.iter().map(|pool| pool.subnet.to_string()).collect();
    pools.iter_mut().find(|pool| pool.subnet.contains(address)).ok_or_else(|| {
        let fix = if subnets.is_empty() {
            "give the subnet with --subnet".to_owned()
        } else {
            format!("the subnets are {}", subnets.join(" and "))
        };
        Error::invalid(format!("{flag} {value} is in no subnet")).fix(fix)
    })
}

fn once<T>(field: &mut Option<T>, value: T, flag: &str, subnet: &IpNet) -> Result<()> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::invalid(format!("subnet {subnet} has two of {flag}")).fix("give one a subnet")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(flags: &str) -> Result<NetworkSpec> {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            args: Args,
        }
        let words = ["create"].into_iter().chain(flags.split_whitespace());
        <Command as clap::Parser>::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).args.spec()
    }

    #[test]
    fn addresses_go_to_the_subnet_that_holds_them() {
        let spec = spec(
            "--ipv6 --subnet 10.5.0.0/24 --subnet fd01:5::/64 --gateway fd01:5::1 --gateway 10.5.0.254 \
             --ip-range 10.5.0.128/25 --aux-address router=10.5.0.2 net",
        )
        .unwrap();
        assert!(spec.enable_ipv4 && spec.enable_ipv6);
        let [v4, v6] = &spec.ipam.pools[..] else { panic!("{:?}", spec.ipam.pools) };
        assert_eq!(v4.gateway, Some("10.5.0.254".parse().unwrap()));
        assert_eq!(v4.ip_range, Some("10.5.0.128/25".parse().unwrap()));
        assert_eq!(v4.aux_addresses["router"], "10.5.0.2".parse::<IpAddr>().unwrap());
        assert_eq!(v6.gateway, Some("fd01:5::1".parse().unwrap()));
    }

    proptest::proptest! {
        #[test]
        fn each_subnet_gets_what_lies_in_it(
            subnets in proptest::collection::btree_map(0..200u8, (25..30u8, 1..4u8, proptest::bool::ANY), 1..6),
            turn: u8,
        ) {
            let expected: Vec<PoolSpec> = subnets.iter().map(|(&third, &(prefix, gateway, range))| {
                let address = |last: u8| std::net::Ipv4Addr::new(10, 5, third, last);
                let net = |prefix: u8| IpNet::new(address(0).into(), prefix).unwrap();
                PoolSpec {
                    subnet: net(prefix),
                    ip_range: range.then(|| net(prefix + 1)),
                    gateway: Some(address(gateway).into()),
                    aux_addresses: [(format!("a{third}"), address(gateway + 1).into())].into(),
                }
            }).collect();
            // In whatever order each is given.
            let turned = |by: usize| {
                let mut pools: Vec<&PoolSpec> = expected.iter().collect();
                pools.rotate_left(by % expected.len());
                pools
            };
            let subnets: Vec<IpNet> = expected.iter().map(|pool| pool.subnet).collect();
            let ranges: Vec<IpNet> = turned(turn.into()).iter().filter_map(|pool| pool.ip_range).collect();
            let gateways: Vec<IpAddr> = turned(usize::from(turn) + 1).iter().filter_map(|pool| pool.gateway).collect();
            let aux: Vec<(String, IpAddr)> = turned(usize::from(turn) + 2).iter().flat_map(|pool| pool.aux_addresses.clone()).collect();
            proptest::prop_assert_eq!(pools(&subnets, &ranges, &gateways, &aux), Ok(expected));
        }
    }

    #[test]
    fn dockers_spellings() {
        let spec =
            spec("-d bridge -o com.docker.network.driver.mtu=1400 --ipv4=false --ipv6=true --label a --label b=c x")
                .unwrap();
        assert!(!spec.enable_ipv4 && spec.enable_ipv6);
        assert_eq!(spec.ipam.driver, "pool");
        assert_eq!((spec.labels["a"].as_str(), spec.labels["b"].as_str()), ("", "c"));
    }

    #[test]
    fn contradictions() {
        for (flags, why) in [
            ("--gateway 10.0.0.1 n", "in no subnet; give the subnet"),
            ("--subnet 10.0.0.0/24 --gateway 10.0.1.1 n", "in no subnet; the subnets are 10.0.0.0/24"),
            ("--subnet 10.0.0.0/24 --gateway 10.0.0.1 --gateway 10.0.0.2 n", "two of --gateway"),
            ("--subnet 10.0.0.0/16 --subnet 10.0.1.0/24 n", "overlap"),
            ("--subnet 10.0.0.0/16 --aux-address a=10.0.0.3 --aux-address a=10.0.0.4 n", "both 10.0.0.3 and 10.0.0.4"),
            ("--scope swarm n", "scope local only"),
            ("--ingress n", "--ingress"),
            ("a/b", "invalid name"),
        ] {
            let error = spec(flags).unwrap_err().to_string();
            assert!(error.contains(why), "{flags}: {error}");
        }
    }
}
