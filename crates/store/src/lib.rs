//! Where the engine's records are kept.
//!
//! [`SqliteStore`] keeps them on disk, safe against `kill -9` at any moment; [`MemoryStore`]
//! keeps them for the life of the process, for tests and for programs that embed the engine
//! without a state directory. `tests/contract.rs` holds both to the same promises.

mod memory;
mod sqlite;

pub use memory::MemoryStore;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use sqlite::fuzzing;
pub use sqlite::{SCHEMA_VERSION, SqliteStore};
