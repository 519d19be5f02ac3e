#![no_main]

use linkspan_store::fuzzing::ForgedRows;
use std::sync::LazyLock;

/// Below $TMPDIR, which scripts/fuzz removes.
static ROWS: LazyLock<ForgedRows> =
    LazyLock::new(|| ForgedRows::new(&std::env::temp_dir().join(format!("stored_rows-{}", std::process::id()))));

libfuzzer_sys::fuzz_target!(|input: &[u8]| ROWS.check(input));
