use super::{Place, listing};
use crate::{
    exit::{self, Failure, Outcome},
    output,
};
use linkspan_engine::{ExplainRequest, Explanation, StepKind, Verdict};
use linkspan_kernel::Decision;
use linkspan_model::{Error, Family, PortRange, Protocol, Result};
use serde::Serialize;
use std::net::IpAddr;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan explain web db:5432
  linkspan explain web db:53/udp --probe
  linkspan explain outside 192.0.2.10:8080
  linkspan explain 198.51.100.7 web
  linkspan explain host [fd00::5]:80

FROM is a sandbox, an address, `host` or `outside`; TO is one of these or a name that FROM resolves. Without a port an ICMP \
         echo is meant. Routes and rules are read from the kernel as they are, those of other programs included; what \
         depends on more than is known (marks, limits, foreign extensions) is said to be possible. `outside` is a neighbour \
         that sends the packet to the host, whatever its destination.

Exits with 0 where the packet would arrive, with 15 where it would not, with 16 where a probe shows otherwise.

Fields: .From .To .Source .Destination .Port .Verdict .Reason .Steps, each with .Kind .Text .By; .MayStop .Differences \
         .Probe .Contradicted")]
pub(super) struct Args {
    /// Who sends
    #[arg(value_name = "FROM")]
    from: String,
    /// Who is to be reached: TO, TO:PORT or TO:PORT/tcp|udp|sctp; an IPv6 address with a port in brackets
    #[arg(value_name = "TO[:PORT][/PROTO]", value_parser = target)]
    to: Target,
    /// By IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// By IPv6 only
    #[arg(short = '6', long)]
    ipv6: bool,
    /// Send a real packet as well, and compare
    #[arg(long)]
    probe: bool,
    /// 'json' or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// What stands for TO.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    name: String,
    port: Option<u16>,
    protocol: Protocol,
}

/// Reads `TO[:PORT][/PROTO]`.
fn target(text: &str) -> Result<Target, String> {
    let (rest, protocol) = match text.rsplit_once('/') {
        Some((rest, protocol)) => (rest, Some(protocol.parse::<Protocol>().map_err(|error| error.to_string())?)),
        None => (text, None),
    };
    let (name, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => (address, None),
        Some((address, port)) => (address, Some(port.strip_prefix(':').ok_or("write [ADDRESS]:PORT")?)),
        None if rest.parse::<IpAddr>().is_ok() => (rest, None),
        None => rest.rsplit_once(':').map_or((rest, None), |(name, port)| (name, Some(port))),
    };
    if name.is_empty() {
        return Err("who is to be reached is missing".to_owned());
    }
    let port = port.map(str::parse::<PortRange>).transpose().map_err(|error| error.to_string())?;
    match (port, protocol) {
        (Some(ports), _) if ports.first != ports.last => Err("give one port".to_owned()),
        (None, Some(protocol)) => Err(format!("/{protocol} needs a port")),
        (port, protocol) => Ok(Target {
            name: name.to_owned(),
            port: port.map(|ports| ports.first),
            protocol: protocol.unwrap_or_default(),
        }),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown<'a> {
    from: &'a str,
    to: &'a str,
    source: Option<IpAddr>,
    destination: IpAddr,
    port: Option<u16>,
    verdict: Verdict,
    reason: &'a str,
    steps: Vec<ShownStep<'a>>,
    may_stop: Vec<String>,
    differences: usize,
    probe: Option<String>,
    contradicted: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShownStep<'a> {
    kind: StepKind,
    text: &'a str,
    by: Option<String>,
}

pub(super) fn run(args: &Args, place: &Place) -> Outcome {
    let family = match (args.ipv4, args.ipv6) {
        (true, _) => Some(Family::V4),
        (_, true) => Some(Family::V6),
        _ => None,
    };
    let Target { name, port, protocol } = args.to.clone();
    let request = ExplainRequest { from: args.from.clone(), to: name, port, protocol, family, probe: args.probe };
    let explanation = place.client()?.explain(std::slice::from_ref(&request))?.pop();
    let explanation = explanation.ok_or_else(|| Error::internal("the daemon explained nothing"))?;
    match args.format.as_deref() {
        Some(format) => output::line(listing::json(&shown(&explanation))?.formatted(format)?),
        None => output::print(&told(&explanation)),
    }
    let arrives = matches!(explanation.verdict, Verdict::Reached);
    if explanation.contradicted {
        Err(Failure { code: exit::CONTRADICTED, error: Some(Error::internal("the probe shows otherwise")) })
    } else if arrives {
        Ok(())
    } else {
        Err(Failure::told(exit::NOT_REACHED))
    }
}

fn shown(explanation: &Explanation) -> Shown<'_> {
    let by = |by: &Decision| by.to_string();
    Shown {
        from: &explanation.from,
        to: &explanation.to,
        source: explanation.source,
        destination: explanation.destination,
        port: explanation.port,
        verdict: explanation.verdict,
        reason: &explanation.reason,
        steps: explanation
            .steps
            .iter()
            .map(|step| ShownStep { kind: step.kind, text: &step.text, by: step.by.as_ref().map(by) })
            .collect(),
        may_stop: explanation.may_stop.iter().map(by).collect(),
        differences: explanation.differences,
        probe: explanation.probe.map(|probe| probe.to_string()),
        contradicted: explanation.contradicted,
    }
}

fn told(explanation: &Explanation) -> String {
    let mut text = String::new();
    let mut line = |head: &str, rest: &str| text.push_str(&format!("{head:<11}{rest}\n"));
    for step in &explanation.steps {
        let head = match step.kind {
            StepKind::Name => "name",
            StepKind::Route => "route",
            StepKind::Antispoof => "anti-spoof",
            StepKind::Bridge => "bridge",
            StepKind::Published => "published",
            StepKind::Rules => "rules",
            StepKind::Source => "source",
            StepKind::Mtu => "mtu",
        };
        line(head, &step.text);
        if let Some(by) = &step.by {
            line("", &format!("  by {by}"));
        }
    }
    for decision in &explanation.may_stop {
        line("perhaps", &format!("stopped by {decision}"));
    }
    if explanation.differences > 0 {
        line(
            "note",
            &format!("{} kernel objects are not as they should be; see `linkspan verify`", explanation.differences),
        );
    }
    if let Some(probe) = explanation.probe {
        line("probe", &probe.to_string());
    }
    let verdict = match explanation.verdict {
        Verdict::Reached if explanation.may_stop.is_empty() => "reached",
        Verdict::Reached => "reached, unless what may stop it does",
        Verdict::Refused => "refused",
        Verdict::Stopped => "stopped",
        Verdict::Unroutable => "no way",
    };
    line("verdict", &format!("{verdict}: {}", explanation.reason));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let read = |text: &str| target(text).map(|target| (target.name, target.port, target.protocol));
        let expect = |name: &str, port, protocol| Ok((name.to_owned(), port, protocol));
        assert_eq!(read("web"), expect("web", None, Protocol::Tcp));
        assert_eq!(read("web:80"), expect("web", Some(80), Protocol::Tcp));
        assert_eq!(read("web.app:53/udp"), expect("web.app", Some(53), Protocol::Udp));
        assert_eq!(read("fd01::5"), expect("fd01::5", None, Protocol::Tcp));
        assert_eq!(read("[fd01::5]:80/sctp"), expect("fd01::5", Some(80), Protocol::Sctp));
        for bad in ["", ":80", "web:0", "web:1-2", "web/udp", "web:80/icmp", "[fd01::5]80"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
