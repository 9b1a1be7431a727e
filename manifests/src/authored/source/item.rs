//! What every item has: what it says about itself, and whom it concerns.

use super::condition::condition;
use super::names::Scope;
use super::reader::{Node, Table};
use super::text::{any_id, label, localized, prose, set, site_code};
use super::{LIST_MAX, ROLES_MAX};
use crate::baseline::{About, Concerns, Enforce, Pattern};
use crate::id::Role;

/// The most addresses under `references`.
const REFERENCES_MAX: usize = 32;

/// `enforce`.
const ENFORCE: [(&str, Enforce); 2] = [("hold", Enforce::Hold), ("warn", Enforce::Warn)];

/// What every item says about itself.
pub(super) fn about(t: &mut Table<'_>) -> About {
    About {
        title: t.optional("title", localized),
        pattern: t.optional("pattern", |n| n.word(&Pattern::ALL)),
        enforce: t.optional("enforce", |n| n.word(&ENFORCE)).unwrap_or(Enforce::Hold),
        waivable: t.optional("waivable", |n| n.boolean()).unwrap_or(true),
        owner: t.optional("owner", label),
        remediation: t.optional("remediation", localized),
        origin: t.optional("origin", prose),
        references: t.optional("references", |n| n.list(REFERENCES_MAX, prose)).unwrap_or_default(),
    }
}

/// Which hosts something concerns.
pub(super) fn concerns(t: &mut Table<'_>, scope: &Scope) -> Concerns {
    let kept = |node: &Node<'_>| node.keep_place();
    Concerns {
        roles: t
            .optional("roles", |n| {
                set(&n, ROLES_MAX, |n| {
                    kept(&n);
                    any_id::<Role>(n)
                })
            })
            .unwrap_or_default(),
        sites: t
            .optional("sites", |n| {
                set(&n, LIST_MAX, |n| {
                    kept(&n);
                    site_code(n)
                })
            })
            .unwrap_or_default(),
        when: t.optional("when", |n| condition(&n, scope)),
    }
}
