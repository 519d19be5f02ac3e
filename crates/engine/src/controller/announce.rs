//! Telling neighbours of the addresses of an endpoint that has joined, as often as its options say.

use super::Controller;
use crate::Phase;
use linkspan_kernel::Place;
use linkspan_model::{EndpointId, ErrorClass, MacAddr};
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

/// What the neighbours of an endpoint are told.
#[derive(Clone, Debug)]
pub(super) struct Announcement {
    pub(super) endpoint: EndpointId,
    pub(super) place: Place,
    pub(super) interface: String,
    pub(super) mac: MacAddr,
    pub(super) addresses: Vec<IpAddr>,
    /// How many times more, this one included; at least one.
    pub(super) left: u8,
    /// Time until the next.
    pub(super) interval: Duration,
}

impl Controller {
    /// The announcement that an endpoint which has joined is due, if it is due one.
    pub(super) fn announcement(&self, id: EndpointId) -> Option<Announcement> {
        let state = self.read();
        let endpoint = state.endpoints.get(&id)?;
        let place = state.sandboxes.get(&endpoint.sandbox?)?.namespace.place();
        let network = state.networks.get(&endpoint.network)?;
        let driver = self.drivers().get(&network.spec.driver).ok()?;
        let announcing = driver.endpoint_options(network, &endpoint.options).ok()?.announcing;
        let addresses: Vec<IpAddr> =
            endpoint.addresses().map(|net| net.addr()).chain(endpoint.link_local.iter().copied()).collect();
        (announcing.messages > 0 && !addresses.is_empty()).then_some(Announcement {
            endpoint: id,
            place,
            interface: endpoint.interface.clone()?,
            mac: endpoint.mac,
            addresses,
            left: announcing.messages,
            interval: announcing.interval,
        })
    }

    /// Sends an announcement; what is left of it, and when it is due.
    pub(super) fn announce(&self, announcement: &Announcement) -> Option<(Instant, Announcement)> {
        let Announcement { endpoint, place, interface, mac, addresses, left, interval } = announcement;
        // Another may have its interface, or its addresses, by now.
        let joined = self.read().endpoints.get(endpoint).is_some_and(|endpoint| endpoint.phase == Phase::Ready);
        if !joined {
            return None;
        }
        match self.kernel.announce(place, interface, *mac, addresses) {
            // It has left again.
            Err(error) if error.class() == ErrorClass::NotFound => return None,
            Err(error) => tracing::warn!(%error, %place, interface, "could not announce the addresses"),
            Ok(()) => {}
        }
        (*left > 1).then(|| (Instant::now() + *interval, Announcement { left: left - 1, ..announcement.clone() }))
    }
}
