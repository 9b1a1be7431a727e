//! What operators and release managers see and ask for.

use serde::{Deserialize, Serialize};

use crate::baseline::Localized;
use crate::digest::Digest;
use crate::id::{HostId, ItemId, ProductId, Role, SiteCode};
use crate::key::KeyId;
use crate::outcome::{Appraisal, ItemKind, Outcome, Verdict};
use crate::reason::Reason;
use crate::stop::{Scope, StopRef};
use crate::time::Time;
use crate::warning::Warning;

/// A stop that hosts handed in and whose key is no controller's of the registry: it acts on those hosts alone until
/// an operator takes it over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnlistedStop {
    /// Number and digest.
    pub stop: StopRef,
    /// Id of the key that signed it.
    pub key: KeyId,
    /// Whom.
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// Who.
    pub operator: String,
    /// When.
    pub time: Time,
    /// Hosts that handed it in.
    pub hosts: Vec<HostId>,
}

/// Counts and rows of the whole fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetView {
    /// The product.
    pub product: ProductId,
    /// When the answer was made.
    pub time: Time,
    /// Version and digest of the baseline in force; none before the first publish.
    pub baseline: Option<BaselineRef>,
    /// It was noticed that this controller was set back to an earlier moment: nobody may issue until an operator has
    /// looked at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_back: Option<SetBack>,
    /// Counts; the denominator is the registry's.
    pub counts: Counts,
    /// Worst first, then by code.
    pub sites: Vec<SiteRow>,
    /// What ends within 30 days or has ended, the next one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expiring: Vec<Expiring>,
}

/// Something that ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiring {
    /// What: `root`, `targets`, `lifts`, `certificate`, `ca` or `token`. A reader that does not know the word shows it.
    pub what: String,
    /// Which one, where there are several: the host that a token is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it ends, or ended.
    pub until: Time,
}

/// A controller was set back to an earlier moment: something that its own key signed is not known to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetBack {
    /// When it was noticed.
    pub noticed: Time,
    /// The host that handed it in; none where a controller that is followed handed it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostId>,
    /// Address of the controller that handed it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<String>,
    /// What it was.
    pub proof: SetBackProof,
    /// Its number: of a permit or stop, or the generation of an enrolment.
    pub number: u64,
    /// How it came about, as far as the controller can tell.
    #[serde(default, skip_serializing_if = "SetBackCause::is_set_back")]
    pub cause: SetBackCause,
}

/// Why a controller does not know what its own key signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetBackCause {
    /// It has forgotten it: it was signed before this process began.
    #[default]
    SetBack,
    /// It was signed while this process was serving: another one signs with the same key.
    KeyUsedTwice,
}

impl SetBackCause {
    fn is_set_back(&self) -> bool {
        *self == SetBackCause::SetBack
    }
}

impl SetBack {
    /// Who has what proves it: a host, or a controller's address.
    pub fn shown_by(&self) -> &str {
        self.host.as_ref().map(HostId::as_str).or(self.controller.as_deref()).unwrap_or("-")
    }
}

/// What proves that a controller was set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetBackProof {
    /// A permit.
    Permit,
    /// A stop.
    Stop,
    /// Its word for a host's key.
    Enrolment,
}

impl SetBackProof {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            SetBackProof::Permit => "permit",
            SetBackProof::Stop => "stop",
            SetBackProof::Enrolment => "enrolment",
        }
    }
}

/// What [`SET_BACK`](super::SET_BACK) answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetBackView {
    /// What was noticed; null if nothing, or an operator has looked since.
    pub set_back: Option<SetBack>,
}

/// An operator says that it was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookedAt {
    /// What was found, for the record: as a stop's reason.
    pub note: String,
}

/// A baseline in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaselineRef {
    /// Its version.
    pub version: String,
    /// SHA-256 of its bytes.
    pub digest: Digest,
}

