//! The built-in network drivers: `none`, `host`, `bridge`, and on a device of the host `macvlan` and `ipvlan`.
//!
//! To add one, copy `none.rs` and add a line to the list of built-ins in the binary.

mod bridge;
mod endpoint_options;
mod host;
mod interface;
mod none;
mod option_values;
mod parent;

pub use bridge::BridgeDriver;
pub use host::HostDriver;
pub use none::NoneDriver;
pub use parent::ParentDriver;

use linkspan_engine::EndpointOptions;
use linkspan_model::{Error, NetworkSpec, Result};
use std::collections::BTreeMap;

/// Refuses every option of a network: for drivers that have none.
fn refuse_options(driver: &str, spec: &NetworkSpec) -> Result<()> {
    no_option(driver, &spec.options)
}

/// Refuses every option of an endpoint: for drivers whose endpoints have none.
fn refuse_endpoint_options(driver: &str, options: &BTreeMap<String, String>) -> Result<EndpointOptions> {
    no_option(driver, options).map(|()| EndpointOptions::default())
}

fn no_option(driver: &str, options: &BTreeMap<String, String>) -> Result<()> {
    match options.keys().next() {
        None => Ok(()),
        Some(option) => Err(Error::invalid(format!("driver {driver} has no option {option:?}"))
            .fix(format!("leave it out: driver {driver} has no options"))),
    }
}
