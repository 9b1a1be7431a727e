//! Where a controller is asked.

use std::fmt;

use reqwest::Url;

use crate::error::ClientError;

/// Address of a controller: `https://NAME:PORT`, without a path, a user or a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// Reads an address as people write it; a slash at its end is left out.
    ///
    /// # Errors
    /// [`ClientError::Address`].
    pub fn parse(text: &str) -> Result<Self, ClientError> {
        let refused = || ClientError::Address { text: text.to_owned() };
        let url: Url = text.parse().map_err(|_| refused())?;
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let is_anonymous = url.username().is_empty() && url.password().is_none();
        if url.scheme() != "https" || !is_bare || !is_anonymous {
            return Err(refused());
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The whole address of `path`, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{self}{path}")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bare_https_address_of_a_controller_is_taken() {
        for text in ["https://127.0.0.1:8443", "https://127.0.0.1:8443/"] {
            assert_eq!(Address::parse(text).unwrap().url("/v1/sites"), "https://127.0.0.1:8443/v1/sites");
        }
        for text in [
            "http://127.0.0.1:1",
            "127.0.0.1:1",
            "https://a/b",
            "https://u:p@a",
            "https://:p@a",
            "https://a?b",
            "https://a#b",
            "",
        ] {
            assert!(matches!(Address::parse(text), Err(ClientError::Address { .. })), "{text}");
        }
    }
}
