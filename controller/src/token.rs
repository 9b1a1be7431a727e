//! `token`: one-time tokens for hosts, lasting ones for operators.

use std::path::PathBuf;

use clap::Subcommand;
use data_encoding::BASE64URL_NOPAD;
use manifests::id::HostId;
use manifests::stop::{OPERATOR_CHARS_MAX, is_operator};
use manifests::time::Span;
use ring::rand::SystemRandom;

use crate::clock;
use crate::data::Data;
use crate::repository::Unverified;
use crate::role::Role;
use crate::store::Connection;

/// How long a host's token can be used.
pub const HOST_TOKEN_LIFE: Span = Span::from_s(7 * 86_400);

/// What `token` is told.
#[derive(Debug, Subcommand)]
pub enum Args {
    /// Print a one-time enrolment token for each host, valid for 7 days
    Host {
        /// The hosts, as 402206-ap1
        #[arg(required = true)]
        hosts: Vec<HostId>,
        /// The controller's directory
        #[arg(long)]
        data: PathBuf,
        /// Let a host that has a key get a new one
        #[arg(long)]
        replace: bool,
    },
    /// Print a token for an operator; it replaces the one of that name
    Operator {
        /// Name that stands in stops and publishes: 1 to 64 characters
        #[arg(value_parser = operator_name)]
        name: String,
        /// What the operator may do: viewer (look), operator (look and stop) or admin (also publish)
        #[arg(long)]
        role: Role,
        /// The controller's directory
        #[arg(long)]
        data: PathBuf,
    },
    /// Take an operator's token away; what it has open ends within a second
    Revoke {
        /// The operator's name
        name: String,
        /// The controller's directory
        #[arg(long)]
        data: PathBuf,
    },
}

fn operator_name(text: &str) -> Result<String, String> {
    if !is_operator(text) {
        return Err(format!("an operator's name is 1 to {OPERATOR_CHARS_MAX} characters, none a control character"));
    }
    Ok(text.to_owned())
}

/// Makes tokens and prints them.
///
/// # Errors
/// If the database cannot be written.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let now = clock::now();
    match args {
        Args::Host { hosts, data, replace } => {
            let mut connection = Connection::open(&data).await?;
            let registry = match Unverified::read(&Data::new(&data).repository()) {
                Ok(read) => read.map(|read| read.registry),
                Err(error) => {
                    output::tell!("warning: whether hosts are in the registry in force cannot be told: {error:#}");
                    None
                }
            };
            for host in hosts {
                // A token may be made before the registry that lists its host is published.
                if registry.as_ref().is_some_and(|registry| !registry.hosts.iter().any(|listed| listed.id == host)) {
                    output::tell!("warning: {host} is not in the registry in force; it cannot enrol before it is");
                }
                let token = random()?;
                connection.add_token(&token, &host, replace, now, now.after(HOST_TOKEN_LIFE)).await?;
                output::say!("{host} {token}");
            }
        }
        Args::Operator { name, role, data } => {
            let mut connection = Connection::open(&data).await?;
            let token = random()?;
            connection.add_operator(&token, &name, role, now).await?;
            output::say!("{token}");
        }
        Args::Revoke { name, data } => {
            let mut connection = Connection::open(&data).await?;
            if !connection.remove_operator(&name).await? {
                anyhow::bail!("there is no operator {name:?}");
            }
        }
    }
    Ok(())
}

/// 256 random bits, 43 characters of base64url.
///
/// # Errors
/// If the system has no random numbers.
pub fn random() -> anyhow::Result<String> {
    let bytes: [u8; 32] = ring::rand::generate(&SystemRandom::new())
        .map_err(|_| anyhow::anyhow!("the system gives no random numbers"))?
        .expose();
    Ok(BASE64URL_NOPAD.encode(&bytes))
}
