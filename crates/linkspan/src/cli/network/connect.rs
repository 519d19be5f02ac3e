use super::super::{Place, parse};
use crate::exit::Outcome;
use linkspan_model::{EndpointSpec, LinkSpec, MacAddr};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Arguments of `network connect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan network connect app web
  linkspan network connect --ip 10.5.0.20 --alias db app web
  linkspan network connect --link postgres:db app web                 web alone calls postgres db
  linkspan network connect --link-local-ip 169.254.10.1 app web
  linkspan network connect --driver-opt sysctls=net.ipv4.conf.IFNAME.log_martians=1 app web

Options of driver bridge: ifname, sysctls, advertise_addr_nmsgs, advertise_addr_ms, host_interface_name, or \
         Docker's names for them (com.docker.network…). A link need not lead to a sandbox that exists, but on the default network.")]
pub(in crate::cli) struct ConnectArgs {
    /// Name or ID of the network
    network: String,
    /// Name or ID of the sandbox
    sandbox: String,
    /// Further name on the network; may be repeated
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,
    /// IPv4 address
    #[arg(long, value_name = "IP")]
    ip: Option<Ipv4Addr>,
    /// IPv6 address
    #[arg(long, value_name = "IP6")]
    ip6: Option<Ipv6Addr>,
    /// Link-local address (169.254.0.0/16, fe80::/64); may be repeated
    #[arg(long, value_name = "IP")]
    link_local_ip: Vec<IpAddr>,
    /// Name that only this sandbox has for another on the network: NAME[:ALIAS]; may be repeated
    #[arg(long, value_name = "NAME:ALIAS")]
    link: Vec<LinkSpec>,
    /// MAC address
    #[arg(long, value_name = "MAC")]
    mac_address: Option<MacAddr>,
    /// Name of the interface inside the sandbox
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// The endpoint of highest priority gives the default route
    #[arg(long, value_name = "NUMBER", default_value_t = 0, allow_negative_numbers = true)]
    gw_priority: i32,
    /// Option of the driver; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::key_value)]
    driver_opt: Vec<(String, String)>,
}

/// Arguments of `network disconnect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  linkspan network disconnect app web")]
pub(in crate::cli) struct DisconnectArgs {
    /// Name or ID of the network
    network: String,
    /// Name or ID of the sandbox
    sandbox: String,
    /// It is no error where the sandbox is not on the network
    #[arg(short, long)]
    force: bool,
}

pub(in crate::cli) fn connect(args: ConnectArgs, place: &Place) -> Outcome {
    let spec = EndpointSpec {
        network: args.network,
        ipv4: args.ip,
        ipv6: args.ip6,
        mac: args.mac_address,
        link_local: args.link_local_ip,
        aliases: args.alias,
        links: args.link,
        interface: args.interface,
        gateway_priority: args.gw_priority,
        options: parse::map(&args.driver_opt),
    };
    place.client()?.connect(&args.sandbox, &spec)?;
    Ok(())
}

pub(in crate::cli) fn disconnect(args: &DisconnectArgs, place: &Place) -> Outcome {
    Ok(place.client()?.disconnect(&args.network, &args.sandbox, args.force)?)
}
