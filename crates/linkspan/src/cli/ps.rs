use super::{
    Place,
    list::{self, ListArgs},
};
use crate::{
    exit::Outcome,
    output::{self, Field, Filters, Row},
    program::{self, State},
};
use jiff::Timestamp;
use linkspan_engine::{PublishedPort, SandboxView};
use linkspan_model::PortBinding;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const FIELDS: [Field; 13] = [
    ("ID", "SANDBOX ID"),
    ("Name", "NAME"),
    ("Names", "NAMES"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("State", "STATE"),
    ("Status", "STATUS"),
    ("Ports", "PORTS"),
    ("Networks", "NETWORKS"),
    ("Addresses", "ADDRESSES"),
    ("Namespace", "NAMESPACE"),
    ("Labels", "LABELS"),
];
const FILTERS: [&str; 5] = ["id", "label", "name", "network", "status"];

/// Arguments of `ps`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan ps
  linkspan ps -a --filter network=app --format 'table {{.Name}}\\t{{.Addresses}}'

Filters: id, label=KEY[=VALUE], name, network, status=created|running|exited.
Fields: .ID .Name .Command .CreatedAt .RunningFor .State .Status .Ports .Networks .Addresses .Namespace .Labels .Label")]
pub(super) struct Args {
    /// Show sandboxes without a running program too
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    list: ListArgs,
}

pub(super) fn run(args: &Args, place: &Place) -> Outcome {
    // Who asks for a state wants to see it.
    let all = args.all || args.list.filter.iter().any(|filter| filter.starts_with("status="));
    let columns = ["ID", "Name", "Command", "RunningFor", "Status", "Addresses", "Ports"];
    list(&args.list, place, &columns, |state| all || state == State::Running)
}

/// Lists the sandboxes in a state that is wanted.
pub(super) fn list(args: &ListArgs, place: &Place, columns: &[&str], wanted: impl Fn(State) -> bool) -> Outcome {
    let filters = Filters::parse(&args.filter, &FILTERS)?;
    filters.only("status", &State::WORDS)?;
    let labels = list::labels(&filters)?;
    let mut shown: Vec<(SandboxView, State)> = Vec::new();
    for sandbox in place.client()?.sandboxes()? {
        let state = program::state(&sandbox);
        let networks = || sandbox.endpoints.iter();
        let passes = filters.any("id", |id| sandbox.id.to_string().starts_with(id))
            && filters.any("name", |name| sandbox.name.as_str().contains(name))
            && filters.any("status", |status| state.word() == status)
            && filters.any("network", |network| {
                networks().any(|on| on.network_name.as_str() == network || on.network.to_string().starts_with(network))
            })
            && labels.iter().all(|label| label.matches(&sandbox.labels));
        if passes && wanted(state) {
            shown.push((sandbox, state));
        }
    }
    // Newest first, as in Docker.
    shown.reverse();
    let now = Timestamp::now();
    let rows = shown.iter().map(|(sandbox, state)| (sandbox.id.to_string(), row(sandbox, *state, now, args.no_trunc)));
    Ok(args.print(&FIELDS, columns, rows.collect())?)
}

fn row(sandbox: &SandboxView, state: State, now: Timestamp, whole: bool) -> Row {
    let command = sandbox.process.as_ref().map(|process| process.command.join(" ")).unwrap_or_default();
    let endpoints = || sandbox.endpoints.iter();
    let networks: Vec<&str> = endpoints().map(|endpoint| endpoint.network_name.as_str()).collect();
    let addresses: Vec<String> = endpoints()
        .flat_map(|endpoint| {
            let v4 = endpoint.ipv4.map(|net| net.addr().to_string());
            v4.into_iter().chain(endpoint.ipv6.map(|net| net.addr().to_string()))
        })
        .collect();
    let labels: Vec<String> = sandbox.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Row {
        values: vec![
            output::id(&sandbox.id.to_string(), whole),
            sandbox.name.to_string(),
            sandbox.name.to_string(),
            if whole { command } else { shorten(&command, 40) },
            output::date(sandbox.created),
            output::ago(sandbox.created, now),
            state.word().to_owned(),
            state.sentence(sandbox, now),
            ports(sandbox),
            networks.join(","),
            addresses.join(","),
            sandbox.namespace.path().map_or("host".to_owned(), |path| path.display().to_string()),
            labels.join(","),
        ],
        labels: sandbox.labels.clone(),
    }
}

fn shorten(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    text.chars().take(length - 1).chain(['…']).collect()
}

fn ports(sandbox: &SandboxView) -> String {
    let bindings = sandbox.bindings.iter().map(published);
    bindings.chain(sandbox.direct.iter().map(direct)).collect::<Vec<_>>().join(", ")
}

/// A port that is reached at the sandbox's own address: `10.1.0.2:80/tcp`.
fn direct(port: &PublishedPort) -> String {
    let address = hosts(Some(port.address)).next().unwrap_or_default();
    format!("{address}:{}/{}", port.ports, port.protocol)
}

/// A binding as Docker's `ps` prints it: `0.0.0.0:8080->80/tcp`.
pub(super) fn published(binding: &PortBinding) -> String {
    let last = u32::from(binding.sandbox) + binding.host.count() - 1;
    let inside =
        if binding.host.count() == 1 { binding.sandbox.to_string() } else { format!("{}-{last}", binding.sandbox) };
    let host = hosts(binding.host_ip).map(|ip| format!("{ip}:{}", binding.host)).collect::<Vec<_>>();
    host.iter().map(|host| format!("{host}->{inside}/{}", binding.protocol)).collect::<Vec<_>>().join(", ")
}

/// The host addresses of a binding, as they stand in URLs.
pub(super) fn hosts(ip: Option<IpAddr>) -> impl Iterator<Item = String> {
    let every = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let chosen = ip.map_or(every.to_vec(), |ip| vec![ip]);
    chosen.into_iter().map(|ip| match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use linkspan_model::{PortRange, Protocol};

    #[test]
    fn ports_as_docker_prints_them() {
        let mut binding = PortBinding {
            host_ip: Some("127.0.0.1".parse().unwrap()),
            host: PortRange::one(8080),
            sandbox: 80,
            protocol: Protocol::Tcp,
        };
        assert_eq!(published(&binding), "127.0.0.1:8080->80/tcp");
        binding.host_ip = None;
        binding.host = PortRange { first: 8000, last: 8002 };
        assert_eq!(published(&binding), "0.0.0.0:8000-8002->80-82/tcp, [::]:8000-8002->80-82/tcp");
    }

    #[test]
    fn long_commands_are_cut() {
        assert_eq!(shorten("sleep 600", 40), "sleep 600");
        assert_eq!(shorten("abcdef", 4), "abc…");
    }
}
