#![no_main]

use std::{path::PathBuf, sync::LazyLock};

/// Below $TMPDIR, which scripts/fuzz removes.
static DIRECTORY: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("engine_start-{}", std::process::id())));

libfuzzer_sys::fuzz_target!(|input: &[u8]| linkspan::fuzzing::start(&DIRECTORY, input));
