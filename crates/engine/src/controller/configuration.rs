//! Configuration-only networks: what other networks are made of, without objects of their own.

use super::Controller;
use crate::{NetworkRecord, Phase, state::State};
use linkspan_model::{Error, IpamSpec, NetworkSpec, Result};

/// The driver of configurations: the one that makes nothing. Docker calls it `null`.
const DRIVER: &str = "none";

impl Controller {
    /// The request as it is once what it takes from a configuration is filled in. Contradictions are refused, as in
    /// Docker: what a configuration is for is said in one place.
    pub(super) fn configured(&self, mut spec: NetworkSpec) -> Result<NetworkSpec> {
        if spec.config_only {
            return configuration(spec);
        }
        let Some(reference) = &spec.config_from else { return Ok(spec) };
        let state = self.read();
        let source = state.ready_network(reference)?;
        if !source.spec.config_only {
            return Err(Error::invalid(format!("network {} is no configuration", source.name()))
                .fix("name one that was made with --config-only"));
        }
        let plain = NetworkSpec {
            config_from: spec.config_from.clone(),
            internal: spec.internal,
            attachable: spec.attachable,
            ..NetworkSpec::new(spec.name.clone(), spec.driver.clone())
        };
        let default_ipam = spec.ipam.driver == "default";
        if default_ipam {
            spec.ipam.driver = IpamSpec::default().driver;
        }
        if spec != plain {
            return Err(Error::invalid(format!(
                "addresses, options or labels beside the configuration {}",
                source.name()
            ))
            .fix(
                "put them into the configuration, or do without it; beside it go driver, --internal and --attachable",
            ));
        }
        let NetworkSpec { enable_ipv4, enable_ipv6, ipam, routes, options, labels, .. } = source.spec.clone();
        let config_from = Some(source.name().to_string());
        Ok(NetworkSpec { enable_ipv4, enable_ipv6, ipam, routes, options, labels, config_from, ..spec })
    }

    /// Refuses to remove a configuration that networks are made of.
    pub(super) fn check_not_depended_on(&self, state: &State, network: &NetworkRecord) -> Result<()> {
        if !network.spec.config_only {
            return Ok(());
        }
        let name = network.name().as_str();
        let users: Vec<&str> = state
            .networks
            .values()
            .filter(|other| other.phase != Phase::Removing && other.spec.config_from.as_deref() == Some(name))
            .map(|other| other.name().as_str())
            .collect();
        match users.as_slice() {
            [] => Ok(()),
            users => Err(Error::in_use(format!("networks are made of the configuration {name}"))
                .held_by(format!("network {}", users.iter().take(5).copied().collect::<Vec<_>>().join(", ")))
                .fix("remove them first")),
        }
    }
}

/// A request for a configuration.
fn configuration(spec: NetworkSpec) -> Result<NetworkSpec> {
    let refused = |what: &str, fix: &str| Err(Error::invalid(format!("a configuration {what}")).fix(fix));
    if spec.config_from.is_some() {
        return refused("cannot be made of another one", "leave out --config-from, or --config-only");
    }
    if spec.internal || spec.attachable {
        return refused(
            "is neither internal nor attachable",
            "say so of the networks that are made of it: it holds addresses, options and labels",
        );
    }
    if ![DRIVER, "null"].contains(&spec.driver.as_str()) {
        return refused("has no driver", "leave the driver out, and give it to the networks that are made of it");
    }
    Ok(NetworkSpec { driver: DRIVER.to_owned(), ..spec })
}
