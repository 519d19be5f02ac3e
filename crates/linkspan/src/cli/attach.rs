//! Flags by which `run` and `sandbox create` describe a sandbox and its networks.

use super::parse::{self, HostAddress};
use linkspan_api::Client;
use linkspan_model::{
    DnsSpec, EndpointSpec, Error, ExposedPort, Family, LinkSpec, MacAddr, NamespaceSpec, PortSpec, Result, SandboxSpec,
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// What a sandbox is called and joins.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Attach {
    /// Name of the sandbox
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Host name inside
    #[arg(short = 'h', long, value_name = "NAME")]
    hostname: Option<String>,
    /// Label of the sandbox; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = parse::key_value)]
    label: Vec<(String, String)>,
    /// Network to join; may be repeated. As name=NET,KEY=VALUE,… it says more; keys are alias, ip, ip6, mac-address,
    /// link-local-ip, link, interface, driver-opt and gw-priority
    #[arg(long, visible_alias = "net", value_name = "NETWORK", value_parser = network, help_heading = "Network")]
    network: Vec<EndpointSpec>,
    /// IPv4 address on the first network
    #[arg(long, value_name = "IP", help_heading = "Network")]
    ip: Option<Ipv4Addr>,
    /// IPv6 address on the first network
    #[arg(long, value_name = "IP6", help_heading = "Network")]
    ip6: Option<Ipv6Addr>,
    /// MAC address on the first network
    #[arg(long, value_name = "MAC", help_heading = "Network")]
    mac_address: Option<MacAddr>,
    /// Further name on the first network; may be repeated
    #[arg(long, visible_alias = "net-alias", value_name = "NAME", help_heading = "Network")]
    network_alias: Vec<String>,
    /// Link-local address on the first network (169.254.0.0/16, fe80::/64); may be repeated
    #[arg(long, value_name = "IP", help_heading = "Network")]
    link_local_ip: Vec<IpAddr>,
    /// Name that only this sandbox has for another on the first network: NAME[:ALIAS]; may be repeated
    #[arg(long, value_name = "NAME:ALIAS", help_heading = "Network")]
    link: Vec<LinkSpec>,
    /// Publish a port: [IP:][HOSTPORT[-END]:]PORT[-END][/tcp|udp|sctp]; may be repeated
    #[arg(short, long, value_name = "PORT", help_heading = "Network")]
    publish: Vec<PortSpec>,
    /// Publish every port of --expose on a port of the host that is free
    #[arg(short = 'P', long, help_heading = "Network")]
    publish_all: bool,
    /// Announce a port without publishing it: PORT[-END][/tcp|udp|sctp]; may be repeated
    #[arg(long, value_name = "PORT", help_heading = "Network")]
    expose: Vec<ExposedPort>,
    /// Server for names that belong to no network; may be repeated
    #[arg(long, value_name = "IP", help_heading = "Names")]
    dns: Vec<IpAddr>,
    /// Search domain, '.' for none; may be repeated
    #[arg(long, value_name = "DOMAIN", help_heading = "Names")]
    dns_search: Vec<String>,
    /// Option of resolv.conf(5); may be repeated
    #[arg(long, visible_alias = "dns-opt", value_name = "OPTION", help_heading = "Names")]
    dns_option: Vec<String>,
    /// Line of /etc/hosts: NAME:ADDRESS, the address may be host-gateway (see network option host_access); may be repeated
    #[arg(long, value_name = "NAME:ADDRESS", value_parser = parse::host_entry, help_heading = "Names")]
    add_host: Vec<(String, HostAddress)>,
}

