//! Which host ports a sandbox gets.

use linkspan_model::{Error, ErrorClass, PortBinding, PortRange, PortSpec, Result};
use std::{
    net::IpAddr,
    sync::atomic::{AtomicU32, Ordering},
};

/// Host ports for those who name none: the dynamic range of RFC 6335 §6, as other engines use.
const EPHEMERAL: PortRange = PortRange { first: 49152, last: 65535 };

/// How many places an ephemeral block is tried at before the range counts as full.
const DRAWS: u32 = EPHEMERAL.count();

/// The next ephemeral port to try: next-fit, so that a port given back is not reused at once.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Chooses host ports for `spec`. `free` refuses what is taken with class `InUse`.
pub(crate) fn choose(
    spec: &PortSpec,
    default_host_ip: Option<IpAddr>,
    mut free: impl FnMut(&PortBinding) -> Result<()>,
) -> Result<PortBinding> {
    let host_ip = spec.host_ip.or(default_host_ip);
    let binding = |first: u16, count: u32| PortBinding {
        host_ip,
        host: PortRange { first, last: first + (count - 1) as u16 },
        sandbox: spec.sandbox.first,
        protocol: spec.protocol,
    };
    let count = spec.sandbox.count();
    match spec.host {
        Some(host) if host.count() == count => {
            let binding = binding(host.first, count);
            free(&binding).map(|()| binding)
        }
        // One port out of a range.
        Some(host) => {
            let mut last = None;
            for port in host.iter() {
                let binding = binding(port, 1);
                match free(&binding) {
                    Ok(()) => return Ok(binding),
                    Err(error) if error.class() == ErrorClass::InUse => last = Some(error),
                    Err(error) => return Err(error),
                }
            }
            let error = Error::in_use(format!("no free host port in {host}/{}", spec.protocol));
            Err(last.and_then(|last| last.holder().map(str::to_owned)).into_iter().fold(error, Error::held_by))
        }
        None if count > EPHEMERAL.count() => {
            Err(Error::invalid(format!("{count} ports do not fit the ephemeral range {EPHEMERAL}"))
                .fix("name the host ports"))
        }
        None => {
            let places = EPHEMERAL.count() - count + 1;
            for _ in 0..DRAWS {
                let place = NEXT.fetch_add(count, Ordering::Relaxed) % places;
                let binding = binding(EPHEMERAL.first + place as u16, count);
                match free(&binding) {
                    Ok(()) => return Ok(binding),
                    Err(error) if error.class() == ErrorClass::InUse => {}
                    Err(error) => return Err(error),
                }
            }
            Err(Error::exhausted(format!("no free host port in the ephemeral range {EPHEMERAL}/{}", spec.protocol))
                .fix("name a host port, or remove sandboxes that publish ports"))
        }
    }
}

/// Refuses a binding that overlaps another of the same sandbox.
pub(crate) fn check_own(bindings: &[PortBinding], new: &PortBinding) -> Result<()> {
    let same_address = |a: Option<IpAddr>, b: Option<IpAddr>| a.is_none() || b.is_none() || a == b;
    let clash = bindings.iter().find(|other| {
        other.protocol == new.protocol && same_address(other.host_ip, new.host_ip) && other.host.overlaps(new.host)
    });
    match clash {
        None => Ok(()),
        Some(other) => Err(Error::in_use(format!("host port {}/{} is published twice", new.host, new.protocol))
            .held_by(format!("another port of the same sandbox, {}/{}", other.host, other.protocol))
            .fix("publish each host port once")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> PortSpec {
        text.parse().unwrap()
    }

    fn taken(ports: &[u16]) -> impl FnMut(&PortBinding) -> Result<()> {
        move |binding| match ports.iter().find(|port| binding.host.contains(**port)) {
            None => Ok(()),
            Some(port) => Err(Error::in_use(format!("{port} taken")).held_by("nginx (pid 7)")),
        }
    }

    #[test]
    fn one_of_a_range_is_the_first_free() {
        let chosen = choose(&spec("8000-8003:80"), None, taken(&[8000, 8001])).unwrap();
        assert_eq!((chosen.host, chosen.sandbox), (PortRange::one(8002), 80));
        let error = choose(&spec("8000-8001:80"), None, taken(&[8000, 8001])).unwrap_err();
        assert_eq!(error.holder(), Some("nginx (pid 7)"));
    }

    #[test]
    fn ephemeral_blocks_are_contiguous_and_advance() {
        let first = choose(&spec("80-89"), None, taken(&[])).unwrap();
        let second = choose(&spec("80-89"), None, taken(&[])).unwrap();
        assert_eq!(first.host.count(), 10);
        assert!(!first.host.overlaps(second.host));
        assert!(EPHEMERAL.contains(first.host.first) && EPHEMERAL.contains(first.host.last));
    }

    #[test]
    fn a_sandbox_cannot_publish_a_port_twice() {
        let binding = choose(&spec("8000-8003:80-83"), None, taken(&[])).unwrap();
        let same = choose(&spec("8003:1"), None, |new| check_own(&[binding], new));
        assert_eq!(same.unwrap_err().class(), ErrorClass::InUse);
        assert!(choose(&spec("8003:1/udp"), None, |new| check_own(&[binding], new)).is_ok());
    }
}
