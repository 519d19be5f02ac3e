use super::{Place, ps::hosts};
use crate::{exit::Outcome, output};
use linkspan_engine::PublishedPort;
use linkspan_model::{Error, ExposedPort, PortBinding, Result};
use std::net::SocketAddr;

/// Arguments of `port`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan port web              every published port; on a routed network, at the sandbox's own address
  linkspan port web 80/tcp       where this one is published")]
pub(super) struct Args {
    /// Name or ID of the sandbox
    sandbox: String,
    /// A port inside: PORT[/tcp|udp|sctp]
    port: Option<ExposedPort>,
}

pub(super) fn run(args: &Args, place: &Place) -> Outcome {
    let sandbox = place.client()?.sandbox(&args.sandbox)?;
    output::print(&lines(&sandbox.bindings, &sandbox.direct, args.port.as_ref(), sandbox.name.as_str())?);
    Ok(())
}

fn lines(
    bindings: &[PortBinding],
    direct: &[PublishedPort],
    wanted: Option<&ExposedPort>,
    sandbox: &str,
) -> Result<String> {
    let mut text = String::new();
    for binding in bindings {
        for (offset, host_port) in binding.host.iter().enumerate() {
            let port = usize::from(binding.sandbox) + offset;
            let named = |wanted: &ExposedPort| {
                wanted.protocol == binding.protocol && wanted.ports.iter().any(|other| usize::from(other) == port)
            };
            for host in hosts(binding.host_ip) {
                match wanted {
                    None => text.push_str(&format!("{port}/{} -> {host}:{host_port}\n", binding.protocol)),
                    Some(wanted) if named(wanted) => text.push_str(&format!("{host}:{host_port}\n")),
                    Some(_) => {}
                }
            }
        }
    }
    for published in direct {
        for port in published.ports.iter() {
            let at = SocketAddr::new(published.address, port);
            match wanted {
                None => text.push_str(&format!("{port}/{} -> {at}\n", published.protocol)),
                Some(wanted) if wanted.protocol == published.protocol && wanted.ports.contains(port) => {
                    text.push_str(&format!("{at}\n"));
                }
                Some(_) => {}
            }
        }
    }
    match wanted {
        Some(wanted) if text.is_empty() => {
            Err(Error::not_found(format!("port {wanted} of sandbox {sandbox} is not published"))
                .fix(format!("see `linkspan port {sandbox}`")))
        }
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linkspan_model::{PortRange, Protocol};

    #[test]
    fn every_port_or_one() {
        let bindings = [
            PortBinding { host_ip: None, host: PortRange::one(8080), sandbox: 80, protocol: Protocol::Tcp },
            PortBinding {
                host_ip: Some("127.0.0.1".parse().unwrap()),
                host: PortRange { first: 53, last: 54 },
                sandbox: 1053,
                protocol: Protocol::Udp,
            },
        ];
        let direct =
            PublishedPort { address: "fd12::2".parse().unwrap(), ports: PortRange::one(80), protocol: Protocol::Tcp };
        insta::assert_snapshot!(lines(&bindings, &[direct], None, "web").unwrap(), @r"
        80/tcp -> 0.0.0.0:8080
        80/tcp -> [::]:8080
        1053/udp -> 127.0.0.1:53
        1054/udp -> 127.0.0.1:54
        80/tcp -> [fd12::2]:80
        ");
        let one = |port: &str| lines(&bindings, &[direct], Some(&port.parse().unwrap()), "web");
        assert_eq!(one("1054/udp"), Ok("127.0.0.1:54\n".to_owned()));
        assert_eq!(one("80"), Ok("0.0.0.0:8080\n[::]:8080\n[fd12::2]:80\n".to_owned()));
        assert!(one("1054").is_err() && one("81").is_err());
    }
}
