//! The fix baseline, key by key: the header, `[gate]`, `[[config]]`, `[[fact]]`, `[[waiver]]`.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::condition::value;
use super::item::{about, concerns};
use super::names::{Kind, Names, Scope};
use super::program::program;
use super::reader::{Node, Table, schema, tables};
use super::required::fix;
use super::setting::setting;
use super::sheet::Sheet;
use super::text::{config_key, digest, host_id, item_id, layer, product_id, prose, semver, set, span};
use super::{FACT_VALUES_MAX, LIST_MAX};
use crate::baseline::{
    Baseline, Config, Encoding, Fact, FactSource, Format, GateRules, Reader, Reload, SCHEMA, Waiver,
};
use crate::id::ItemId;
use crate::registry::Topology;
use crate::time::Span;
use crate::value::Value;

/// The most layers that a configuration may name.
pub(super) const LAYERS_MAX: usize = 64;

const FORMATS: [(&str, Format); 8] = [
    ("toml", Format::Toml),
    ("ini", Format::Ini),
    ("properties", Format::Properties),
    ("xml", Format::Xml),
    ("json", Format::Json),
    ("yaml", Format::Yaml),
    ("env", Format::Env),
    ("keyvalue", Format::Keyvalue),
];

const ENCODINGS: [(&str, Encoding); 3] =
    [("shift_jis", Encoding::ShiftJis), ("euc-jp", Encoding::EucJp), ("utf-16", Encoding::Utf16)];

const RELOADS: [(&str, Reload); 2] = [("restart", Reload::Restart), ("live", Reload::Live)];

/// The whole document.
pub(super) fn document(sheet: &Sheet<'_>, root: &DeTable<'_>) -> Option<Baseline> {
    Table::document(sheet, root, |t| {
        schema(t, SCHEMA)?;
        let mut scope = Scope { names: Names::gather(sheet, root), facts: BTreeMap::new() };
        let product = t.required("product", |n| {
            n.keep_place();
            product_id(n)
        });
        let version = t.required("version", semver);
        let min_agent = t.optional("min_agent", semver).unwrap_or(semver::Version::new(0, 0, 0));
        let gate = t.optional("gate", |n| n.table(gate)).unwrap_or(GATE_DEFAULT);
        let facts = tables(t, "fact", |t| fact(t, &scope));
        scope.facts = facts.iter().map(|fact| (fact.id.clone(), fact.clone())).collect();
        let configs = tables(t, "config", |t| config(t, &scope));
        let programs = tables(t, "program", |t| program(t, &scope));
        let settings = tables(t, "setting", |t| setting(t, &scope));
        let fixes = tables(t, "fix", |t| fix(t, &scope));
        let waivers = tables(t, "waiver", |t| waiver(t, &scope));

        let is_empty = !["program", "setting", "fix"].iter().any(|key| t.has(key)) && !scope.names.has_pinned();
        if is_empty {
            t.refuse_absent(
                &["program", "setting", "fix", "config"],
                "empty-baseline",
                "there is nothing to judge, so that every host would be held for ever",
                "add a [[program]], [[setting]] or [[fix]]",
            );
        }
        let (product, version) = (product?, version?);
        Some(Baseline { product, version, min_agent, gate, configs, facts, programs, settings, fixes, waivers })
    })
}

const GATE_DEFAULT: GateRules = GateRules {
    heartbeat: Span::from_s(30),
    permit_ttl: Span::from_s(30 * 60),
    evidence_max_age: Span::from_s(10 * 60),
    verify_hold: Span::from_ms(250),
    expiry_grace: Span::from_s(14 * 86_400),
};

fn gate(t: &mut Table<'_>) -> Option<GateRules> {
    const HOUR_S: u64 = 3600;
    let within = |least: Span, most: Span, why: &'static str| {
        move |n: Node<'_>| {
            let span = span(&n)?;
            if (least..=most).contains(&span) {
                Some(span)
            } else {
                n.refuse_with("out-of-range", format!("{span} is not from {least} to {most}"), why)
            }
        }
    };
    // A bound that is itself wrong bounds nothing: one mistake, one problem.
    let ttl_given = t.has("permit_ttl");
    let ttl = t.optional(
        "permit_ttl",
        within(Span::from_s(60), Span::from_s(24 * HOUR_S), "how long a host may issue without a controller"),
    );
    let ttl_bound = ttl.or((!ttl_given).then_some(GATE_DEFAULT.permit_ttl)).unwrap_or(Span::from_s(24 * HOUR_S));
    let age_given = t.has("evidence_max_age");
    let age = t.optional(
        "evidence_max_age",
        within(Span::from_s(4), ttl_bound, "at most permit_ttl; a complete pass is made every quarter of it"),
    );
    let age_bound = age.or((!age_given).then_some(GATE_DEFAULT.evidence_max_age)).unwrap_or(Span::from_s(24 * HOUR_S));
    if !age_given && GATE_DEFAULT.evidence_max_age > ttl_bound {
        t.refuse::<()>("out-of-range", "evidence_max_age is 10m where it is left out, more than permit_ttl");
    }
    let heartbeat = t.optional(
        "heartbeat",
        within(Span::from_s(1), age_bound / 2, "at most half of evidence_max_age, so that one may be lost"),
    );
    if heartbeat.is_none() && !t.has("heartbeat") && GATE_DEFAULT.heartbeat > age_bound / 2 {
        t.refuse::<()>("out-of-range", "heartbeat is 30s where it is left out, more than half of evidence_max_age");
    }
    let verify_hold = t.optional("verify_hold", within(Span::ZERO, Span::from_s(5), "how long a question may wait"));
    let grace = t.optional(
        "expiry_grace",
        within(Span::ZERO, Span::from_s(30 * 24 * HOUR_S), "how long gates stay open after targets expire"),
    );
    Some(GateRules {
        heartbeat: heartbeat.unwrap_or(GATE_DEFAULT.heartbeat),
        permit_ttl: ttl.unwrap_or(GATE_DEFAULT.permit_ttl),
        evidence_max_age: age.unwrap_or(GATE_DEFAULT.evidence_max_age),
        verify_hold: verify_hold.unwrap_or(GATE_DEFAULT.verify_hold),
        expiry_grace: grace.unwrap_or(GATE_DEFAULT.expiry_grace),
    })
}

