//! Bridges of the host that networks take as they are.

use super::Controller;
use linkspan_kernel::{Bridge, Key, Link, LinkKind, Owner, Place, Value, Values};
use linkspan_model::{Error, Result};

impl Controller {
    /// MTU of a bridge that must be there.
    ///
    /// # Errors
    /// Of class `NotFound` where there is no such interface, and `Invalid` where it is no bridge.
    pub(super) fn foreign_bridge_mtu(&self, name: &str) -> Result<u32> {
        let wanted = Link {
            name: name.to_owned(),
            kind: LinkKind::Bridge(Bridge::default()),
            mac: None,
            // Asked for, so that it is told.
            mtu: Some(0),
            up: true,
            master: None,
            port: None,
            alias: None,
            group: 0,
        };
        let mut values = Values::new();
        values.insert(Place::Host, &Owner::new("probe"), Value::Link(wanted));
        let seen = self.kernel.observe(&values, "")?;
        match seen.get(&Place::Host, &Key::Link(name.to_owned())).map(|entry| &entry.value) {
            Some(Value::Link(Link { kind: LinkKind::Bridge(_), mtu: Some(mtu), .. })) => Ok(*mtu),
            Some(_) => Err(Error::invalid(format!("interface {name} is no bridge")).fix("name a bridge")),
            None => Err(Error::not_found(format!("there is no bridge {name}"))
                .fix("make it first, or leave out mode=unmanaged to have it made")),
        }
    }
}
