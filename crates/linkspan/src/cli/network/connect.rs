use super::super::{Place, parse};
use crate::exit::Outcome;
use linkspan_model::{EndpointSpec, MacAddr};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Arguments of `network connect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan network connect app web
  linkspan network connect --ip 10.5.0.20 --alias db app web")]
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
        aliases: args.alias,
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
