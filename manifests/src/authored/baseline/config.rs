//! Configurations: which files, how they are written, and by whose rules they are read.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{About, Concerns};
use crate::digest::Digest;
use crate::id::ItemId;

/// How a configuration file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// TOML 1.1.
    Toml,
    /// `[section]`, `key = value`, `;` and `#` comments.
    Ini,
    /// Java properties.
    Properties,
    /// XML: elements and attributes.
    Xml,
    /// JSON with comments allowed.
    Json,
    /// YAML 1.2.
    Yaml,
    /// systemd's environment files.
    Env,
    /// `key value` or `key = value` per line.
    Keyvalue,
}

impl Format {
    /// The readers of this format, the one taken without `reader` first.
    pub const fn readers(self) -> &'static [Reader] {
        match self {
            Format::Toml | Format::Json => &[Reader::Strict],
            Format::Ini => &[
                Reader::Strict,
                Reader::Configparser,
                Reader::Git,
                Reader::Glib,
                Reader::Mariadb,
                Reader::Systemd,
                Reader::Windows,
            ],
            Format::Properties => &[Reader::Java],
            Format::Xml => &[Reader::Expat],
            Format::Yaml => &[Reader::Strict, Reader::Pyyaml, Reader::Snakeyaml],
            Format::Env => &[Reader::Systemd],
            Format::Keyvalue => &[Reader::Postgresql],
        }
    }
}

/// The implementation whose rules a configuration file is read by; `docs/readers.md` has a page for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reader {
    /// Of ini and yaml all readers known: a value counts where those that take the file agree. Of toml and
    /// json the specification.
    Strict,
    /// Python's `configparser.ConfigParser` as it comes.
    Configparser,
    /// `git config --file`.
    Git,
    /// GLib's `GKeyFile`.
    Glib,
    /// MariaDB's option files, as `my_print_defaults` shows them.
    Mariadb,
    /// systemd's unit files and environment files.
    Systemd,
    /// Windows' `GetPrivateProfileStringW`.
    Windows,
    /// `java.util.Properties.load(Reader)`.
    Java,
    /// Expat, as it comes.
    Expat,
    /// `PyYAML`'s `safe_load`.
    Pyyaml,
    /// `SnakeYAML`'s `SafeConstructor`.
    Snakeyaml,
    /// PostgreSQL's `postgresql.conf`.
    Postgresql,
}

impl Reader {
    /// All of them, with the text a baseline writes.
    pub const ALL: [(&'static str, Reader); 12] = [
        ("strict", Reader::Strict),
        ("configparser", Reader::Configparser),
        ("git", Reader::Git),
        ("glib", Reader::Glib),
        ("mariadb", Reader::Mariadb),
        ("systemd", Reader::Systemd),
        ("windows", Reader::Windows),
        ("java", Reader::Java),
        ("expat", Reader::Expat),
        ("pyyaml", Reader::Pyyaml),
        ("snakeyaml", Reader::Snakeyaml),
        ("postgresql", Reader::Postgresql),
    ];

    /// As a baseline writes it.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, reader)| *reader == self).map_or("", |(text, _)| text)
    }
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a configuration file's bytes are text. Without one: byte order mark, then UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Encoding {
    /// Shift_JIS as Windows writes it (code page 932).
    #[serde(rename = "shift_jis")]
    ShiftJis,
    /// EUC-JP.
    #[serde(rename = "euc-jp")]
    EucJp,
    /// UTF-16 by byte order mark, little-endian without one.
    #[serde(rename = "utf-16")]
    Utf16,
}

/// When a program reads its configuration again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reload {
    /// Only when it starts: a file changed after that is not in force.
    #[default]
    Restart,
    /// By itself.
    Live,
}

/// `[[config]]`: layered files, of which the later wins (or the first, with `first_wins`).
#[derive(Clone, Debug)]
pub struct Config {
    /// Its id; an item's where it is pinned.
    pub id: ItemId,
    /// Absolute paths, lowest layer first; `*` and `?` in the last component, matches in byte order.
    pub files: Vec<String>,
    /// How the files are written.
    pub format: Format,
    /// By whose rules they are read; one of [`Format::readers`].
    pub reader: Reader,
    /// How their bytes are text.
    pub encoding: Option<Encoding>,
    /// Which hosts have it.
    pub concerns: Concerns,
    /// When a change of it is in force.
    pub reload: Reload,
    /// The program that reads it, for [`Reload::Restart`]; with none, every program of the host.
    pub program: Option<ItemId>,
    /// Values leave the host only as digests keyed with a key of the host.
    pub sensitive: bool,
    /// Within one file and across layers the first value wins, not the last.
    pub first_wins: bool,
    /// The only contents allowed, if not empty: digests of [`crate::evidence::ConfigContent`].
    pub pinned: Vec<Digest>,
    /// As of any item; used where it is pinned.
    pub about: About,
}
