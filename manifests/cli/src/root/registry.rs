//! Signers and controllers of `registry.toml`, changed where they stand: remarks and everything else stay.

use std::fmt;

use manifests::key::PublicKey;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, TomlError, value};

use crate::exit::{Exit, Fatal};
use crate::init::{NewController, key_text};

/// The file, to be changed.
pub(crate) struct Registry(DocumentMut);

/// Keys of one table; those without a value are not to be there.
type Members = Vec<(&'static str, Option<Item>)>;

/// Why the file cannot be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// A mistake anywhere in it.
    #[error("registry.toml cannot be changed; `check` shows what is wrong")]
    Toml(#[source] TomlError),
    /// `signer` or `controller` in a form that nobody's tool writes.
    #[error("registry.toml cannot be changed: {name} is not written as [[{name}]]")]
    Form { name: &'static str },
}

impl Fatal for RegistryError {
    fn exit(&self) -> Exit {
        Exit::Refused
    }
}

impl Registry {
    /// Reads the text.
    pub(crate) fn parse(text: &str) -> Result<Self, RegistryError> {
        text.parse().map(Self).map_err(RegistryError::Toml)
    }

    /// Makes these the signers: name, unit and key each.
    pub(crate) fn set_signers<'a>(
        &mut self,
        signers: impl IntoIterator<Item = (&'a str, &'a str, &'a PublicKey)>,
    ) -> Result<(), RegistryError> {
        let wanted = signers.into_iter().map(|(name, unit, key)| {
            (name.to_owned(), vec![("unit", Some(value(unit))), ("key", Some(value(key_text(key))))])
        });
        self.set("signer", "name", wanted.collect())
    }

    /// Makes these the controllers.
    pub(crate) fn set_controllers(&mut self, controllers: &[NewController]) -> Result<(), RegistryError> {
        let wanted = controllers.iter().map(|controller| {
            let public = &controller.public;
            (
                public.id.to_string(),
                vec![
                    ("standby", controller.standby.then(|| value(true))),
                    ("permit_key", Some(value(key_text(&public.permit_key)))),
                    ("log_key", Some(value(key_text(&public.log_key)))),
                ],
            )
        });
        self.set("controller", "id", wanted.collect())
    }

    // Tables that stay are changed in place, others go, new ones come behind.
    fn set(&mut self, name: &'static str, id: &str, wanted: Vec<(String, Members)>) -> Result<(), RegistryError> {
        let tables = self.0.entry(name).or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        let tables = tables.as_array_of_tables_mut().ok_or(RegistryError::Form { name })?;
        let id_of = |table: &Table| table.get(id).and_then(Item::as_str).unwrap_or_default().to_owned();
        tables.retain(|table| wanted.iter().any(|(wanted, _)| *wanted == id_of(table)));
        // Behind the last of its kind: a table of ours must not come to stand behind the hosts.
        let last = tables.iter().filter_map(Table::position).max();
        for (wanted_id, members) in wanted {
            let is_new = !tables.iter().any(|table| id_of(table) == wanted_id);
            if is_new {
                let mut table = Table::new();
                table.insert(id, value(wanted_id.as_str()));
                table.set_position(last);
                table.decor_mut().set_prefix("\n");
                tables.push(table);
            }
            for table in tables.iter_mut().filter(|table| id_of(table) == wanted_id) {
                for (member, wanted) in &members {
                    match (table.get_mut(member), wanted) {
                        // In place, so that a remark behind it stays.
                        (Some(found), Some(wanted)) if found.to_string().trim() != wanted.to_string().trim() => {
                            let decor = found.as_value().map(|value| value.decor().clone());
                            *found = wanted.clone();
                            if let (Some(decor), Some(value)) = (decor, found.as_value_mut()) {
                                *value.decor_mut() = decor;
                            }
                        }
                        (Some(_), Some(_)) | (None, None) => {}
                        (Some(_), None) => drop(table.remove(member)),
                        (None, Some(wanted)) => drop(table.insert(member, wanted.clone())),
                    }
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use manifests::key::SigningKey;

    #[test]
    fn people_change_and_everything_else_stays_as_it_was_written() {
        let keys: Vec<_> = (0..3).map(|_| SigningKey::generate().unwrap().public().clone()).collect();
        let text = format!(
            "# head\nschema = 1\n\n[[signer]]  # the first\nname = \"a\"\nunit = \"q\" # quality\nkey = \"{}\"\n\n\
             [[signer]]\nname = \"b\"\nunit = \"o\"\nkey = \"{}\"\n\n[[site]] # one\ncode = \"402206\"\n",
            key_text(&keys[0]),
            key_text(&keys[1])
        );
        let mut registry = Registry::parse(&text).unwrap();
        let same = [("a", "q", &keys[0]), ("b", "o", &keys[1])];
        registry.set_signers(same).unwrap();
        assert_eq!(registry.to_string(), text);
        registry.set_signers([("a", "r", &keys[0]), ("c", "d", &keys[2])]).unwrap();
        let changed = registry.to_string();
        let expected = format!(
            "# head\nschema = 1\n\n[[signer]]  # the first\nname = \"a\"\nunit = \"r\" # quality\nkey = \"{}\"\n\n\
             [[signer]]\nname = \"c\"\nunit = \"d\"\nkey = \"{}\"\n\n[[site]] # one\ncode = \"402206\"\n",
            key_text(&keys[0]),
            key_text(&keys[2])
        );
        assert_eq!(changed, expected);
    }
}
