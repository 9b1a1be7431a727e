//! Stops, their acknowledgements, and lifts.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::id::{HostId, ProductId, SiteCode};
use crate::strict;
use crate::time::Time;

/// Which stop: the number orders, the digest identifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopRef {
    /// Counted from 1 without gaps.
    pub number: u64,
    /// SHA-256 of the stop's payload.
    pub digest: Digest,
}

/// Payload of a stop envelope: an operator's hold on many sites, signed by a controller's permit key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// The product.
    pub product: ProductId,
    /// Counted from 1 without gaps.
    pub number: u64,
    /// Digest of the stop before it; none for the first.
    pub previous: Option<Digest>,
    /// Whom it stops.
    pub scope: Scope,
    /// Why, for the people there. A controller takes 1 to [`REASON_BYTES_MAX`] bytes of one line; whoever
    /// receives the stop acts on it whatever stands here.
    pub reason: String,
    /// Who, by the name of the operator's token.
    pub operator: String,
    /// When.
    pub time: Time,
}

/// Type of a [`Lift`], which is a TUF target and in no envelope.
pub const LIFT_TYPE: &str = "application/vnd.sekisho.lift.v1+json";
/// The largest lift, in bytes.
pub const LIFT_BYTES_MAX: usize = 1 << 20;

/// The longest reason of a stop or lift, in bytes.
pub const REASON_BYTES_MAX: usize = 1000;

/// Whether `text` may be the reason of a stop or lift.
pub fn is_reason(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= REASON_BYTES_MAX && is_one_line(text)
}

/// The longest name of an operator, in characters.
pub const OPERATOR_CHARS_MAX: usize = 64;

/// Whether `text` may be an operator's name.
pub fn is_operator(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= OPERATOR_CHARS_MAX && is_one_line(text)
}

/// Whether `text` shows as what it is wherever it is printed: no control characters, line or paragraph
/// separators, or marks that turn the direction of writing (Unicode's `Bidi_Control`).
fn is_one_line(text: &str) -> bool {
    !text.chars().any(|c| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

/// Whom a stop stops. A site is in scope if one of its hosts is; later joiners are in scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Scope {
    /// Every site.
    All,
    /// These sites.
    Sites {
        /// At least one.
        sites: Vec<SiteCode>,
    },
    /// Every site of a prefecture.
    Prefecture {
        /// 1 to 47 (JIS X 0401).
        prefecture: u8,
    },
    /// A kind that this version does not know, as it is written. Nobody can say whom it leaves out:
    /// everybody is in it.
    #[serde(untagged)]
    Unrecognized(Map<String, Value>),
}

/// The kinds known here, each with its own members and no other.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum KnownScope {
    All {},
    Sites { sites: Vec<SiteCode> },
    Prefecture { prefecture: u8 },
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Map::<String, Value>::deserialize(deserializer)?;
        match members.get("kind").and_then(Value::as_str) {
            Some("all" | "sites" | "prefecture") => {}
            Some(_) => return Ok(Scope::Unrecognized(members)),
            None => return Err(D::Error::missing_field("kind")),
        }
        Ok(match KnownScope::deserialize(Value::Object(members)).map_err(D::Error::custom)? {
            KnownScope::All {} => Scope::All,
            KnownScope::Sites { sites } => Scope::Sites { sites },
            KnownScope::Prefecture { prefecture } => Scope::Prefecture { prefecture },
        })
    }
}

impl Scope {
    /// Whether it stops `site`.
    pub fn covers(&self, site: &SiteCode) -> bool {
        match self {
            Scope::All | Scope::Unrecognized(_) => true,
            Scope::Sites { sites } => sites.contains(site),
            Scope::Prefecture { prefecture } => site.prefecture() == *prefecture,
        }
    }
}

/// Payload of an acknowledgement envelope: the host has the stop on disk. Signed with the host's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledgement {
    /// The product.
    pub product: ProductId,
    /// The host.
    pub host: HostId,
    /// The stop.
    pub stop: StopRef,
    /// The host's wall clock when the stop was on disk.
    pub time: Time,
}

/// A lift: a stop's threshold-signed end for some sites. Target file `lifts/<stop digest>/<n>.json`
/// of the delegated role `lifts`, whose metadata carries the signatures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lift {
    /// Always [`LIFT_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The product.
    pub product: ProductId,
    /// The stop that ends.
    pub stop: Digest,
    /// For whom: at least one site, each named.
    pub sites: Vec<SiteCode>,
    /// Why; 1 to [`REASON_BYTES_MAX`] bytes.
    pub reason: String,
    /// When it was written.
    pub time: Time,
}

/// Why bytes are no lift.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiftError {
    /// Longer than [`LIFT_BYTES_MAX`].
    #[error("it is larger than {LIFT_BYTES_MAX} bytes")]
    TooLarge,
    /// Not the JSON of a lift.
    #[error("it is no lift")]
    Json(#[source] serde_json::Error),
    /// Another document.
    #[error("its type is {found:?}, not {LIFT_TYPE}")]
    Type {
        /// The type it names.
        found: String,
    },
    /// Another product's.
    #[error("it is for product {found}")]
    Product {
        /// The product it names.
        found: ProductId,
    },
    /// A stop that ends nowhere.
    #[error("it names no site")]
    NoSite,
    /// No reason, or one that [`is_reason`] refuses.
    #[error("its reason is not one line of 1 to {REASON_BYTES_MAX} bytes, without control characters")]
    Reason,
}

impl Lift {
    /// Reads a lift of `product`. Whether its signatures hold is the metadata's to say.
    ///
    /// # Errors
    /// [`LiftError`]; nothing of it counts then.
    pub fn read(bytes: &[u8], product: &ProductId) -> Result<Self, LiftError> {
        if bytes.len() > LIFT_BYTES_MAX {
            return Err(LiftError::TooLarge);
        }
        let lift: Self = strict::from_slice(bytes).map_err(LiftError::Json)?;
        if lift.kind != LIFT_TYPE {
            return Err(LiftError::Type { found: lift.kind });
        }
        if lift.product != *product {
            return Err(LiftError::Product { found: lift.product });
        }
        if lift.sites.is_empty() {
            return Err(LiftError::NoSite);
        }
        if !is_reason(&lift.reason) {
            return Err(LiftError::Reason);
        }
        Ok(lift)
    }

    /// Whether it ends `stop` at `site`.
    pub fn frees(&self, stop: &Digest, site: &SiteCode) -> bool {
        self.stop == *stop && self.sites.contains(site)
    }
}
