//! What holds of whatever people type and of whatever the engine finds stored: for fuzzing (docs/testing.md), and for
//! the tests that try the same inputs without a fuzzer. Each function panics where its property is broken.

mod engine;
mod output;

pub use crate::cli::fuzzing::argument;
pub use engine::{requests, start};
pub use output::template;

#[cfg(test)]
mod tests {
    use super::*;
    use linkspan_testkit::replay;

    #[test]
    fn saved_inputs() {
        replay("argument", argument);
        replay("template", template);
    }

    #[test]
    fn saved_engine_inputs() {
        let directory = tempfile::tempdir().unwrap();
        replay("engine_start", |input| start(directory.path(), input));
        replay("engine_requests", |input| requests(directory.path(), input));
    }
}
