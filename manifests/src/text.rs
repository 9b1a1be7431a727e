//! Text for people, in English and Japanese, from the Fluent files in `manifests/locale`.
//!
//! The texts are compiled in. Keys: `reason-CODE` (with the attributes `.short` and `.action`),
//! `warning-CODE` (likewise), `outcome-…`, `verdict-…`, `standing-…`, `kind-…`, `gate-…` and those of the screens. A key
//! nobody wrote a text for comes back as it is: an odd word on the screen, never a failure.

use std::borrow::Cow;
use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use unic_langid::LanguageIdentifier;

use crate::baseline::Localized;
use crate::reason::{Code, Reason};
use crate::warning::Warning;

/// A language that people are spoken to in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Japanese.
    Ja,
}

impl Lang {
    /// From a locale as systems write it: `ja_JP.UTF-8`, `ja-JP`, `ja`. Anything else is English.
    pub fn from_tag(tag: &str) -> Self {
        let language = tag.split(['_', '-', '.', '@']).next().unwrap_or_default();
        if language.eq_ignore_ascii_case("ja") { Lang::Ja } else { Lang::En }
    }

    /// `en` or `ja`.
    pub const fn tag(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::Ja => "ja",
        }
    }
}

/// A value that a text names, as `{ $count }`.
#[derive(Clone, Debug)]
pub enum Argument<'a> {
    /// Goes in as it is. What came from outside is escaped where it is shown, not here.
    Text(Cow<'a, str>),
    /// Decides between singular and plural.
    Number(u64),
}

impl<'a> From<&'a str> for Argument<'a> {
    fn from(text: &'a str) -> Self {
        Argument::Text(text.into())
    }
}

impl From<String> for Argument<'_> {
    fn from(text: String) -> Self {
        Argument::Text(text.into())
    }
}

impl From<u64> for Argument<'_> {
    fn from(number: u64) -> Self {
        Argument::Number(number)
    }
}

impl From<u32> for Argument<'_> {
    fn from(number: u32) -> Self {
        Argument::Number(number.into())
    }
}

impl From<usize> for Argument<'_> {
    fn from(number: usize) -> Self {
        Argument::Number(u64::try_from(number).unwrap_or(u64::MAX))
    }
}

impl<'a> From<Argument<'a>> for FluentValue<'a> {
    fn from(value: Argument<'a>) -> Self {
        match value {
            Argument::Text(text) => FluentValue::String(text),
            Argument::Number(number) => FluentValue::from(number),
        }
    }
}

const EN: &[&str] = &[
    include_str!("../locale/en/reasons.ftl"),
    include_str!("../locale/en/outcomes.ftl"),
    include_str!("../locale/en/gate.ftl"),
    include_str!("../locale/en/screen.ftl"),
];
const JA: &[&str] = &[
    include_str!("../locale/ja/reasons.ftl"),
    include_str!("../locale/ja/outcomes.ftl"),
    include_str!("../locale/ja/gate.ftl"),
    include_str!("../locale/ja/screen.ftl"),
];

// Constants that have to be parsed; they hold no state.
static EN_TEXTS: LazyLock<FluentBundle<FluentResource>> = LazyLock::new(|| bundle(Lang::En, EN));
static JA_TEXTS: LazyLock<FluentBundle<FluentResource>> = LazyLock::new(|| bundle(Lang::Ja, JA));

fn bundle(lang: Lang, sources: &[&str]) -> FluentBundle<FluentResource> {
    let language: LanguageIdentifier = lang.tag().parse().unwrap_or_default();
    let mut bundle = FluentBundle::new_concurrent(vec![language]);
    // Isolating marks are invisible characters, which logs and terminals show as rubbish.
    bundle.set_use_isolating(false);
    for source in sources {
        // A fault in one line must not take the other texts away; a test finds it.
        let resource = FluentResource::try_new((*source).to_owned()).unwrap_or_else(|(resource, _)| resource);
        bundle.add_resource_overriding(resource);
    }
    bundle
}

/// The text of `key`, or of one of its attributes as `reason-stale.action`; the key itself if there is none.
pub fn text(lang: Lang, key: &str) -> String {
    text_with(lang, key, &[])
}

