//! How much a request may hold. Every bound is far above what people use, and low enough that no request costs
//! the engine, its store or the kernel much.

use crate::{EndpointSpec, Error, NetworkSpec, Result, SandboxSpec};
use std::collections::BTreeMap;

/// Entries of one kind: labels of a thing, lines of `/etc/hosts`, foreign addresses of a subnet.
const ENTRIES: usize = 1000;
/// Options of a network, an endpoint or an IPAM driver.
const OPTIONS: usize = 100;
/// Bytes of the key of a label or an option.
const KEY: usize = 255;
/// Bytes of the value of a label or an option.
const VALUE: usize = 4096;
/// Names of an endpoint, and links.
const NAMES: usize = 100;
/// Bytes of any other text: a reference, a domain, an option of the resolver.
const TEXT: usize = 253;
/// Subnets of a network.
const SUBNETS: usize = 64;
/// Routes of a network.
const ROUTES: usize = 256;
/// Link-local addresses of an endpoint.
const LINK_LOCAL: usize = 16;
/// Networks of a sandbox.
const NETWORKS: usize = 256;
/// Servers, domains and options of a resolver.
const RESOLVER: usize = 32;
/// Requests to publish or to announce ports of a sandbox.
const PORT_REQUESTS: usize = 10_000;
/// Ports in all that a sandbox publishes: each once in each protocol.
const PORTS: u64 = 3 * 65_535;

fn count(number: usize, most: usize, what: &str) -> Result<()> {
    if number <= most {
        return Ok(());
    }
    Err(Error::invalid(format!("{number} {what} are too many")).fix(format!("give at most {most}")))
}

