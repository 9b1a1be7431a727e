//! What the dashboard wants done outside itself.

use manifests::id::SiteCode;

/// One thing to do. Its result comes back as an [`crate::event::Event`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Open the stream of events, in place of any open one, behind this event.
    Connect {
        /// The newest event seen.
        after: Option<u64>,
    },
    /// Close the stream.
    Disconnect,
    /// Fetch the fleet, and the open site.
    Fetch {
        /// The open site.
        site: Option<SiteCode>,
    },
    /// End the program.
    Quit,
}
