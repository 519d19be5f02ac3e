//! rtnetlink: links, addresses, routes, neighbours.

pub(crate) mod address;
pub(crate) mod link;
pub(crate) mod observe;
pub(crate) mod route;
mod socket;

pub(crate) use socket::{Refusal, Request, RtSocket};
