//! The options of endpoints that sandboxes have an interface by.

mod sysctl;

pub(crate) use sysctl::name as sysctl_name;

use linkspan_engine::{Announcing, EndpointOptions, Source};
use linkspan_model::{Error, Result, is_valid_interface_name};
use std::{collections::BTreeMap, time::Duration};

/// Our short name of each option, and Docker's; the same twice where Docker has none.
const NAMES: [(&str, &str); 5] = [
    ("ifname", "com.docker.network.endpoint.ifname"),
    ("sysctls", "com.docker.network.endpoint.sysctls"),
    ("advertise_addr_nmsgs", "com.docker.network.advertise_addr_nmsgs"),
    ("advertise_addr_ms", "com.docker.network.advertise_addr_ms"),
    ("host_interface_name", "host_interface_name"),
];

/// Links of the host whose names begin with this are ours to remove where they belong to no endpoint.
const OWN_LINKS: &str = "lsv";

/// Reads `options`; neighbours are told as `announcing` says where they do not.
pub(crate) fn parse(options: &BTreeMap<String, String>, announcing: Announcing) -> Result<EndpointOptions> {
    let mut parsed = EndpointOptions { announcing, ..EndpointOptions::default() };
    let mut given: Vec<&str> = Vec::new();
    for (key, value) in options {
        let name = NAMES.iter().find(|(short, docker)| key == short || key == docker).map(|(short, _)| *short);
        let Some(name) = name else {
            let known: Vec<&str> = NAMES.iter().map(|(short, _)| *short).collect();
            return Err(Error::invalid(format!("an endpoint has no option {key:?}"))
                .fix(format!("its options are {}", known.join(", "))));
        };
        if given.contains(&name) {
            return Err(Error::invalid(format!("option {name} is given in both spellings")).fix("give it once"));
        }
        given.push(name);
        match name {
            "ifname" => parsed.interface = Some(interface(key, value)?),
            "host_interface_name" => parsed.host_interface = Some(host_interface(key, value)?),
            "sysctls" => {
                parsed.sysctls = sysctl::parse(value).map_err(|error| error.context(format!("option {key}")))?
            }
            _ => announce(&mut parsed.announcing, key, value)?,
        }
    }
    Ok(parsed)
}

/// Reads `advertise_addr_nmsgs` or `advertise_addr_ms`, whatever its spelling.
pub(crate) fn announce(announcing: &mut Announcing, key: &str, value: &str) -> Result<()> {
    let bounds = if key.ends_with("_ms") { Announcing::INTERVAL_MS } else { 0..=Announcing::MAX_MESSAGES.into() };
    let number: u64 = value.parse().ok().filter(|number| bounds.contains(number)).ok_or_else(|| {
        Error::invalid(format!("option {key}={value} is out of range")).fix(format!(
            "give a number from {} to {}",
            bounds.start(),
            bounds.end()
        ))
    })?;
    if key.ends_with("_ms") {
        announcing.interval = Duration::from_millis(number);
    } else {
        announcing.messages = number as u8;
    }
    Ok(())
}

fn interface(key: &str, value: &str) -> Result<String> {
    if is_valid_interface_name(value) {
        return Ok(value.to_owned());
    }
    Err(Error::invalid(format!("option {key}={value:?} is no name for an interface"))
        .fix("give 1 to 15 printable characters without '/', ':', '%', '\"' and blanks, not lo"))
}

fn host_interface(key: &str, value: &str) -> Result<String> {
    let name = interface(key, value)?;
    if name.starts_with(OWN_LINKS) {
        return Err(Error::invalid(format!(
            "option {key}={value}: names that begin with {OWN_LINKS} are made up by linkspan"
        ))
        .fix("choose another name, or leave it out"));
    }
    Ok(name)
}

/// The settings of an interface that say what becomes of router advertisements. Where addresses are ours to give, those of
/// a sibling count for nothing; where a server gives them, routers still say where it goes on.
pub(crate) fn router_advertisements(source: Source) -> &'static [(&'static str, &'static str)] {
    match source {
        Source::Pools => &[("accept_ra", "0")],
        Source::Server { .. } => &[("accept_ra", "1"), ("autoconf", "0")],
        Source::Routers => &[("accept_ra", "1"), ("autoconf", "1")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<EndpointOptions> {
        let options = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        parse(&options, Announcing { messages: 2, interval: Duration::from_millis(500) })
    }

    #[test]
    fn both_spellings_mean_the_same() {
        let short = read(&[
            ("ifname", "lan0"),
            ("advertise_addr_nmsgs", "0"),
            ("sysctls", "net.ipv4.conf.IFNAME.arp_notify=1"),
        ]);
        let docker = read(&[
            ("com.docker.network.endpoint.ifname", "lan0"),
            ("com.docker.network.advertise_addr_nmsgs", "0"),
            ("com.docker.network.endpoint.sysctls", "net.ipv4.conf.IFNAME.arp_notify=1"),
        ]);
        assert_eq!(short, docker);
        let parsed = short.unwrap();
        assert_eq!(parsed.announcing, Announcing { messages: 0, interval: Duration::from_millis(500) });
        assert_eq!((parsed.interface.as_deref(), parsed.sysctls.len()), (Some("lan0"), 1));
    }

    #[test]
    fn what_is_unknown_or_malformed_is_named() {
        for (key, value) in [
            ("nonsense", "1"),
            ("ifname", "a/b"),
            ("ifname", ""),
            ("ifname", "lo"),
            ("host_interface_name", "sixteen-letters-"),
            ("host_interface_name", "lsvfoo"),
            ("advertise_addr_nmsgs", "4"),
            ("advertise_addr_nmsgs", "-1"),
            ("advertise_addr_ms", "99"),
            ("advertise_addr_ms", "2001"),
            ("com.docker.network.advertise_addr_ms", "1s"),
            ("sysctls", "net.ipv4.ip_forward=1"),
        ] {
            let error = read(&[(key, value)]).expect_err(key).to_string();
            assert!(error.contains(key), "{error}");
        }
        let twice = read(&[("ifname", "a"), ("com.docker.network.endpoint.ifname", "a")]);
        assert!(twice.unwrap_err().to_string().contains("both spellings"));
    }
}