/// [`text`] with values for its variables. A variable that is not given shows by its name.
pub fn text_with(lang: Lang, key: &str, values: &[(&str, Argument<'_>)]) -> String {
    let bundle = match lang {
        Lang::En => &*EN_TEXTS,
        Lang::Ja => &*JA_TEXTS,
    };
    let (message, attribute) = match key.split_once('.') {
        Some((message, attribute)) => (message, Some(attribute)),
        None => (key, None),
    };
    let pattern = bundle.get_message(message).and_then(|message| match attribute {
        Some(name) => message.get_attribute(name).map(|attribute| attribute.value()),
        None => message.value(),
    });
    let Some(pattern) = pattern else { return key.to_owned() };
    let arguments: FluentArgs<'_> = values.iter().map(|(name, value)| (*name, value.clone())).collect();
    bundle.format_pattern(pattern, Some(&arguments), &mut Vec::new()).into_owned()
}

/// A reason in one sentence, with its item or host where it names one.
pub fn reason(lang: Lang, reason: &Reason) -> String {
    let sentence = text(lang, &format!("reason-{}", reason.code));
    let about: Vec<&str> = [reason.item.as_ref().map(|i| i.as_str()), reason.host.as_ref().map(|h| h.as_str())]
        .into_iter()
        .flatten()
        .collect();
    if about.is_empty() {
        return sentence;
    }
    text_with(lang, "reason-about", &[("sentence", sentence.into()), ("about", about.join(", ").into())])
}

/// A reason in a few words, for a table.
pub fn reason_short(lang: Lang, code: Code) -> String {
    text(lang, &format!("reason-{code}.short"))
}

/// What to do about a reason, where the item itself does not say it.
pub fn reason_action(lang: Lang, code: Code) -> String {
    text(lang, &format!("reason-{code}.action"))
}

/// A warning as a sentence, with its item.
pub fn warning(lang: Lang, warning: &Warning) -> String {
    let sentence = text(lang, &format!("warning-{}", warning.code));
    text_with(lang, "reason-about", &[("sentence", sentence.into()), ("about", warning.item.as_str().into())])
}

/// A warning in a few words, for a table.
pub fn warning_short(lang: Lang, warning: &Warning) -> String {
    let key = format!("warning-{}.short", warning.code);
    let short = text(lang, &key);
    // Of a code of a later version there are no words here.
    let short = if short == key { warning.code.to_string() } else { short };
    format!("{short} {}", warning.item)
}

/// What to do about a warning; nothing is known of a code of a later version.
pub fn warning_action(lang: Lang, warning: &Warning) -> Option<String> {
    let key = format!("warning-{}.action", warning.code);
    Some(text(lang, &key)).filter(|action| *action != key)
}

impl Localized {
    /// The text in `lang`; English where nobody wrote it in Japanese.
    pub fn text(&self, lang: Lang) -> &str {
        match (lang, &self.ja) {
            (Lang::Ja, Some(ja)) => ja,
            (Lang::Ja, None) | (Lang::En, _) => &self.en,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::warning::WarningCode;
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::api::Standing;
    use crate::outcome::{ItemKind, Outcome, Verdict};

    /// Every key (attributes as `key.attribute`) with its variables, read line by line: the parser
    /// that the product uses drops what it cannot read, and this must find just that.
    fn keys(sources: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
        let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut message = String::new();
        let mut key = String::new();
        for line in sources.iter().flat_map(|source| source.lines()) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some((name, _)) = line.split_once(" = ").filter(|_| !line.starts_with(' ')) {
                message = name.to_owned();
                key = message.clone();
                assert!(keys.insert(key.clone(), BTreeSet::new()).is_none(), "{key} stands twice");
            } else if let Some((name, _)) = line.trim_start().strip_prefix('.').and_then(|rest| rest.split_once(" = "))
            {
                key = format!("{message}.{name}");
                assert!(keys.insert(key.clone(), BTreeSet::new()).is_none(), "{key} stands twice");
            }
            for rest in line.split('$').skip(1) {
                let end =
                    rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).unwrap_or(rest.len());
                keys.get_mut(&key).unwrap().insert(rest[..end].to_owned());
            }
        }
        keys
    }

    #[test]
    fn both_languages_have_the_same_keys_and_variables() {
        let (en, ja) = (keys(EN), keys(JA));
        assert!(en.len() > 100);
        for (key, variables) in &en {
            assert_eq!(ja.get(key), Some(variables), "{key} in Japanese");
        }
        for key in ja.keys() {
            assert!(en.contains_key(key), "{key} in English");
        }
    }

    #[test]
    fn every_text_parses_and_says_something() {
        for (lang, sources) in [(Lang::En, EN), (Lang::Ja, JA)] {
            for source in sources {
                if let Err((_, errors)) = FluentResource::try_new((*source).to_owned()) {
                    panic!("{lang:?}: {errors:?}");
                }
            }
            for (key, variables) in keys(sources) {
                let values: Vec<_> = variables.iter().map(|name| (name.as_str(), Argument::Number(2))).collect();
                let text = text_with(lang, &key, &values);
                assert!(!text.is_empty() && text != key && !text.contains(['{', '$', '\u{2068}']), "{key}: {text}");
            }
        }
    }

    #[test]
    fn every_code_of_the_wire_has_its_texts() {
        let mut wanted: Vec<String> = Vec::new();
        for code in Code::ALL {
            wanted.extend(["", ".short", ".action"].map(|part| format!("reason-{code}{part}")));
        }
        wanted.extend(crate::evidence::Odd::ALL.iter().map(|(code, _)| format!("odd-{code}")));
        for code in WarningCode::ALL {
            wanted.extend(["", ".short", ".action"].map(|part| format!("warning-{code}{part}")));
        }
        wanted.extend(OUTCOMES.iter().map(|v| named("outcome", v)));
        wanted.extend([Verdict::Issue, Verdict::Hold].iter().map(|v| named("verdict", v)));
        wanted.extend(
            [Standing::Held, Standing::Silent, Standing::Lapsed, Standing::Stopped, Standing::Verified]
                .iter()
                .map(|v| named("standing", v)),
        );
        wanted.extend(
            [ItemKind::Fix, ItemKind::Lock, ItemKind::Setting, ItemKind::Program, ItemKind::Config]
                .iter()
                .map(|v| named("kind", v)),
        );
        for key in wanted {
            for lang in [Lang::En, Lang::Ja] {
                assert_ne!(text(lang, &key), key, "{lang:?}");
            }
        }
    }

    const OUTCOMES: &[Outcome] = &[
        Outcome::NotApplicable,
        Outcome::Applied,
        Outcome::Waived,
        Outcome::Pending,
        Outcome::NoFix,
        Outcome::Unknown,
        Outcome::Absent,
        Outcome::Ambiguous,
        Outcome::Drifted,
        Outcome::NotLoaded,
        Outcome::Missing,
        Outcome::WrongVariant,
        Outcome::Altered,
        Outcome::Denied,
        Outcome::Stale,
    ];

    fn named(prefix: &str, value: &impl serde::Serialize) -> String {
        format!("{prefix}-{}", serde_json::to_value(value).unwrap().as_str().unwrap())
    }

    #[test]
    fn a_locale_names_its_language() {
        for tag in ["ja", "ja_JP.UTF-8", "ja-JP", "JA_jp", "ja.eucJP", "ja@x"] {
            assert_eq!(Lang::from_tag(tag), Lang::Ja, "{tag}");
        }
        for tag in ["", "C", "C.UTF-8", "en_GB", "jav", "de_DE"] {
            assert_eq!(Lang::from_tag(tag), Lang::En, "{tag}");
        }
    }

    #[test]
    fn a_missing_key_comes_back_as_it_is() {
        for key in ["", "nobody-wrote-this", "reason-stale.nothing", ".", "a.b.c"] {
            assert_eq!(text(Lang::Ja, key), key);
        }
        assert!(text(Lang::En, "gate-until").contains("time"), "a variable that is not given shows by its name");
    }

    #[test]
    fn a_reason_names_its_item_and_host() {
        let item = "FIX-2019-0007".parse().unwrap();
        let about = Reason::item(Code::FixMissing, &item);
        assert_eq!(reason(Lang::En, &about), "A required fix is not on the disk. (FIX-2019-0007)");
        assert_eq!(reason(Lang::Ja, &about), "必要な修正が適用されていません。(FIX-2019-0007)");
        assert_eq!(reason(Lang::En, &Reason::of(Code::Stale)), text(Lang::En, "reason-stale"));
    }
}