fn config(t: &mut Table<'_>, scope: &Scope) -> Option<Config> {
    let id = t.required("id", |n| item_id(&n));
    let files = t.required("files", |n| set(&n, LAYERS_MAX, layer));
    let format = t.required("format", |n| n.word(&FORMATS));
    let reader = t.optional_since(2, "reader", |n| reader(&n, format));
    let encoding = t.optional("encoding", |n| n.word(&ENCODINGS));
    let concerns = concerns(t, scope);
    let reload = t.optional("reload", |n| n.word(&RELOADS)).unwrap_or_default();
    let program = t.optional("program", scope.names.of(Kind::Program));
    let sensitive = t.optional("sensitive", |n| n.boolean()).unwrap_or(false);
    let first_wins = t.optional("first_wins", |n| n.boolean()).unwrap_or(false);
    let pinned = t.optional("pinned", |n| set(&n, LIST_MAX, digest));
    let about = about(t);
    for key in ["enforce", "waivable"] {
        if !t.has("pinned") && t.has(key) {
            // Whoever writes it believes that the content is judged.
            t.refuse_key(key, "no-effect", "a configuration is judged only with `pinned`");
        }
    }
    let pinned = pinned.unwrap_or_default();
    let (id, files, format) = (id?, files?, format?);
    let reader = reader.or_else(|| format.readers().first().copied())?;
    Some(Config {
        id,
        files,
        format,
        reader,
        encoding,
        concerns,
        reload,
        program,
        sensitive,
        first_wins,
        pinned,
        about,
    })
}

// Of a format that is itself wrong no reader can be.
fn reader(node: &Node<'_>, format: Option<Format>) -> Option<Reader> {
    let reader = node.word(&Reader::ALL)?;
    let readers = format?.readers();
    if readers.contains(&reader) {
        return Some(reader);
    }
    let format = FORMATS.iter().find(|(_, named)| Some(*named) == format).map_or("", |(text, _)| text);
    let known: Vec<_> = readers.iter().map(|reader| reader.as_str()).collect();
    let hint = format!("{format} is read by {}", known.join(", "));
    node.refuse_with("reader-mismatch", format!("the reader `{reader}` does not read {format}"), hint)
}

fn fact(t: &mut Table<'_>, scope: &Scope) -> Option<Fact> {
    let id = t.required("id", |n| item_id(&n));
    let source = match t.exactly_one(&["config", "registry"]) {
        Some("registry") => t.required("registry", |n| n.word(&[("topology", ())])).map(|()| FactSource::Topology),
        Some(_) => {
            let config = t.required("config", scope.names.of(Kind::Config));
            let key = t.required("key", config_key);
            config.zip(key).map(|(config, key)| FactSource::Config { config, key })
        }
        None => {
            t.accept("key");
            None
        }
    };
    let topologies = [Topology::Single, Topology::Split].map(|topology| Value::Text(topology.as_str().to_owned()));
    let is_topology = source == Some(FactSource::Topology);
    let one_of = t.optional("one_of", |n| {
        set(&n, FACT_VALUES_MAX, |n| {
            let value = value(n.clone())?;
            if is_topology && !topologies.contains(&value) {
                return n.refuse("not-one-of", "topology is `single` or `split`");
            }
            Some(value)
        })
    });
    let one_of = match one_of {
        Some(one_of) => one_of,
        None if is_topology => topologies.to_vec(),
        None => Vec::new(),
    };
    Some(Fact { id: id?, source: source?, one_of })
}

fn waiver(t: &mut Table<'_>, scope: &Scope) -> Option<Waiver> {
    let item = t.required("item", |n| waived(&n, scope));
    let hosts = t.required("hosts", |n| {
        set(&n, LIST_MAX, |n| {
            n.keep_place();
            host_id(n)
        })
    });
    let reason = t.required("reason", prose);
    let until = t.required_or(
        "until",
        "waiver-without-end",
        "a waiver must end: `until` is missing".to_owned(),
        Some("until = 2023-07-09T06:00:00+09:00".to_owned()),
        |n| n.time(),
    );
    Some(Waiver { item: item?, hosts: hosts?, reason: reason?, until: until? })
}

fn waived(node: &Node<'_>, scope: &Scope) -> Option<ItemId> {
    let kinds = [Kind::Fix, Kind::Setting, Kind::Program, Kind::Config];
    let id = scope.names.reference(node, &kinds, "dangling-item")?;
    let (kind, named) = scope.names.named(&kinds, &id)?;
    if kind == Kind::Setting && named.is_lock {
        return node.refuse("waiver-on-lock", format!("`{id}` is an exclusive lock, which cannot be waived"));
    }
    if kind == Kind::Config && !named.is_pinned {
        return node.refuse("waiver-not-waivable", format!("`{id}` is not pinned: there is nothing to waive"));
    }
    if !named.is_waivable {
        return node.refuse("waiver-not-waivable", format!("`{id}` says waivable = false"));
    }
    Some(id)
}