impl Attach {
    /// The request for the sandbox. Without a network it joins the default one, `bridge`.
    pub(super) fn spec(self, namespace: NamespaceSpec, client: &Client) -> Result<SandboxSpec> {
        let mut networks = self.network;
        if networks.is_empty() {
            networks.push(EndpointSpec::on("bridge"));
        }
        let first = &mut networks[0];
        set(&mut first.ipv4, self.ip, "ip")?;
        set(&mut first.ipv6, self.ip6, "ip6")?;
        set(&mut first.mac, self.mac_address, "mac-address")?;
        first.aliases.extend(self.network_alias);
        first.link_local.extend(self.link_local_ip);
        first.links.extend(self.link);
        let mut ports = self.publish;
        if self.publish_all {
            let exposed = self.expose.iter();
            ports.extend(exposed.map(|port| PortSpec {
                host_ip: None,
                host: None,
                sandbox: port.ports,
                protocol: port.protocol,
            }));
        }
        Ok(SandboxSpec {
            name: self.name.map(|name| name.parse()).transpose()?,
            hostname: self.hostname,
            namespace,
            dns: DnsSpec { servers: self.dns, search: self.dns_search, options: self.dns_option },
            extra_hosts: extra_hosts(self.add_host, client)?,
            ports,
            expose: self.expose,
            labels: parse::map(&self.label),
            networks,
        })
    }
}

fn set<T>(field: &mut Option<T>, value: Option<T>, flag: &str) -> Result<()> {
    match (&field, value) {
        (_, None) => Ok(()),
        (Some(_), Some(_)) => Err(Error::invalid(format!("{flag} is given twice for the first network"))
            .fix(format!("give it either as --{flag} or in --network"))),
        (None, value) => {
            *field = value;
            Ok(())
        }
    }
}

fn extra_hosts(entries: Vec<(String, HostAddress)>, client: &Client) -> Result<Vec<(String, IpAddr)>> {
    let mut gateway = None;
    let mut hosts = Vec::new();
    for (name, address) in entries {
        let address = match address {
            HostAddress::Address(address) => address,
            HostAddress::Gateway => match gateway {
                Some(address) => address,
                None => *gateway.insert(host_gateway(client)?),
            },
        };
        hosts.push((name, address));
    }
    Ok(hosts)
}

/// The address by which sandboxes reach the host, whatever else they are on.
fn host_gateway(client: &Client) -> Result<IpAddr> {
    let pools = client.network("bridge")?.pools;
    let mut gateways = pools.iter().filter_map(|pool| pool.gateway);
    let chosen = gateways.clone().find(|gateway| Family::of(*gateway) == Family::V4).or_else(|| gateways.next());
    chosen.ok_or_else(|| Error::not_found("host-gateway: network bridge has no gateway").fix("give an address instead"))
}

/// `NETWORK`, or Docker's comma-separated `name=NETWORK,…`.
pub(super) fn network(text: &str) -> Result<EndpointSpec, String> {
    if !text.contains(['=', ',']) {
        return Ok(EndpointSpec::on(canonical(text)));
    }
    let mut spec = EndpointSpec::default();
    for field in parse::csv(text)? {
        let (key, value) = field.split_once('=').ok_or_else(|| format!("{field:?} is not KEY=VALUE"))?;
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "name" => spec.network = canonical(value),
            "alias" => spec.aliases.push(value.to_owned()),
            "ip" => spec.ipv4 = Some(read(key, value)?),
            "ip6" => spec.ipv6 = Some(read(key, value)?),
            "mac-address" => spec.mac = Some(read(key, value)?),
            "link-local-ip" => spec.link_local.push(read(key, value)?),
            "link" => spec.links.push(read(key, value)?),
            "interface" => spec.interface = Some(value.to_owned()),
            "gw-priority" => spec.gateway_priority = read(key, value)?,
            "driver-opt" => {
                let (key, value) = parse::key_value(value)?;
                spec.options.insert(key, value);
            }
            _ => {
                return Err(format!(
                    "unknown key {key:?}; keys are name, alias, ip, ip6, mac-address, link-local-ip, link, interface, \
                     driver-opt, gw-priority"
                ));
            }
        }
    }
    if spec.network.is_empty() { Err("name=NETWORK is missing".to_owned()) } else { Ok(spec) }
}

/// Docker's name for the default network.
fn canonical(name: &str) -> String {
    if name == "default" { "bridge" } else { name }.to_owned()
}

