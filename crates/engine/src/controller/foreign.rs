//! Bridges and VRFs of the host that networks take as they are.

use super::Controller;
use linkspan_kernel::{Bridge, Key, Link, LinkKind, Owner, Place, Value, Values};
use linkspan_model::{Error, Result};

impl Controller {
    /// MTU of a bridge that must be there.
    ///
    /// # Errors
    /// Of class `NotFound` where there is no such interface, and `Invalid` where it is no bridge.
    pub(super) fn foreign_bridge_mtu(&self, name: &str) -> Result<u32> {
        match self.seen_link(name, LinkKind::Bridge(Bridge::default()))? {
            Some(Link { kind: LinkKind::Bridge(_), mtu: Some(mtu), .. }) => Ok(mtu),
            Some(_) => Err(Error::invalid(format!("interface {name} is no bridge")).fix("name a bridge")),
            None => Err(Error::not_found(format!("there is no bridge {name}"))
                .fix("make it first, or leave out mode=unmanaged to have it made")),
        }
    }

    /// Refuses a VRF that is not there.
    ///
    /// # Errors
    /// Of class `NotFound` where there is no such interface, `Invalid` where it is no VRF, and `Unsupported` where the
    /// kernel has none.
    pub(super) fn check_vrf(&self, name: &str) -> Result<()> {
        match self.seen_link(name, LinkKind::Vrf { table: 0 })? {
            Some(Link { kind: LinkKind::Vrf { .. }, .. }) => Ok(()),
            Some(_) => Err(Error::invalid(format!("interface {name} is no VRF")).fix("name a VRF")),
            None if !self.kernel.has_link_kind("vrf")? => {
                Err(Error::unsupported(format!("VRF {name}: the kernel has none"))
                    .fix("load module vrf (CONFIG_NET_VRF), or leave the option out"))
            }
            None => {
                Err(Error::not_found(format!("there is no VRF {name}")).fix("make it first, or leave the option out"))
            }
        }
    }

    /// The link called `name`, wanted of this kind.
    fn seen_link(&self, name: &str, kind: LinkKind) -> Result<Option<Link>> {
        let wanted = Link {
            name: name.to_owned(),
            kind,
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
        let mut seen = self.kernel.observe(&values, "")?;
        let found = seen.remove(&Place::Host, &Key::Link(name.to_owned())).map(|entry| entry.value);
        Ok(found.and_then(|value| match value {
            Value::Link(link) => Some(link),
            _ => None,
        }))
    }
}
