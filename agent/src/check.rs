//! `sekisho-agent check`: what of this host's configurations the rules of this version leave unclear, before it
//! is installed. Needs neither a running agent nor a controller.

use std::io::Write;
use std::path::{Path, PathBuf};

use manifests::baseline::Baseline;
use manifests::durable::DurableError;
use manifests::registry::Host;
use manifests::text::{Lang, text};

use crate::clock;
use crate::collect::{Cause, Unclear, unclear};
use crate::config::Config;
use crate::trust::{Trust, TrustError};

/// Why it cannot be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The baseline given cannot be read.
    #[error("cannot read the baseline {}", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The baseline given is none.
    #[error("{} is refused: {problem}", path.display())]
    Refused {
        /// Its path.
        path: PathBuf,
        /// The first problem of it.
        problem: String,
    },
    /// The first root cannot be read.
    #[error("cannot read the first root")]
    Root(#[source] DurableError),
    /// The signed set cannot be used.
    #[error("cannot use the signed set")]
    Trust(#[source] TrustError),
    /// There is no signed set yet.
    #[error("no baseline is stored on this host: give one with --baseline")]
    NoBaseline,
    /// What was found cannot be written.
    #[error("cannot write what was found")]
    Write(#[source] std::io::Error),
}

/// Writes each key that is not clear, for the baseline of that file or else the newest that is stored. Whether
/// there was any.
///
/// # Errors
/// [`CheckError`].
pub fn check(config: &Config, baseline: Option<&Path>, lang: Lang, out: &mut impl Write) -> Result<bool, CheckError> {
    let found = match baseline {
        Some(path) => {
            unclear(&read(path)?, stored(config).ok().and_then(|(_, host)| host).as_ref(), config.prefix.clone())
        }
        None => {
            let (baseline, host) = stored(config)?;
            unclear(&baseline, host.as_ref(), config.prefix.clone())
        }
    };
    for one in &found {
        write(one, lang, out).map_err(CheckError::Write)?;
    }
    Ok(!found.is_empty())
}

fn read(path: &Path) -> Result<Baseline, CheckError> {
    let bytes = std::fs::read(path).map_err(|source| CheckError::Read { path: path.to_owned(), source })?;
    manifests::source::baseline_from_bytes(&bytes).map_err(|problems| {
        let problem = problems.first().map(ToString::to_string).unwrap_or_default();
        CheckError::Refused { path: path.to_owned(), problem }
    })
}

/// The newest baseline that is stored, and this host in its registry.
fn stored(config: &Config) -> Result<(Baseline, Option<Host>), CheckError> {
    let trust = Trust::of(config).map_err(CheckError::Root)?;
    let in_use = trust.active().map_err(CheckError::Trust)?;
    let newest = trust.newest(in_use.as_ref().map(|set| &set.registry)).map_err(CheckError::Trust)?;
    let set = newest.or(in_use).ok_or(CheckError::NoBaseline)?;
    let host = set.registry.entry(&config.host, clock::now().wall).map(|entry| entry.host.clone());
    Ok((set.reference.baseline().clone(), host))
}

/// `item key: file:lines: words`, and below it the readers that settle it.
fn write(one: &Unclear, lang: Lang, out: &mut impl Write) -> std::io::Result<()> {
    let lines: Vec<_> = one.lines.iter().map(u32::to_string).collect();
    let place = if lines.is_empty() { one.file.clone() } else { format!("{}:{}", one.file, lines.join(",")) };
    let (code, words) = match &one.cause {
        Cause::Odd(odd) => (odd.as_str().to_owned(), text(lang, &format!("odd-{}", odd.as_str()))),
        Cause::Unknown(why) => {
            let code = serde_json::to_value(why).ok().and_then(|code| code.as_str().map(str::to_owned));
            let code = code.unwrap_or_default();
            (code.clone(), text(lang, &format!("why-{code}")))
        }
        Cause::Spelling(value) => {
            ("spelling".to_owned(), format!("{}: {}", output::clean(&value.to_string()), text(lang, "odd-spelling")))
        }
    };
    writeln!(out, "{} {}: {}: {code}: {words}", one.item, output::clean(&one.key), output::clean(&place))?;
    for (reader, value) in &one.settled_by {
        let value = value
            .as_ref()
            .map_or_else(|| text(lang, "detail-absent"), |value| output::clean(&value.to_string()).into_owned());
        writeln!(out, "    reader = \"{reader}\": {value}")?;
    }
    Ok(())
}
