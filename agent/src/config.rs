//! The agent's configuration file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ::client::Address;
use manifests::durable::{self, DurableError};
use manifests::id::{HostId, ProductId};
use serde::Deserialize;

/// The largest configuration file read, in bytes.
const CONFIG_BYTES_MAX: u64 = 64 << 10;
/// The most controllers one agent may name.
const CONTROLLERS_MAX: usize = 16;

/// A checked configuration. Relative paths of the file are relative to the file's directory.
#[derive(Clone, Debug)]
pub struct Config {
    /// The product; an agent serves one.
    pub product: ProductId,
    /// This host.
    pub host: HostId,
    /// Addresses of controllers, `https://` alone, without a path; asked in this order.
    pub controllers: Vec<String>,
    /// The controllers' CA certificates, PEM.
    pub ca: PathBuf,
    /// The release managers' first root, outside the state directory.
    pub root: PathBuf,
    /// What the agent keeps.
    pub state: PathBuf,
    /// Put before every absolute path of a baseline: for programs that live in a directory tree of
    /// their own (a container's root, a demonstration). Evidence shows paths without it.
    pub prefix: Option<PathBuf>,
    /// The gate's Unix socket.
    pub socket: PathBuf,
    /// The gate's loopback address.
    pub listen: SocketAddr,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration")]
    Read(#[source] DurableError),
    /// Not UTF-8.
    #[error("{}: not UTF-8", path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
    },
    /// Not TOML of the form expected; the cause has line and column.
    #[error("{} is not a configuration", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The parser's words.
        source: Box<toml::de::Error>,
    },
    /// A value that parses and cannot be meant.
    #[error("{}: {key}: {why}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What is wrong and what to do.
        why: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    product: ProductId,
    host: HostId,
    controllers: Vec<String>,
    ca: PathBuf,
    root: PathBuf,
    state: PathBuf,
    prefix: Option<PathBuf>,
    gate: RawGate,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGate {
    socket: PathBuf,
    listen: SocketAddr,
}

impl Config {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// [`ConfigError`] with file and key.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let bytes = durable::read_limited(path, CONFIG_BYTES_MAX).map_err(ConfigError::Read)?;
        let text = String::from_utf8(bytes).map_err(|_| ConfigError::Encoding { path: path.to_owned() })?;
        let raw: RawConfig = toml::from_str(&text)
            .map_err(|source| ConfigError::Parse { path: path.to_owned(), source: Box::new(source) })?;
        let value = |key, why: &str| ConfigError::Value { path: path.to_owned(), key, why: why.to_owned() };
        let directory = path.parent().unwrap_or(Path::new("."));
        if raw.controllers.is_empty() || raw.controllers.len() > CONTROLLERS_MAX {
            return Err(value("controllers", "name 1 to 16 addresses"));
        }
        let mut controllers = Vec::new();
        for address in &raw.controllers {
            let refused = |_| value("controllers", "an address is https://NAME:PORT without a path");
            controllers.push(Address::parse(address).map_err(refused)?.as_str().to_owned());
        }
        if !raw.gate.listen.ip().is_loopback() {
            return Err(value("gate.listen", "the gate listens on a loopback address only, as 127.0.0.1:8640"));
        }
        let (state, root) = (directory.join(raw.state), directory.join(raw.root));
        if root.starts_with(&state) {
            // What may be deleted to start over must not be what trust begins with.
            return Err(value("root", "the first root lies outside the state directory"));
        }
        Ok(Self {
            product: raw.product,
            host: raw.host,
            controllers,
            ca: directory.join(raw.ca),
            root,
            state,
            prefix: raw.prefix.map(|prefix| directory.join(prefix)),
            socket: directory.join(raw.gate.socket),
            listen: raw.gate.listen,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(change: impl Fn(String) -> String) -> Result<Config, ConfigError> {
        let good = r#"
            product = "convenience-issuance"
            host = "402206-ap1"
            controllers = ["https://controller:8443/"]
            ca = "ca.pem"
            root = "root.json"
            state = "state"
            [gate]
            socket = "gate.sock"
            listen = "127.0.0.1:0"
        "#;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.toml");
        std::fs::write(&path, change(good.to_owned())).unwrap();
        Config::read(&path)
    }

    #[test]
    fn a_pipe_in_place_of_a_file_does_not_hang_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(matches!(Config::read(&pipe), Err(ConfigError::Read(_))));
        let config = Config { root: pipe.clone(), ..read(|text| text).unwrap() };
        assert!(crate::trust::Trust::of(&config).is_err());
        assert!(crate::client::Controllers::new(config.controllers, &pipe).is_err());
    }

    #[test]
    fn what_would_open_a_way_in_is_refused() {
        let config = read(|text| text).unwrap();
        assert_eq!(config.controllers, ["https://controller:8443"]);
        for (from, to) in [
            ("https://", "http://"),
            ("127.0.0.1", "0.0.0.0"),
            ("\"root.json\"", "\"state/root.json\""),
            ("402206-ap1", "402207-ap1"),
            ("[gate]", "verify = false\n[gate]"),
        ] {
            assert!(read(|text| text.replace(from, to)).is_err(), "{to}");
        }
    }
}
