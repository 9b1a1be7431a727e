//! Everything that is shown, and how it got there; nothing of how it is drawn.

use std::collections::BTreeMap;

use manifests::api::{FleetView, ItemRow, SiteRow, SiteView, Standing};
use manifests::id::{ItemId, SiteCode};
use manifests::text::Lang;
use manifests::time::{Span, Time};

use crate::cells;
use crate::event::NoContact;
use crate::standing::Shown;

/// Rows of the screen above the table or page: title, counts, link; the table has a head as well.
pub const ROWS_ABOVE: u16 = 3;
/// The smallest window that shows anything, columns and rows.
pub const SIZE_MIN: (u16, u16) = (60, 15);

/// How rows are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Worst first, then by code.
    News,
    /// By code: north to south.
    Code,
    /// The newest change first.
    Since,
    /// What runs out first.
    Until,
}

impl Sort {
    /// The order after this one.
    pub const fn next(self) -> Sort {
        match self {
            Sort::News => Sort::Code,
            Sort::Code => Sort::Since,
            Sort::Since => Sort::Until,
            Sort::Until => Sort::News,
        }
    }

    /// Key of its words.
    pub const fn key(self) -> &'static str {
        match self {
            Sort::News => "sort-news",
            Sort::Code => "sort-code",
            Sort::Since => "sort-since",
            Sort::Until => "sort-until",
        }
    }
}

/// Contact with the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// The first attempt is under way.
    Connecting,
    /// The stream is open and data arrived since.
    Live,
    /// What is shown is old.
    Lost {
        /// Since when.
        since: Time,
        /// Failures in a row, from 1.
        attempt: u32,
        /// When it is tried again; none while it is being tried.
        retry_at: Option<Time>,
        /// Why.
        why: NoContact,
    },
}

/// What the filter says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// As typed. A first `!` shows what does not match; words must all match.
    pub text: String,
    /// Whether it is being typed.
    pub typing: bool,
}

/// A filter taken apart, once for all rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterTerms {
    inverse: bool,
    words: Vec<String>,
}

impl Filter {
    /// What it asks for.
    pub fn wanted(&self) -> FilterTerms {
        let lower = cells::folded(&self.text);
        let (inverse, words) = match lower.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, lower.as_str()),
        };
        FilterTerms { inverse, words: words.split_whitespace().map(str::to_owned).collect() }
    }
}

impl FilterTerms {
    /// Whether a site's folded search text passes. Asking for nothing, every one does.
    pub fn passes(&self, haystack: &str) -> bool {
        self.words.is_empty() || self.words.iter().all(|word| haystack.contains(word.as_str())) != self.inverse
    }
}

/// The table of sites.
#[derive(Clone, Debug)]
pub struct SiteTable {
    /// Folded search text of each site of the fleet, in the fleet's order.
    pub haystacks: Vec<String>,
    /// Indices into the fleet's sites: what is shown, in order.
    pub rows: Vec<usize>,
    /// Which of `rows` the cursor is on.
    pub cursor: usize,
    /// The chosen site, once the cursor was moved: it stays chosen when rows move.
    pub chosen: Option<SiteCode>,
    /// The first of `rows` on the screen.
    pub offset: usize,
    /// The filter.
    pub filter: Filter,
    /// Only sites that stand like this.
    pub only: Option<Shown>,
    /// The order.
    pub sort: Sort,
}

/// One site, opened.
#[derive(Clone, Debug)]
pub struct SitePage {
    /// Which.
    pub code: SiteCode,
    /// Its data; none until they arrive, or if the registry does not have it any more.
    pub view: Option<SiteView>,
    /// Whether data arrived since it was opened.
    pub loaded: bool,
    /// Titles and remediations of the baseline's items.
    pub items: BTreeMap<ItemId, ItemRow>,
    /// The first line on the screen.
    pub scroll: usize,
}

/// Fetches: one at a time, and not too often.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fetching {
    /// One is under way.
    pub running: bool,
    /// Something changed since it began, or none was made for it yet.
    pub due: bool,
    /// When the newest one began.
    pub began: Option<Time>,
}

/// The whole dashboard.
#[derive(Clone, Debug)]
pub struct Model {
    /// The language.
    pub lang: Lang,
    /// A word that is always shown, as `DEMO`.
    pub mark: Option<String>,
    /// The controller's address.
    pub controller: String,
    /// Columns and rows.
    pub size: (u16, u16),
    /// This machine's clock at the newest event.
    pub now: Time,
    /// Contact.
    pub link: Link,
    /// Whether the stream is open.
    pub stream_open: bool,
    /// The newest event's id, to resume from.
    pub last_event: Option<u64>,
    /// The newest fleet and this machine's clock when it came.
    pub fleet: Option<(FleetView, Time)>,
    /// Fetches.
    pub fetching: Fetching,
    /// The table.
    pub table: SiteTable,
    /// The site over it.
    pub site: Option<SitePage>,
    /// The help over both: its first line on the screen.
    pub help: Option<usize>,
}

impl Model {
    /// Before anything has happened.
    pub fn new(lang: Lang, controller: String, mark: Option<String>, size: (u16, u16), now: Time) -> Self {
        Self {
            lang,
            mark,
            controller,
            size,
            now,
            link: Link::Connecting,
            stream_open: false,
            last_event: None,
            fleet: None,
            fetching: Fetching::default(),
            table: SiteTable {
                haystacks: Vec::new(),
                rows: Vec::new(),
                cursor: 0,
                chosen: None,
                offset: 0,
                filter: Filter::default(),
                only: None,
                sort: Sort::News,
            },
            site: None,
            help: None,
        }
    }

    /// The controller's clock, as far as it is known: its time in the newest answer, and what passed since.
    /// This machine's clock may be wrong by hours without any row reading differently.
    pub fn server_now(&self) -> Time {
        match &self.fleet {
            Some((fleet, received)) => fleet.time.after(self.now.since(*received)),
            None => self.now,
        }
    }

    /// How old the data are.
    pub fn data_age(&self) -> Span {
        self.fleet.as_ref().map_or(Span::ZERO, |(_, received)| self.now.since(*received))
    }

    /// Whether what is shown is known to be old.
    pub fn is_old(&self) -> bool {
        matches!(self.link, Link::Lost { .. })
    }

    /// How a row stands now.
    pub fn shown(&self, row: &SiteRow) -> Shown {
        Shown::of(row.standing, row.verified_until, self.server_now())
    }

    /// Sites counted as verified whose evidence has run out since.
    pub fn lapsed(&self) -> u32 {
        let Some((fleet, _)) = &self.fleet else { return 0 };
        let run_out = |row: &&SiteRow| row.standing == Standing::Verified && self.shown(row) == Shown::Lapsed;
        let count = fleet.sites.iter().filter(run_out).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The row at a place of the table.
    pub fn row(&self, position: usize) -> Option<&SiteRow> {
        let (fleet, _) = self.fleet.as_ref()?;
        fleet.sites.get(*self.table.rows.get(position)?)
    }

    /// Rows of the table that fit on the screen.
    pub fn table_height(&self) -> usize {
        usize::from(self.size.1.saturating_sub(ROWS_ABOVE + 2))
    }

    /// Lines of a page that fit on the screen.
    pub fn page_height(&self) -> usize {
        usize::from(self.size.1.saturating_sub(ROWS_ABOVE + 1))
    }
}