fn read<T: FromStr<Err: std::fmt::Display>>(key: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|error| format!("{key}={value}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn networks_by_name_or_in_full() {
        assert_eq!(network("app"), Ok(EndpointSpec::on("app")));
        assert_eq!(network("default"), Ok(EndpointSpec::on("bridge")));
        let spec = network(
            "name=app,alias=db,alias=store,ip=10.0.0.5,ip6=fd01::5,mac-address=02:00:00:00:00:05,\
             link-local-ip=169.254.9.9,link=cache:redis,link=db,interface=lan0,gw-priority=-3,\"driver-opt=a=b,c\"",
        )
        .unwrap();
        assert_eq!(
            spec,
            EndpointSpec {
                network: "app".to_owned(),
                ipv4: Some("10.0.0.5".parse().unwrap()),
                ipv6: Some("fd01::5".parse().unwrap()),
                mac: Some("02:00:00:00:00:05".parse().unwrap()),
                link_local: vec!["169.254.9.9".parse().unwrap()],
                aliases: vec!["db".to_owned(), "store".to_owned()],
                links: vec!["cache:redis".parse().unwrap(), "db".parse().unwrap()],
                interface: Some("lan0".to_owned()),
                gateway_priority: -3,
                options: BTreeMap::from([("a".to_owned(), "b,c".to_owned())]),
            }
        );
    }

    /// A field as it must stand in a list separated by commas.
    fn quoted(field: &str) -> String {
        if field.contains([',', '"']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
    }

    fn written(spec: &EndpointSpec) -> String {
        let mut fields = vec![format!("name={}", spec.network)];
        fields.extend(spec.ipv4.map(|ip| format!("ip={ip}")));
        fields.extend(spec.ipv6.map(|ip| format!("ip6={ip}")));
        fields.extend(spec.mac.map(|mac| format!("mac-address={mac}")));
        fields.extend(spec.link_local.iter().map(|ip| format!("link-local-ip={ip}")));
        fields.extend(spec.aliases.iter().map(|alias| format!("alias={alias}")));
        fields.extend(spec.links.iter().map(|link| format!("link={link}")));
        fields.extend(spec.interface.iter().map(|name| format!("interface={name}")));
        fields.push(format!("gw-priority={}", spec.gateway_priority));
        fields.extend(spec.options.iter().map(|(key, value)| format!("driver-opt={key}={value}")));
        fields.iter().map(|field| quoted(field)).collect::<Vec<_>>().join(",")
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(
            name in "[a-z][a-z0-9-]{0,8}",
            (ipv4, ipv6, mac) in proptest::prelude::any::<(Option<[u8; 4]>, Option<[u8; 16]>, Option<[u8; 6]>)>(),
            aliases in proptest::collection::vec("[a-z_-]{1,9}", 0..3),
            links in proptest::collection::vec(("[a-z]{1,9}", "[a-z]{1,9}"), 0..3),
            link_local in proptest::collection::vec(proptest::prelude::any::<[u8; 2]>(), 0..3),
            interface in proptest::option::of("[a-z][a-z0-9.]{0,9}"),
            gateway_priority: i32,
            options in proptest::collection::btree_map("[a-z.]{1,12}", "[!-~]([ -~]{0,12}[!-~])?", 0..3),
        ) {
            let spec = EndpointSpec {
                // Docker's name for network bridge.
                network: if name == "default" { "bridge".to_owned() } else { name },
                ipv4: ipv4.map(Ipv4Addr::from),
                ipv6: ipv6.map(Ipv6Addr::from),
                mac: mac.map(MacAddr::local),
                link_local: link_local.into_iter().map(|[a, b]| Ipv4Addr::new(169, 254, a, b).into()).collect(),
                aliases,
                links: links.into_iter().map(|(name, alias)| LinkSpec { name, alias }).collect(),
                interface,
                gateway_priority,
                options,
            };
            proptest::prop_assert_eq!(network(&written(&spec)), Ok(spec));
        }

        #[test]
        fn no_text_is_too_odd(text: String) {
            if let Ok(spec) = network(&text) {
                proptest::prop_assert!(!spec.network.is_empty() || text.is_empty());
            }
        }
    }

    #[test]
    fn bad_networks_say_why() {
        for (text, why) in [
            ("alias=db", "name=NETWORK is missing"),
            ("name=a,colour=red", "unknown key"),
            ("name=a,ip=10.0.0", "ip=10.0.0"),
            ("name=a,db", "not KEY=VALUE"),
            ("name=a,mac-address=ff", "MAC address"),
        ] {
            let error = network(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
