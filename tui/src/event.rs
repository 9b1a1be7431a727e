//! Everything that can happen to the dashboard.

use crossterm::event::KeyEvent;
use manifests::api::{FleetView, ItemRow, SiteView};
use manifests::id::SiteCode;

/// One happening.
#[derive(Clone, Debug)]
pub enum Event {
    /// A key was pressed.
    Key(KeyEvent),
    /// The window has this many columns and rows.
    Resized(u16, u16),
    /// Time went on.
    Tick,
    /// The controller's stream of events is open.
    StreamOpened,
    /// Something changed in the fleet. What it was is fetched: events may be missed, answers are whole.
    Changed {
        /// The event's id, to resume from.
        id: Option<u64>,
    },
    /// Data arrived.
    Fetched(Box<Fetched>),
    /// A fetch failed.
    FetchFailed(NoContact),
    /// The stream could not be opened, or ended.
    StreamFailed(NoContact),
    /// A signal asks to end.
    Ended,
}

/// The data of one fetch.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The fleet.
    pub fleet: FleetView,
    /// The site that was asked for with its items.
    pub site: Option<FetchedSite>,
}

/// One site that was asked for.
#[derive(Clone, Debug)]
pub struct FetchedSite {
    /// Which.
    pub code: SiteCode,
    /// None if the registry does not have it any more.
    pub view: Option<SiteView>,
    /// Titles and remediations.
    pub items: Vec<ItemRow>,
}

/// Why there is no contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoContact {
    /// [`crate::client::link_word`]; its words are the text `link-CODE`.
    pub code: &'static str,
    /// [`crate::client::cause`]; empty where the code says it all.
    pub cause: String,
}
