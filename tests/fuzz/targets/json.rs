#![no_main]

use libfuzzer_sys::fuzz_target;
use manifests::baseline::Format;

fuzz_target!(|bytes: &[u8]| fuzz::read(bytes, Format::Json));
