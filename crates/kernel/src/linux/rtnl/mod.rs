//! rtnetlink: links, addresses, routes, neighbours.

pub(crate) mod address;
pub(crate) mod link;
pub(crate) mod netns;
pub(crate) mod observe;
pub(crate) mod route;
mod socket;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use socket::Listing;
pub(crate) use socket::{Refusal, Request, RtSocket};
