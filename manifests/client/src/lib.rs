//! Asks a controller: HTTPS under its own CA, no proxy, no redirects, bounded in time and size.
//!
//! Agent, dashboard and release managers' tool ask with this client alone, so that what is trusted and
//! what is refused is the same for all of them. It knows addresses, the CA, tokens, limits and errors.
//! Which questions there are, whom else to ask and when to ask again is the caller's.

mod address;
mod ask;
mod error;
mod token;

pub use address::Address;
pub use ask::{Again, AskLimits, Client, OpenAnswer, Request, TransferLimits, understand};
pub use error::ClientError;
pub use token::Token;
