//! Named points at which a process under test can be ended, as `kill -9` would end it: one at every step that
//! changes the kernel, the store or the file system. Tests go through [`Point::ALL`].
//!
//! Points are there in builds with debug assertions (or the feature `armed`), and do something only where
//! [`VARIABLE`] names a directory. In a release build [`hit`] is an empty function.

#[cfg(any(debug_assertions, feature = "armed"))]
mod armed;
mod point;

pub use point::Point;

/// Environment variable with a directory: each point that is passed adds a line with its name to the file
/// `trace` in it, and where the file `arm` says `NAME N` the process is killed at the N-th of the name, once it has put its ID into the file `killed`.
pub const VARIABLE: &str = "LINKSPAN_FAILPOINTS";

/// Passes `point`, or ends the process there.
#[inline]
pub fn hit(point: Point) {
    #[cfg(any(debug_assertions, feature = "armed"))]
    armed::hit(point);
    #[cfg(not(any(debug_assertions, feature = "armed")))]
    let _ = point;
}
