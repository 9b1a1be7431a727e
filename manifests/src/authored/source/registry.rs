//! The registry, key by key.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::reader::{Node, Table, schema};
use super::sheet::Sheet;
use super::text::{any_id, host_id, label, localized, product_id, set, site_code};
use super::{CONTROLLERS_MAX, HOSTS_MAX, ROLES_MAX, SIGNERS_MAX, SITES_MAX};
use crate::id::{ControllerId, Role};
use crate::key::{KeyError, PublicKey};
use crate::registry::{Controller, Host, ProcessView, Registry, SCHEMA, Signer, Site};

/// Lines of what must not stand twice, by its text.
#[derive(Default)]
struct Lines(BTreeMap<String, u32>);

impl Lines {
    /// The line in which `text` stood before, if it did.
    fn note(&mut self, text: &str, node: &Node<'_>) -> Option<u32> {
        match self.0.get(text) {
            Some(line) => Some(*line),
            None => {
                self.0.insert(text.to_owned(), node.line_of(node.offset()));
                None
            }
        }
    }

    fn unique<T>(&mut self, node: &Node<'_>, id: T, text: impl Fn(&T) -> &str) -> Option<T> {
        match self.note(text(&id), node) {
            None => Some(id),
            Some(line) => node.refuse("duplicate-id", format!("`{}` stands in line {line} already", text(&id))),
        }
    }
}

const PROCESS_VIEWS: [(&str, ProcessView); 2] = [("host", ProcessView::Host), ("container", ProcessView::Container)];

/// The whole document.
pub(super) fn document(sheet: &Sheet<'_>, root: &DeTable<'_>) -> Option<Registry> {
    Table::document(sheet, root, |t| {
        schema(t, SCHEMA)?;
        let product = t.required("product", product_id);
        let mut keys = Lines::default();
        let signers = rows(t, "signer", SIGNERS_MAX, |t| signer(t, &mut keys));
        let mut ids = Lines::default();
        let controllers = rows(t, "controller", CONTROLLERS_MAX, |t| controller(t, &mut ids, &mut keys));
        let mut codes = Lines::default();
        let sites = rows(t, "site", SITES_MAX, |t| site(t, &mut codes));
        // A site whose code cannot be read may be that of any host.
        let sites_known = t.count("site") == sites.as_ref().map(Vec::len) && !t.has_misspelt("site");
        let mut ids = Lines::default();
        let hosts = rows(t, "host", HOSTS_MAX, |t| host(t, &mut ids, sites_known.then_some(&codes)));
        check_signers(t, signers.as_deref());
        check_controllers(t, controllers.as_deref());
        let (mut sites, mut hosts) = (sites?, hosts?);
        // Look-ups search by halves.
        sites.sort_by(|a, b| a.code.cmp(&b.code));
        hosts.sort_by(|a, b| a.id.cmp(&b.id));
        Some(Registry { product: product?, signers: signers?, controllers: controllers?, sites, hosts })
    })
}

// The elements of an array of tables; none if it is left out, nothing if one could not be read.
fn rows<'a, T>(
    t: &mut Table<'a>,
    key: &'static str,
    most: usize,
    mut read: impl FnMut(&mut Table<'a>) -> Option<T>,
) -> Option<Vec<T>> {
    if t.has(key) {
        t.optional(key, |n| n.list(most, |n| n.table(&mut read)))
    } else {
        t.accept(key);
        Some(Vec::new())
    }
}

fn signer(t: &mut Table<'_>, keys: &mut Lines) -> Option<Signer> {
    let name = t.required("name", label);
    let unit = t.required("unit", label);
    let key = t.required("key", |n| public_key(&n, keys));
    Some(Signer { name: name?, unit: unit?, key: key? })
}