/// Sites by standing; `verified + held + silent + lapsed + stopped = sites`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Sites of the registry.
    pub sites: u32,
    /// May issue, verified as of their evidence.
    pub verified: u32,
    /// Held for an item.
    pub held: u32,
    /// Held because a host is silent or never reported.
    pub silent: u32,
    /// Of which it cannot be said any more, or not yet, that they are verified.
    #[serde(default)]
    pub lapsed: u32,
    /// Held by a stop.
    pub stopped: u32,
    /// Sites of which every host has reported under the baseline in force, however they stand.
    #[serde(default)]
    pub under_baseline: u32,
}

/// How a site stands, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// An item is not as it must be, or evidence is refused.
    Held,
    /// A host has not shown evidence in time.
    Silent,
    /// Nothing is known against it, and it cannot be called verified: its evidence has run out, is of a baseline
    /// before the one in force, or permits cannot be signed. The reasons say which.
    Lapsed,
    /// A stop covers it.
    Stopped,
    /// Issue.
    Verified,
}

/// One site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteRow {
    /// Its code.
    pub code: SiteCode,
    /// Its name.
    pub name: Localized,
    /// How it stands.
    pub standing: Standing,
    /// Issue or hold, of the worst host.
    pub verdict: Verdict,
    /// Why hold, over all hosts.
    pub reasons: Vec<Reason>,
    /// What else people are told, over all hosts; it holds nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// Hosts listed.
    pub hosts: u32,
    /// Since when the standing is what it is.
    pub since: Time,
    /// Start of the oldest pass among the hosts' newest evidence; none if a host never reported.
    pub verified_at: Option<Time>,
    /// Until when that evidence counts.
    pub verified_until: Option<Time>,
}

/// One host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRow {
    /// Its id.
    pub host: HostId,
    /// Its roles.
    pub roles: Vec<Role>,
    /// Of its own evidence.
    pub verdict: Verdict,
    /// Why hold.
    pub reasons: Vec<Reason>,
    /// What else people are told; it holds nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// What it may do now: its own verdict, its neighbours', the stops, and its newest permit.
    pub allowed: Allowed,
    /// When the controller last heard from it.
    pub heard: Option<Time>,
    /// Start of the pass behind its newest evidence.
    pub evidence: Option<Time>,
    /// Its agent.
    pub agent: Option<String>,
    /// The baseline it reported under.
    pub baseline: Option<Digest>,
    /// Its state.
    pub state: Option<Digest>,
    /// The newest permit signed for it.
    pub permit: Option<PermitRow>,
    /// Number of the newest stop it acknowledged.
    pub acknowledged: u64,
}

/// What a host may do, as far as its controller knows: its gate may know more, and hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// Issue or hold.
    pub verdict: Verdict,
    /// Why hold.
    pub reasons: Vec<Reason>,
}

/// A permit as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermitRow {
    /// Its number.
    pub number: u64,
    /// Issue or hold.
    pub verdict: Verdict,
    /// Its end.
    pub until: Time,
    /// Whether the host named it in a document since.
    pub received: bool,
    /// Whether a permit was made more than a heartbeat ago, and neither it nor a later one was named since: permits
    /// do not seem to arrive.
    pub overdue: bool,
}

/// One site with all that is behind its standing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteView {
    /// As in the fleet.
    pub site: SiteRow,
    /// Its hosts.
    pub hosts: Vec<HostView>,
    /// Stops that cover it, newest first.
    pub stops: Vec<StopView>,
}

/// One host with its appraisal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostView {
    /// As in lists.
    pub host: HostRow,
    /// Every item.
    pub appraisal: Appraisal,
}

/// One item of the baseline over the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemRow {
    /// The item.
    pub item: ItemId,
    /// Its kind.
    pub kind: ItemKind,
    /// Its name.
    pub title: Option<Localized>,
    /// What to do where it fails.
    pub remediation: Option<Localized>,
    /// Hosts by outcome; every listed host counts once.
    pub outcomes: Vec<(Outcome, u32)>,
    /// Sites that it holds.
    pub holds: Vec<SiteCode>,
}

