#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| linkspan_kernel::fuzzing::tracked_connections(input));
