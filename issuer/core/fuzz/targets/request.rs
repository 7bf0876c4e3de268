#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tandem_issuer_core_fuzz::request(data));
