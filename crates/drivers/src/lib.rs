//! The built-in network drivers: `none`, `host` and `bridge`.
//!
//! To add one, copy `none.rs` and add a line to the list of built-ins in the binary.

mod bridge;
mod host;
mod none;

pub use bridge::BridgeDriver;
pub use host::HostDriver;
pub use none::NoneDriver;

use linkspan_model::{Error, NetworkSpec, Result};

/// Refuses every option: for drivers that have none.
fn refuse_options(driver: &str, spec: &NetworkSpec) -> Result<()> {
    match spec.options.keys().next() {
        None => Ok(()),
        Some(option) => Err(Error::invalid(format!("driver {driver} has no option {option:?}"))
            .fix(format!("leave it out: driver {driver} has no options"))),
    }
}
