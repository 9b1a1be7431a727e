//! `[[setting]]`, key by key.

use super::condition::expect;
use super::item::{about, concerns};
use super::names::{Kind, Named, Scope};
use super::reader::{Node, Table};
use super::sheet::{is_unprintable, printable};
use super::text::{GLOB_BYTES_MAX, config_key, item_id};
use crate::baseline::{Enforce, InForce, Setting, SettingKind};
use crate::value::Expect;

const KINDS: [(&str, SettingKind); 2] = [("exclusive-lock", SettingKind::ExclusiveLock), ("plain", SettingKind::Plain)];

/// One setting.
pub(super) fn setting(t: &mut Table<'_>, scope: &Scope) -> Option<Setting> {
    let id = t.required("id", |n| item_id(&n));
    let kind = t.optional("kind", |n| n.word(&KINDS)).unwrap_or(SettingKind::Plain);
    let config = t.required("config", scope.names.of(Kind::Config));
    let key = t.required("key", config_key);
    let expect = t.required("expect", expect);
    let in_force = t.optional("in_force", in_force);
    let sensitive = t.optional("sensitive", |n| n.boolean()).unwrap_or(false);
    if in_force.is_some() {
        let named = config.as_ref().and_then(|id| scope.names.named(&[Kind::Config], id)).map(|(_, named)| named);
        if let Some(why) = unknowable(named, sensitive, scope) {
            t.refuse_key("in_force", "in-force-unknowable", &why);
        }
    }
    let concerns = concerns(t, scope);
    let mut about = about(t);
    if kind == SettingKind::ExclusiveLock {
        if about.enforce == Enforce::Warn {
            t.refuse_key("enforce", "lock-warn", "an exclusive lock always holds");
        }
        if t.is_true("waivable") {
            t.refuse_key("waivable", "waiver-on-lock", "an exclusive lock cannot be waived");
        }
        if matches!(expect, Some(Expect::Absent)) {
            t.refuse_key("expect", "lock-absent", "an exclusive lock that is absent has failed");
        }
        about.waivable = false;
    }
    let (id, config, key, expect) = (id?, config?, key?, expect?);
    Some(Setting { id, kind, config, key, expect, in_force, sensitive, concerns, about })
}

// Why the value in force could never be known, or not whose it is. Where nobody answers, an agent must
// be able to tell a program that does not run from one that hides: its process says so.
fn unknowable(config: Option<&Named>, sensitive: bool, scope: &Scope) -> Option<String> {
    if sensitive || config.is_some_and(|config| config.is_sensitive) {
        return Some(
            "what is sensitive leaves no host in clear, so that its value in force is always unknown".to_owned(),
        );
    }
    match &config?.reader {
        Some(id) if scope.names.has_process(id) == Some(false) => {
            Some(format!("the program {} has no `process`: whether it runs could not be told", printable(id)))
        }
        None if scope.names.processes() > Some(1) => Some(
            "several programs have a `process`: name the one that is asked with `program` of the configuration"
                .to_owned(),
        ),
        _ => None,
    }
}

fn in_force(node: Node<'_>) -> Option<InForce> {
    node.table(|t| {
        let url = t.required("url", loopback_url);
        let pointer = t.required("pointer", json_pointer);
        Some(InForce { url: url?, pointer: pointer? })
    })
}

// The agent asks it with nobody looking on: another host, or TLS that nobody checks, is no evidence.
fn loopback_url(node: Node<'_>) -> Option<String> {
    let text = node.text("an address in quotes")?;
    let rest = text.strip_prefix("http://").filter(|_| text.len() <= GLOB_BYTES_MAX);
    let authority = rest.map(|rest| rest.split_once(['/', '?', '#']).map_or(rest, |(authority, _)| authority));
    let is_loopback = authority.is_some_and(|authority| {
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p > 0);
        let is_host = host == "localhost"
            || host == "[::1]"
            || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback());
        is_host && port.is_none_or(is_port)
    });
    let is_plain = text.bytes().all(|b| b.is_ascii_graphic()) && !text.contains(['#', '"', '<', '>', '\\']);
    if is_loopback && is_plain {
        Some(text.to_owned())
    } else {
        node.refuse_with(
            "bad-url",
            format!("`{}` is no HTTP address of the host itself", printable(text)),
            "as http://127.0.0.1:8080/status/config",
        )
    }
}

// RFC 6901, section 3.
fn json_pointer(node: Node<'_>) -> Option<String> {
    let text = node.text("a JSON pointer in quotes")?;
    let is_escaped = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    let is_pointer = (text.is_empty() || text.starts_with('/')) && is_escaped;
    if is_pointer && text.len() <= GLOB_BYTES_MAX && !text.chars().any(is_unprintable) {
        Some(text.to_owned())
    } else {
        node.refuse_with("bad-pointer", format!("`{}` is no JSON pointer", printable(text)), "as /queue/lock")
    }
}
