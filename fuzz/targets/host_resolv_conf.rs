#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| linkspan_dns::fuzzing::host_resolv_conf(input));
