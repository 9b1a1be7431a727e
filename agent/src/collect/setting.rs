//! Settings and facts: what the baseline asks of configurations, and their fingerprints.

use std::collections::BTreeSet;

use manifests::baseline::{Config, Fact, Setting};
use manifests::canonical;
use manifests::digest::Digest;
use manifests::evidence::{ConfigContent, ConfigPrint, FactSeen, Layer, ValueSeen, Why};
use manifests::value::Value;
use ring::hmac;

use crate::collect::config_file::{ConfigRead, Found, Winner};
use crate::collect::prefix::Prefix;

/// Keys digests of sensitive values, so that nobody without the host's key can try values out.
pub(crate) struct Sealer(hmac::Key);

impl Sealer {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    fn seal(&self, text: &[u8]) -> Digest {
        let tag = hmac::sign(&self.0, text);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(tag.as_ref());
        Digest::from_bytes(bytes)
    }
}

/// A setting's value in the files.
pub(crate) fn value(setting: &Setting, config: &Config, read: &ConfigRead, sealer: &Sealer) -> ValueSeen {
    let (found, file, line) = match read.find(&setting.key) {
        Winner::Value { value, file, line } => (value, file, line),
        Winner::Absent => return ValueSeen::Absent,
        Winner::NoFile => return ValueSeen::Unknown(Why::FileAbsent),
        Winner::Ambiguous { file, lines, odd } => return ValueSeen::Ambiguous { file, lines, odd },
        Winner::Unknown(why) => return ValueSeen::Unknown(why),
    };
    let value = match found {
        Found::Value(value) => value,
        Found::TooLong(_) => return ValueSeen::Unknown(Why::TooLarge),
        Found::Nothing => return ValueSeen::Unknown(Why::UnexpectedValue),
        // Neither comes out of a configuration as its value.
        Found::Refused | Found::Doubtful(..) => return ValueSeen::Unknown(Why::Malformed),
    };
    if setting.sensitive || config.sensitive {
        let keyed = sealer.seal(value.to_string().as_bytes());
        ValueSeen::Sealed { keyed, as_expected: setting.expect.accepts(&value), file, line }
    } else {
        ValueSeen::Value { value, file, line }
    }
}

/// A fact's value, or why it is unknown.
pub(crate) fn fact(fact: &Fact, key: &str, read: &ConfigRead) -> FactSeen {
    let (found, file, line) = match read.find(key) {
        Winner::Value { value, file, line } => (value, file, line),
        Winner::Absent => return FactSeen::Unknown(Why::KeyAbsent),
        Winner::NoFile => return FactSeen::Unknown(Why::FileAbsent),
        Winner::Ambiguous { file, lines, odd } => return FactSeen::Ambiguous { file, lines, odd },
        Winner::Unknown(why) => return FactSeen::Unknown(why),
    };
    let listed = |value: &Value| fact.one_of.iter().any(|allowed| value.is(allowed));
    match found {
        Found::Value(value) if fact.one_of.is_empty() || listed(&value) => FactSeen::Value { value, file, line },
        Found::Value(_) | Found::Nothing => FactSeen::Unknown(Why::UnexpectedValue),
        Found::TooLong(_) => FactSeen::Unknown(Why::TooLarge),
        Found::Refused | Found::Doubtful(..) => FactSeen::Unknown(Why::Malformed),
    }
}

/// A configuration's fingerprints. `sealed` are the keys of sensitive settings.
///
/// `values` is the SHA-256 of the canonical JSON of `[[key, value], …]`, sorted by key and then by
/// value: of every key the distinct values that its winning file gives it. A value too long to keep
/// is the text of its digest; a sensitive one that of its HMAC-SHA-256.
pub(crate) fn print(config: &Config, read: &ConfigRead, sealed: &BTreeSet<&str>, sealer: &Sealer) -> ConfigPrint {
    let layers = read.layers.iter().map(|layer| Layer {
        file: layer.file.clone(),
        // A short secret could be found from the plain digest of its file.
        digest: layer.bytes.ok().map(|(digest, _)| match config.sensitive {
            true => sealer.seal(digest.as_bytes()),
            false => digest,
        }),
    });
    let values = read.values().map(|values| {
        let mut pairs = Vec::new();
        let sealed: BTreeSet<String> = sealed.iter().map(|key| alike(key)).collect();
        for (key, found) in values {
            let sealed = config.sensitive || sealed.contains(&alike(key));
            let mut texts: Vec<serde_json::Value> = Vec::new();
            for value in found {
                let value = match value {
                    Found::Value(value) | Found::Doubtful(value, _) => value.clone(),
                    Found::TooLong(digest) => Value::Text(digest.to_string()),
                    // What lies below it stands for it; what is refused says nothing.
                    Found::Nothing | Found::Refused => continue,
                };
                let value = match sealed {
                    true => Value::Text(format!("hmac-{}", sealer.seal(value.to_string().as_bytes()))),
                    false => value,
                };
                texts.push(serde_json::to_value(&value).unwrap_or_default());
            }
            pairs.extend(texts.into_iter().map(|value| serde_json::json!([key, value])));
        }
        Digest::of(&canonical::to_vec(&serde_json::Value::Array(pairs)).unwrap_or_default())
    });
    ConfigPrint { layers: layers.collect(), values }
}

/// A key without what readers may take as no difference: one that is written otherwise than the setting names
/// it must not leave in clear.
fn alike(key: &str) -> String {
    key.to_lowercase().replace(['"', '\'', '\\'], "").replace('_', "-")
}

/// The whole content of a pinned configuration.
pub(crate) fn content(read: &ConfigRead, prefix: &Prefix) -> ConfigContent {
    if let Some((_, why)) = &read.unlisted {
        return ConfigContent::Unknown(*why);
    }
    let mut lines = Vec::new();
    for layer in &read.layers {
        match layer.bytes {
            Ok((digest, _)) => lines.push((prefix.in_baseline(&layer.path), digest)),
            Err(why) => return ConfigContent::Unknown(why),
        }
    }
    match lines.as_slice() {
        [] => ConfigContent::Absent,
        [(_, digest)] => ConfigContent::Digest(*digest),
        several => {
            // One list's text is written by the one writer of such lists; the layers' order is kept
            // by writing each as a list of its own.
            let mut text = Vec::new();
            for (path, digest) in several {
                let mut line = manifests::tree::FileList::new();
                line.insert_file(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()), *digest);
                text.extend_from_slice(&line.to_bytes());
            }
            ConfigContent::Digest(Digest::of(&text))
        }
    }
}
