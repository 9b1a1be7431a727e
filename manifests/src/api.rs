//! The wire between agents, operators and controllers: paths, and the JSON that is not a signed
//! document. `docs/protocol.md` has every endpoint with an example.

mod gate;
mod host;
mod operators;

use serde::{Deserialize, Serialize};

pub use gate::{GateAnswer, GateReason};
pub use host::{DocumentVersions, Handed, HandedStop, Handover, HostEvent, Next, Receipt};
pub use operators::{
    Allowed, BaselineRef, Counts, EventKind, Expiring, FleetEvent, FleetView, HostRow, HostView, ItemRow, LookedAt,
    PermitRow, Preview, PreviewCounts, PreviewHost, PreviewRegistry, PreviewRequest, PreviewSite, Publish, Published,
    SetBack, SetBackCause, SetBackProof, SetBackView, SiteRow, SiteView, Standing, StopCounts, StopRequest, StopView,
    UnlistedStop, Versions,
};

/// Header by which a host names the id of the key that it signs with, before its document is read.
pub const KEY_HEADER: &str = "x-sekisho-key";
/// Header by which a request for a stop is named: sent again under the same name it makes no second stop.
pub const REQUEST_HEADER: &str = "idempotency-key";
/// `POST`, bearer: enrolment token, body: envelope of an enrolment; 201.
pub const ENROLMENTS: &str = "/v1/enrolments";
/// `POST`, body: envelope of a controller's word for a host's key ([`Enrolled`](crate::enrolment::Enrolled)); 204.
pub const CARRIED: &str = "/v1/carried";
/// `GET`, operator: [`Handover`].
pub const HANDOVER: &str = "/v1/handover";
/// `POST`, body: envelope of evidence; 200 with a [`Receipt`].
pub const EVIDENCE: &str = "/v1/evidence";
/// `POST`, body: envelope of a heartbeat; 200 with a [`Receipt`].
pub const HEARTBEATS: &str = "/v1/heartbeats";
/// `POST`, body: envelope of an acknowledgement; 204.
pub const ACKNOWLEDGEMENTS: &str = "/v1/acknowledgements";
/// `GET`, bearer: a [`Receipt`]'s session: server-sent events for one host ([`HostEvent`]).
pub const STREAM: &str = "/v1/stream";
/// `POST`, bearer: a [`Receipt`]'s session, body: [`Handed`]; 204.
pub const HANDED: &str = "/v1/handed";
/// `PUT` below it, bearer: a [`Receipt`]'s session, body: a file list; 204.
pub const FILES: &str = "/v1/files";
/// `GET`, no token: [`DocumentVersions`]. A controller of before version 2 of evidence does not have it: 404.
pub const VERSIONS: &str = "/v1/versions";
/// `GET`: metadata directly below it, target files below [`TUF_TARGETS`].
pub const TUF: &str = "/tuf";
/// `GET`: target files under consistent-snapshot names.
pub const TUF_TARGETS: &str = "/tuf/targets";
/// `GET`, no token: 200 while the store can be written.
pub const HEALTH: &str = "/healthz";
/// `GET`, operator: [`FleetView`]; below it `/{code}`: [`SiteView`].
pub const SITES: &str = "/v1/sites";
/// `GET`, operator: list of [`HostRow`], by pages of [`HOSTS_PAGE`]; below it `/{id}`: [`HostView`].
pub const HOSTS: &str = "/v1/hosts";
/// `GET`, operator: list of [`ItemRow`].
pub const ITEMS: &str = "/v1/items";
/// `GET`, operator: server-sent events ([`FleetEvent`]).
pub const EVENTS: &str = "/v1/events";
/// `GET`, operator: list of [`StopView`]; below it `/{digest}`: one, whole; `POST`, role operator: [`StopRequest`], 201 with a [`StopView`].
pub const STOPS: &str = "/v1/stops";
/// `GET`, operator: list of [`UnlistedStop`]; `POST` below it `/{digest}`, role operator: takes the stop over, 201
/// with its [`StopView`].
pub const UNLISTED_STOPS: &str = "/v1/unlisted-stops";
/// `GET`, operator: [`SetBackView`]; `POST`, role admin: [`LookedAt`], 204.
pub const SET_BACK: &str = "/v1/set-back";
/// `POST`, role admin: [`Publish`]; 200 with [`Published`].
pub const PUBLISH: &str = "/v1/publish";
/// `POST`, operator: [`PreviewRequest`]; 200 with a [`Preview`]. Nothing changes.
pub const PREVIEW: &str = "/v1/preview";

/// Most rows of a page, and what clients ask for: of hosts, of sites, of stops, of items. A page with fewer is the
/// last.
pub const HOSTS_PAGE: usize = 1000;
/// See [`HOSTS_PAGE`].
pub const SITES_PAGE: usize = 2000;
/// See [`HOSTS_PAGE`].
pub const STOPS_PAGE: usize = 50;
/// See [`HOSTS_PAGE`].
pub const ITEMS_PAGE: usize = 50;
/// Most target files of one draft that is previewed: baseline, registry, and the lists of releases with patches.
pub const PREVIEW_TARGETS_MAX: usize = 4096;

/// Most stops in one receipt, and at the beginning of a stream. A host that got so many asks for the
/// rest with its next document.
pub const STOPS_PER_RECEIPT_MAX: usize = 64;

/// Most hosts of each kind, and most lifted sites, that a list shows of one stop.
pub const STOP_NAMES_MAX: usize = 20;

/// Most reasons, and most items that are not collected, that a preview shows of one host.
pub const PREVIEW_REASONS_MAX: usize = 20;

/// Most stops handed in at once; a longer chain comes in pieces, oldest first.
pub const HANDED_STOPS_MAX: usize = 64;

/// Most permits handed in at once: one of each controller.
pub const HANDED_PERMITS_MAX: usize = 16;

/// Every answer outside 2xx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Stable, in lower case with hyphens; `docs/protocol.md` has them all.
    pub code: String,
    /// For people, in English.
    pub message: String,
    /// With code `sequence`: the stored one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
}