/// Refuses texts that are too long, or that are more than a line.
fn line(text: &str, most: usize, what: &str) -> Result<()> {
    if text.len() > most {
        return Err(Error::invalid(format!("{what} of {} bytes is too long", text.len()))
            .fix(format!("give at most {most} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::invalid(format!("{what} {text:?} has control characters")).fix("leave them out"));
    }
    Ok(())
}

fn pairs(pairs: &BTreeMap<String, String>, most: usize, one: &str, several: &str) -> Result<()> {
    count(pairs.len(), most, several)?;
    for (key, value) in pairs {
        line(key, KEY, &format!("key of {one}"))?;
        if key.is_empty() {
            return Err(Error::invalid(format!("{one} has no key")).fix("write KEY=VALUE"));
        }
        // What a user writes into a label is the user's own affair.
        if value.len() > VALUE {
            return Err(Error::invalid(format!("value of {one} {key:?} of {} bytes is too long", value.len()))
                .fix(format!("give at most {VALUE} bytes")));
        }
    }
    Ok(())
}

impl NetworkSpec {
    /// Refuses a request that is larger than any network needs.
    pub fn check_limits(&self) -> Result<()> {
        line(&self.driver, TEXT, "name of the driver")?;
        line(&self.ipam.driver, TEXT, "name of the IPAM driver")?;
        line(self.config_from.as_deref().unwrap_or_default(), TEXT, "name of the configuration")?;
        pairs(&self.options, OPTIONS, "option", "options")?;
        pairs(&self.ipam.options, OPTIONS, "IPAM option", "IPAM options")?;
        pairs(&self.labels, ENTRIES, "label", "labels")?;
        count(self.ipam.pools.len(), SUBNETS, "subnets of a network")?;
        count(self.routes.len(), ROUTES, "routes of a network")?;
        for pool in &self.ipam.pools {
            count(pool.aux_addresses.len(), ENTRIES, "auxiliary addresses")?;
            pool.aux_addresses.keys().try_for_each(|name| line(name, TEXT, "name of an auxiliary address"))?;
        }
        Ok(())
    }
}

impl EndpointSpec {
    /// Refuses a request that is larger than any endpoint needs.
    pub fn check_limits(&self) -> Result<()> {
        line(&self.network, TEXT, "name of the network")?;
        line(self.interface.as_deref().unwrap_or_default(), TEXT, "name of the interface")?;
        count(self.aliases.len(), NAMES, "aliases on a network")?;
        count(self.links.len(), NAMES, "links on a network")?;
        count(self.link_local.len(), LINK_LOCAL, "link-local addresses")?;
        pairs(&self.options, OPTIONS, "option", "options")
    }
}

impl SandboxSpec {
    /// Refuses a request that is larger than any sandbox needs.
    pub fn check_limits(&self) -> Result<()> {
        pairs(&self.labels, ENTRIES, "label", "labels")?;
        count(self.extra_hosts.len(), ENTRIES, "lines of /etc/hosts")?;
        count(self.dns.servers.len(), RESOLVER, "DNS servers")?;
        count(self.dns.search.len(), RESOLVER, "search domains")?;
        count(self.dns.options.len(), RESOLVER, "DNS options")?;
        self.dns.search.iter().try_for_each(|domain| line(domain, TEXT, "search domain"))?;
        self.dns.options.iter().try_for_each(|option| line(option, TEXT, "DNS option"))?;
        count(self.ports.len(), PORT_REQUESTS, "published ports")?;
        count(self.expose.len(), PORT_REQUESTS, "exposed ports")?;
        let ports: u64 = self.ports.iter().map(|port| u64::from(port.sandbox.count())).sum();
        if ports > PORTS {
            return Err(Error::invalid(format!("{ports} published ports are too many"))
                .fix(format!("give at most {PORTS}: each port once in each protocol")));
        }
        count(self.networks.len(), NETWORKS, "networks of a sandbox")?;
        self.networks.iter().try_for_each(EndpointSpec::check_limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> NetworkSpec {
        NetworkSpec::new(name.parse().unwrap(), "bridge")
    }

    #[test]
    fn each_bound_is_named() {
        let many = |number: usize| (0..number).map(|n| (n.to_string(), String::new())).collect();
        let long = |bytes: usize| BTreeMap::from([("key".to_owned(), "x".repeat(bytes))]);
        let network = |edit: &dyn Fn(&mut NetworkSpec)| {
            let mut spec = named("app");
            edit(&mut spec);
            spec.check_limits()
        };
        assert_eq!(network(&|spec| spec.labels = many(ENTRIES)), Ok(()));
        assert_eq!(network(&|spec| spec.labels = long(VALUE)), Ok(()));
        let sandbox = |edit: &dyn Fn(&mut SandboxSpec)| {
            let mut spec = SandboxSpec::default();
            edit(&mut spec);
            spec.check_limits()
        };
        let endpoint = |edit: &dyn Fn(&mut EndpointSpec)| {
            sandbox(&|spec| {
                let mut endpoint = EndpointSpec::on("app");
                edit(&mut endpoint);
                spec.networks = vec![endpoint];
            })
        };
        for (refused, words) in [
            (network(&|spec| spec.labels = many(ENTRIES + 1)), "1001 labels are too many; give at most 1000"),
            (network(&|spec| spec.labels = long(VALUE + 1)), "\"key\" of 4097 bytes is too long; give at most 4096"),
            (network(&|spec| spec.options = many(OPTIONS + 1)), "101 options"),
            (network(&|spec| spec.labels = BTreeMap::from([("k".repeat(256), String::new())])), "key of label of 256"),
            (network(&|spec| spec.options = BTreeMap::from([("a\nb".to_owned(), String::new())])), "control"),
            (network(&|spec| spec.options = BTreeMap::from([(String::new(), String::new())])), "option has no key"),
            (endpoint(&|spec| spec.aliases = vec!["a".to_owned(); NAMES + 1]), "101 aliases"),
            (endpoint(&|spec| spec.link_local = vec!["169.254.1.1".parse().unwrap(); 17]), "17 link-local"),
            (endpoint(&|spec| spec.network = "x".repeat(300)), "name of the network of 300 bytes"),
            (sandbox(&|spec| spec.dns.options = vec!["a\nnameserver 10.0.0.1".to_owned()]), "control characters"),
            (sandbox(&|spec| spec.dns.search = vec!["a".to_owned(); 33]), "33 search domains"),
            (sandbox(&|spec| spec.ports = vec!["80".parse().unwrap(); 10_001]), "10001 published ports"),
            (sandbox(&|spec| spec.ports = vec!["1-65535".parse().unwrap(); 4]), "262140 published ports"),
            (sandbox(&|spec| spec.networks = vec![EndpointSpec::on("app"); 257]), "257 networks"),
        ] {
            let error = refused.expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
