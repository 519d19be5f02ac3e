use super::{super::Place, super::listing, shape::Inspection};
use crate::exit::Outcome;

/// Arguments of `network inspect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan network inspect app
  linkspan network inspect -f '{{range .IPAM.Config}}{{.Subnet}}{{end}}' app")]
pub(in crate::cli) struct Args {
    /// Names or IDs of networks
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
    /// 'json' or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// As in Docker, where it shows services of a cluster too
    #[arg(short, long)]
    verbose: bool,
}

pub(in crate::cli) fn run(args: &Args, place: &Place) -> Outcome {
    let client = place.client()?;
    listing::inspect(&args.networks, args.format.as_deref(), |network| {
        let view = client.network(network)?;
        listing::json(&Inspection::from(&view))
    })
}