/// An event of the fleet's stream. The SSE id grows; the event name is `change`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetEvent {
    /// Grows by one with each event.
    pub id: u64,
    /// When.
    pub time: Time,
    /// What happened.
    pub kind: EventKind,
    /// The site, where it is one's.
    pub site: Option<SiteCode>,
    /// The host, where it is one's.
    pub host: Option<HostId>,
    /// The new verdict, with kind `verdict`.
    pub verdict: Option<Verdict>,
    /// Its reasons.
    pub reasons: Vec<Reason>,
    /// In words, for the line in the log.
    pub note: String,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A host or a site turned.
    Verdict,
    /// A baseline was published.
    Publish,
    /// A stop was made.
    Stop,
    /// A stop was lifted for some sites.
    Lift,
    /// A host has a stop on disk.
    Acknowledged,
    /// A host got a key.
    Enrolled,
    /// A document did not count.
    Refused,
    /// Something ends soon, or has ended.
    Expiry,
    /// It was noticed that this controller was set back, or an operator has looked at that.
    SetBack,
    /// A kind of a later version: whoever shows events shows its note.
    #[serde(untagged)]
    Unrecognized(String),
}

impl EventKind {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        match self {
            EventKind::Verdict => "verdict",
            EventKind::Publish => "publish",
            EventKind::Stop => "stop",
            EventKind::Lift => "lift",
            EventKind::Acknowledged => "acknowledged",
            EventKind::Enrolled => "enrolled",
            EventKind::Refused => "refused",
            EventKind::Expiry => "expiry",
            EventKind::SetBack => "set-back",
            EventKind::Unrecognized(text) => text,
        }
    }
}

/// Asks for a stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopRequest {
    /// Whom.
    pub scope: Scope,
    /// Why.
    pub reason: String,
}

/// One stop and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopView {
    /// Number and digest.
    pub stop: StopRef,
    /// Whom.
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// Who.
    pub operator: String,
    /// When.
    pub time: Time,
    /// Hosts in scope that have it on disk.
    pub acknowledged: Vec<HostId>,
    /// Hosts in scope that have not said so, with the end of their permit: the latest moment they can issue.
    pub outstanding: Vec<(HostId, Option<Time>)>,
    /// Sites freed by lifts.
    pub lifted: Vec<SiteCode>,
    /// How many there are of each; a controller of before does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<StopCounts>,
}

/// Numbers of a stop. Lists show [`STOP_NAMES_MAX`](super::STOP_NAMES_MAX) of its hosts and lifted sites, one stop by itself all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopCounts {
    /// Hosts in scope that have it on disk.
    pub acknowledged: u32,
    /// Hosts in scope that have not said so.
    pub outstanding: u32,
    /// Sites freed by lifts.
    pub lifted: u32,
    /// Sites of the registry that it stops still.
    pub stopped: u32,
}

/// New metadata and target files. Nothing is changed unless all of it verifies.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// `2.root.json`, `5.targets.json`, `3.lifts.json`: base64 of their bytes.
    pub metadata: std::collections::BTreeMap<String, String>,
    /// Target path, as `convenience-issuance/baseline.toml`: base64 of its bytes.
    pub targets: std::collections::BTreeMap<String, String>,
}

/// A draft whose effect is asked for. Nobody need have signed it, and nothing changes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreviewRequest {
    /// By target path, base64 of their bytes: baseline, registry, and the file list of every release that a patch
    /// goes over. [`PREVIEW_TARGETS_MAX`](super::PREVIEW_TARGETS_MAX) at most, none twice.
    #[serde(deserialize_with = "few_targets")]
    pub targets: std::collections::BTreeMap<String, String>,
}

