//! nf_tables: tables and elements, changed in one atomic batch and listed.
//!
//! Every function works on the network namespace of the calling thread.

mod apply;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod guests;
mod listing;
mod observe;
mod socket;
#[cfg(test)]
mod tests;

pub(crate) use apply::apply;
pub(crate) use guests::{from_text as remember_guests, to_text as guests_text};
pub(crate) use listing::all_rules;
pub(crate) use observe::observe;
pub(super) use socket::with_socket;