fn check_signers(t: &mut Table<'_>, signers: Option<&[Signer]>) {
    let Some(signers) = signers else { return };
    let hint = "[[signer]] with name, unit and key";
    if signers.len() < 2 {
        let message = "fewer than two signers: a threshold of two cannot be met";
        t.refuse_absent(&["signer"], "too-few-signers", message, hint);
    } else if signers.windows(2).all(|pair| matches!(pair, [a, b] if a.unit == b.unit)) {
        let message = "all signers are of one unit: a threshold met within one unit proves no second view";
        t.refuse_absent(&["signer"], "one-unit", message, "name a signer of another unit");
    }
}

fn controller(t: &mut Table<'_>, ids: &mut Lines, keys: &mut Lines) -> Option<Controller> {
    let id = t.required("id", |n| {
        let id = any_id::<ControllerId>(n.clone())?;
        ids.unique(&n, id, |id| id.as_str())
    });
    // Written as something else it may be meant either way, and says nothing of who stands by.
    let standby = if t.has("standby") { t.optional("standby", |n| n.boolean()) } else { Some(false) };
    let permit_key = t.required("permit_key", |n| public_key(&n, keys));
    let log_key = t.required("log_key", |n| public_key(&n, keys));
    t.accept("standby");
    Some(Controller { id: id?, standby: standby?, permit_key: permit_key?, log_key: log_key? })
}

fn check_controllers(t: &mut Table<'_>, controllers: Option<&[Controller]>) {
    let Some(controllers) = controllers else { return };
    if controllers.iter().all(|controller| controller.standby) {
        let message = "no controller is in service: nobody could sign a permit";
        t.refuse_absent(&["controller"], "no-controller", message, "[[controller]] with standby = false");
    }
    if !controllers.iter().any(|controller| controller.standby) {
        let message = "no controller stands by: with the one in service lost, no key of another would be known";
        t.refuse_absent(&["controller"], "no-standby", message, "[[controller]] with standby = true");
    }
}

fn site(t: &mut Table<'_>, codes: &mut Lines) -> Option<Site> {
    let code = t.required("code", |n| {
        let code = site_code(n.clone())?;
        codes.unique(&n, code, |code| code.as_str())
    });
    let name = t.required("name", localized);
    Some(Site { code: code?, name: name? })
}

fn host(t: &mut Table<'_>, ids: &mut Lines, codes: Option<&Lines>) -> Option<Host> {
    let id = t.required("id", |n| {
        let id = host_id(n.clone())?;
        let id = ids.unique(&n, id, |id| id.as_str())?;
        if codes.is_some_and(|codes| !codes.0.contains_key(id.site().as_str())) {
            let message = format!("the site {} is not listed", id.site());
            return n.refuse_dangling("unlisted-site", message, Some(format!("[[site]] code = \"{}\"", id.site())));
        }
        Some(id)
    });
    let roles = t.required("roles", |n| set(&n, ROLES_MAX, any_id::<Role>));
    let joined = t.required("joined", |n| n.time());
    let left = t.optional("left", |n| {
        let left = n.time()?;
        if joined.is_some_and(|joined| left <= joined) {
            return n.refuse("left-before-joined", "it left before it joined: it would never be listed");
        }
        Some(left)
    });
    let processes = t.optional_since(2, "processes", |n| n.word(&PROCESS_VIEWS)).unwrap_or_default();
    Some(Host { id: id?, roles: roles?, joined: joined?, left, processes })
}

// A key in two places would let one holder stand for two.
fn public_key(node: &Node<'_>, keys: &mut Lines) -> Option<PublicKey> {
    let text = node.text("a key in quotes, ed25519: and 64 hexadecimal digits")?;
    let key = match PublicKey::from_text(text) {
        Ok(key) => key,
        Err(KeyError::Weak) => {
            return node.refuse("weak-key", "under this key a signature can hold that nobody made");
        }
        Err(_) => return node.refuse("bad-public-key", "a key is written ed25519: and 64 hexadecimal digits 0-9a-f"),
    };
    match keys.note(text, node) {
        None => Some(key),
        Some(line) => node.refuse("key-reused", format!("the key of line {line} stands here again")),
    }
}