/// Counts while it reads: what is refused takes no memory.
fn few_targets<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<std::collections::BTreeMap<String, String>, D::Error> {
    struct Few;

    impl<'de> serde::de::Visitor<'de> for Few {
        type Value = std::collections::BTreeMap<String, String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "at most {} target files by path", super::PREVIEW_TARGETS_MAX)
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            use serde::de::Error;
            let mut targets = Self::Value::new();
            while let Some((path, text)) = map.next_entry::<String, String>()? {
                if targets.len() >= super::PREVIEW_TARGETS_MAX {
                    return Err(A::Error::invalid_length(targets.len() + 1, &self));
                }
                if targets.contains_key(&path) {
                    return Err(A::Error::custom(format!("the path {path:?} stands twice")));
                }
                targets.insert(path, text);
            }
            Ok(targets)
        }
    }

    deserializer.deserialize_map(Few)
}

/// Whom a draft would hold, by what hosts report now. Stops are left out on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// When it was made.
    pub time: Time,
    /// The baseline that it is compared with; none before the first publish.
    pub in_force: Option<BaselineRef>,
    /// The draft.
    pub baseline: BaselineRef,
    /// Its registry.
    pub registry: PreviewRegistry,
    /// How many sites there are of each.
    pub counts: PreviewCounts,
    /// Free now, and held under the draft, by code: the hosts that would hold them, and why.
    pub newly_held: Vec<PreviewSite>,
    /// Held under the draft by nothing that is known, but it asks what their hosts do not report yet.
    pub not_collected: Vec<PreviewSite>,
    /// Held now, and free under the draft: the hosts that hold them now, and why.
    pub opened: Vec<PreviewSite>,
}

/// The registry of a draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewRegistry {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Sites that the one in force does not have: they hold until their hosts report.
    pub joining: Vec<SiteCode>,
    /// Sites that it has not any more.
    pub leaving: Vec<SiteCode>,
}

/// Numbers of a preview. `newly_held + not_collected + opened + unchanged` and the joining ones are `sites`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewCounts {
    /// Sites of the draft's registry.
    pub sites: u32,
    /// See [`Preview::newly_held`].
    pub newly_held: u32,
    /// See [`Preview::not_collected`].
    pub not_collected: u32,
    /// See [`Preview::opened`].
    pub opened: u32,
    /// Held before and after, or free before and after.
    pub unchanged: u32,
}

/// One site of a preview.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewSite {
    /// Its code.
    pub code: SiteCode,
    /// Its name.
    pub name: Localized,
    /// Its hosts of which there is something to say; none if the draft lists none.
    pub hosts: Vec<PreviewHost>,
}

/// One host of a preview, with [`PREVIEW_REASONS_MAX`](super::PREVIEW_REASONS_MAX) of each at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewHost {
    /// Its id.
    pub host: HostId,
    /// Why hold.
    pub reasons: Vec<Reason>,
    /// Items that ask what it does not report yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_collected: Vec<ItemId>,
}

/// What is in force after a publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The baseline in force; none if only a root was published.
    pub baseline: Option<BaselineRef>,
    /// Versions of root, targets, lifts (0 for none), snapshot and timestamp.
    pub versions: Versions,
}

/// Versions of the metadata in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// `root`
    pub root: u64,
    /// `targets`
    pub targets: u64,
    /// `lifts`
    pub lifts: u64,
    /// `snapshot`
    pub snapshot: u64,
    /// `timestamp`
    pub timestamp: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_a_later_version_is_read_and_written_as_it_came() {
        let known = ["verdict", "publish", "stop", "lift", "acknowledged", "enrolled", "refused", "expiry"];
        for text in known.into_iter().chain(["key-rotated"]) {
            let kind: EventKind = serde_json::from_value(text.into()).unwrap();
            assert_eq!(matches!(kind, EventKind::Unrecognized(_)), !known.contains(&text), "{text}");
            assert_eq!(kind.as_str(), text);
            assert_eq!(serde_json::to_value(&kind).unwrap(), text);
        }
    }
}
