#![no_main]

use libfuzzer_sys::fuzz_target;
use manifests::baseline::{Encoding, Format};

const FORMATS: [Format; 8] = [
    Format::Ini,
    Format::Xml,
    Format::Properties,
    Format::Toml,
    Format::Json,
    Format::Yaml,
    Format::Env,
    Format::Keyvalue,
];

fuzz_target!(|bytes: &[u8]| {
    let [which, bytes @ ..] = bytes else { return };
    let format = FORMATS[usize::from(*which) % FORMATS.len()];
    for encoding in [Encoding::ShiftJis, Encoding::EucJp, Encoding::Utf16] {
        for reader in format.readers() {
            fuzz::read_as(bytes, format, *reader, Some(encoding));
        }
    }
});
