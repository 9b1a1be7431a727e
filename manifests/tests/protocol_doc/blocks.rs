//! Fenced blocks whose info string is a language and a name, as `json evidence`.

use std::collections::BTreeMap;

use manifests::api;
use manifests::enrolment::{Enrolled, Enrolment};
use manifests::envelope::{Document, Sealed};
use manifests::evidence::{Evidence, Heartbeat};
use manifests::key::PublicKey;
use manifests::permit::Permit;
use manifests::stop::{Acknowledgement, Lift, Stop};
use manifests::tuf::repository::read_unverified;
use manifests::tuf::{Root, Signed, Snapshot, Targets, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{examples, keys, protocol, repository};

/// Named blocks of a page: name to text without the fences.
pub(crate) fn named(page: &str) -> BTreeMap<&str, String> {
    let mut blocks = BTreeMap::new();
    let mut open: Option<(&str, Vec<&str>)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), open.as_mut()) {
            (Some(info), None) => open = Some((info.split_once(' ').map_or("", |(_, name)| name), Vec::new())),
            (Some(_), Some(_)) => {
                let (name, lines) = open.take().unwrap();
                if !name.is_empty() {
                    assert!(blocks.insert(name, lines.join("\n")).is_none(), "{name} stands twice");
                }
            }
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// The page with every named block replaced by its example.
fn rewritten(page: &str, examples: &BTreeMap<&str, String>) -> String {
    let mut lines = Vec::new();
    let mut inside: Option<bool> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), inside) {
            (Some(info), None) => {
                lines.push(line.to_owned());
                let example = info.split_once(' ').and_then(|(_, name)| examples.get(name));
                lines.extend(example.cloned());
                inside = Some(example.is_some());
            }
            (Some(_), Some(_)) => {
                lines.push(line.to_owned());
                inside = None;
            }
            (None, Some(true)) => {}
            (None, _) => lines.push(line.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}

#[test]
fn every_example_is_what_todays_types_write() {
    let examples = examples::all();
    let page = protocol();
    if std::env::var_os("SEKISHO_WRITE_EXAMPLES").is_some() {
        std::fs::write(repository().join("docs/protocol.md"), rewritten(&page, &examples)).unwrap();
        return;
    }
    let blocks = named(&page);
    for (name, text) in &blocks {
        let example = examples.get(name).unwrap_or_else(|| panic!("nobody makes the example {name}"));
        assert_eq!(text, example, "the example {name} is not today's: see the head of this test");
    }
    for name in examples.keys() {
        assert!(blocks.contains_key(name), "docs/protocol.md does not show the example {name}");
    }
}

/// Reads an example as its type and writes it again: nothing is lost and nothing is made up.
fn check<T: DeserializeOwned + Serialize>(name: &str, text: &str) {
    let value: serde_json::Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let read: T = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(serde_json::to_value(&read).unwrap(), value, "{name}");
}

fn check_sealed<T: Document>(name: &str, text: &str, signer: &str) {
    let sealed: Sealed<T> = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    sealed.verify([keys::key(signer).public()]).unwrap_or_else(|error| panic!("{name}: {error}"));
}

fn check_metadata<T: Signed>(name: &str, text: &str) {
    read_unverified::<T>(text.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
}

fn check_gate(name: &str, text: &str) {
    let value: serde_json::Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(value["verdict"] == "issue" || value["verdict"] == "hold", "{name}");
}

fn check_events(name: &str, text: &str) {
    for event in text.split("\n\n") {
        let field = |field: &str| event.lines().find_map(|line| line.strip_prefix(&format!("{field}: "))).unwrap();
        let data: serde_json::Value = serde_json::from_str(field("data")).unwrap();
        if name == "fleet-events" {
            assert_eq!(field("event"), "change");
            check::<api::FleetEvent>(name, &data.to_string());
            assert_eq!(data["id"].to_string(), field("id"));
        } else {
            // As a client that reads the name and the data: an event without content has none.
            let mut event = serde_json::json!({ "event": field("event") });
            if !data.is_null() {
                event["data"] = data;
            }
            check::<api::HostEvent>(name, &event.to_string());
        }
    }
}

#[test]
fn every_json_example_reads_as_its_type() {
    let page = protocol();
    for (name, text) in &named(&page) {
        match *name {
            "key" => check::<PublicKey>(name, text),
            "evidence" => check::<Evidence>(name, text),
            "heartbeat" => check::<Heartbeat>(name, text),
            "permit" | "permit-hold" => check::<Permit>(name, text),
            "stop" => check::<Stop>(name, text),
            "acknowledgement" | "dsse-payload" => check::<Acknowledgement>(name, text),
            "enrolment" => check::<Enrolment>(name, text),
            "lift" => check::<Lift>(name, text),
            "envelope" => check_sealed::<Acknowledgement>(name, text, "host"),
            "enrolment-envelope" => check_sealed::<Enrolment>(name, text, "host"),
            "receipt" => check::<api::Receipt>(name, text),
            "set-back" => check::<api::SetBackView>(name, text),
            "looked-at" => check::<api::LookedAt>(name, text),
            "handover" => check::<api::Handover>(name, text),
            "enrolled" => check::<Enrolled>(name, text),
            "handed" => check::<api::Handed>(name, text),
            "unlisted-stops" => check::<Vec<api::UnlistedStop>>(name, text),
            "versions" => check::<api::DocumentVersions>(name, text),
            "error" => check::<api::ErrorBody>(name, text),
            "fleet" => check::<api::FleetView>(name, text),
            "site" => check::<api::SiteView>(name, text),
            "hosts" => check::<Vec<api::HostRow>>(name, text),
            "host" => check::<api::HostView>(name, text),
            "items" => check::<Vec<api::ItemRow>>(name, text),
            "stop-request" => check::<api::StopRequest>(name, text),
            "stop-view" => check::<api::StopView>(name, text),
            "publish" => check::<api::Publish>(name, text),
            "preview-request" => check::<api::PreviewRequest>(name, text),
            "preview" => check::<api::Preview>(name, text),
            "published" => check::<api::Published>(name, text),
            "metadata-root" => check_metadata::<Root>(name, text),
            "metadata-targets" | "metadata-lifts" => check_metadata::<Targets>(name, text),
            "metadata-snapshot" => check_metadata::<Snapshot>(name, text),
            "metadata-timestamp" => check_metadata::<Timestamp>(name, text),
            "gate-issue" | "gate-hold" => check_gate(name, text),
            "host-events" | "fleet-events" => check_events(name, text),
            // Worked again in `worked`.
            "canonical-input"
            | "canonical-hex"
            | "key-canonical"
            | "key-id"
            | "key-ids"
            | "dsse-pae"
            | "dsse-pae-digest"
            | "dsse-signature"
            | "state-canonical"
            | "state-digest"
            | "config-values"
            | "file-list"
            | "file-list-digest"
            | "file-list-followed"
            | "file-list-followed-digest"
            | "tree-digest" => {}
            other => panic!("nobody reads the example {other}"),
        }
    }
}
