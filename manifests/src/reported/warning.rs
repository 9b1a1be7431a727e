//! What people are told of a host that holds nobody. The texts for people are in `manifests/locale`,
//! key `warning-CODE`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::ItemId;

/// One warning of an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Warning {
    /// The stable code.
    pub code: WarningCode,
    /// The item.
    pub item: ItemId,
}

/// Stable code of a warning, in lower-case ASCII with hyphens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WarningCode {
    /// No process runs of a program that `expect_running` names.
    NotRunning,
    /// A code of a later version: whoever shows warnings shows it as it is.
    #[serde(untagged)]
    Unrecognized(String),
}

impl WarningCode {
    /// Every code of this version.
    pub const ALL: &[WarningCode] = &[WarningCode::NotRunning];

    /// The code's text.
    pub fn as_str(&self) -> &str {
        match self {
            WarningCode::NotRunning => "not-running",
            WarningCode::Unrecognized(code) => code,
        }
    }
}

impl fmt::Display for WarningCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_its_text_and_one_of_a_later_version_is_kept() {
        for code in WarningCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
        let later: Warning = serde_json::from_str(r#"{"code":"later","item":"p","more":1}"#).unwrap();
        assert_eq!(later.code, WarningCode::Unrecognized("later".to_owned()));
        assert_eq!(later.to_string(), "later p");
    }
}
