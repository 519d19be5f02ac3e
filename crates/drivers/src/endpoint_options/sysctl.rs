//! Settings of an interface in Docker's notation: `net.ipv4.conf.IFNAME.log_martians=1,…`.

use linkspan_engine::EndpointSysctl;
use linkspan_model::{Error, Result};

/// Stands for the interface, in any case: Docker's command line turns options into lower case.
const PLACEHOLDER: &str = "IFNAME";

/// Reads settings separated by commas.
pub(super) fn parse(text: &str) -> Result<Vec<EndpointSysctl>> {
    let mut settings: Vec<EndpointSysctl> = Vec::new();
    for part in text.split(',') {
        let setting = one(part.trim())?;
        if settings.iter().any(|other| other.path(PLACEHOLDER) == setting.path(PLACEHOLDER)) {
            return Err(Error::invalid(format!("sysctl {} is given twice", name(&setting))).fix("give it once"));
        }
        settings.push(setting);
    }
    Ok(settings)
}

fn one(text: &str) -> Result<EndpointSysctl> {
    let refused = |why: &str| {
        Err(Error::invalid(format!("sysctl {text:?} {why}")).fix(
            "write net.ipv4.conf.IFNAME.KEY=VALUE with the word IFNAME; families are ipv4, ipv6 and mpls, groups conf and neigh",
        ))
    };
    let Some((key, value)) = text.split_once('=') else { return refused("is not KEY=VALUE") };
    let parts: Vec<&str> = key.split('.').collect();
    let ["net", family, group, interface, key] = parts[..] else {
        return refused("is no setting of an interface");
    };
    match (family, group) {
        ("ipv4" | "ipv6", "conf" | "neigh") | ("mpls", "conf") => {}
        _ => return refused("is no setting of an interface below net.ipv4, net.ipv6 or net.mpls"),
    }
    if !interface.eq_ignore_ascii_case(PLACEHOLDER) {
        return refused("is not about the endpoint's own interface");
    }
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        return refused("has no name of a setting");
    }
    if value.is_empty() || value.len() > 255 || value.chars().any(char::is_control) {
        return refused("has no value of at most 255 printable characters");
    }
    Ok(EndpointSysctl {
        family: family.to_owned(),
        group: group.to_owned(),
        key: key.to_owned(),
        value: value.to_owned(),
    })
}

/// The name of a setting as users write it.
pub(crate) fn name(setting: &EndpointSysctl) -> String {
    format!("net.{}.{}.{PLACEHOLDER}.{}", setting.family, setting.group, setting.key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn setting() -> impl Strategy<Value = EndpointSysctl> {
        let place = prop_oneof![
            Just(("ipv4", "conf")),
            Just(("ipv4", "neigh")),
            Just(("ipv6", "conf")),
            Just(("ipv6", "neigh")),
            Just(("mpls", "conf")),
        ];
        (place, "[a-z][a-z0-9_]{0,30}", "[!-+.-~]([ -+.-~]{0,20}[!-+.-~])?").prop_map(
            |((family, group), key, value)| EndpointSysctl {
                family: family.to_owned(),
                group: group.to_owned(),
                key,
                value,
            },
        )
    }

    proptest! {
        #[test]
        fn reads_back(settings in prop::collection::btree_map("[a-z]{1,8}", setting(), 1..5)) {
            // The keys of the map make the settings differ.
            let settings: Vec<_> = settings.into_iter().map(|(key, setting)| EndpointSysctl { key, ..setting }).collect();
            let text: Vec<String> = settings.iter().map(|setting| format!("{}={}", name(setting), setting.value)).collect();
            prop_assert_eq!(parse(&text.join(",")), Ok(settings));
        }

        #[test]
        fn nothing_leads_out_of_the_interface(text: String) {
            for setting in parse(&text).into_iter().flatten() {
                let path = setting.path("eth0");
                prop_assert_eq!(path.split('/').count(), 5);
                prop_assert!(path.starts_with("net/") && path.contains("/eth0/") && !path.contains(".."));
            }
        }
    }

    #[test]
    fn bad_settings_are_named() {
        for bad in [
            "",
            "net.ipv4.conf.IFNAME.log_martians",
            "net.ipv4.conf.IFNAME.log_martians=",
            "net.ipv4.ip_forward=1",
            "net.ipv4.conf.all.forwarding=1",
            "net.ipv4.conf.eth0.forwarding=1",
            "net.ipv4.tcp.IFNAME.x=1",
            "net.core.conf.IFNAME.x=1",
            "net.mpls.neigh.IFNAME.x=1",
            "kernel.ipv4.conf.IFNAME.x=1",
            "net.ipv4.conf.IFNAME.../../x=1",
            "net.ipv4.conf.IFNAME.a/b=1",
            "net.ipv4.conf.IFNAME.x=1,",
            "net.ipv4.conf.IFNAME.x=1,net.ipv4.conf.ifname.x=2",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let error = parse("net.ipv4.conf.IFNAME.x=1,net.ipv4.ip_forward=1").unwrap_err();
        assert!(error.to_string().contains("net.ipv4.ip_forward"), "{error}");
    }
}
