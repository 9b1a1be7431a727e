//! The user's language and characters.

use manifests::text::Lang;

/// Whether the terminal takes UTF-8, as the first of `LC_ALL`, `LC_CTYPE` and `LANG` that is set has it
/// (POSIX.1-2017, 8.2). Without any of them the locale is `C`, which has ASCII alone.
pub fn is_utf8() -> bool {
    is_utf8_by(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
}

fn is_utf8_by(variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &&str| variable(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set).unwrap_or_default();
    let characters = locale.split('.').nth(1).unwrap_or_default();
    let characters = characters.split('@').next().unwrap_or_default();
    characters.eq_ignore_ascii_case("utf-8") || characters.eq_ignore_ascii_case("utf8")
}

/// The language to speak to the user: English where the terminal could not show another.
pub fn lang() -> Lang {
    if is_utf8() { Lang::from_tag(&sys_locale::get_locale().unwrap_or_default()) } else { Lang::En }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(set: &[(&str, &str)]) -> bool {
        is_utf8_by(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_first_variable_that_is_set_says_which_characters_there_are() {
        assert!(with(&[("LANG", "ja_JP.UTF-8")]) && with(&[("LC_ALL", "C.utf8"), ("LANG", "ja_JP.eucJP")]));
        assert!(with(&[("LC_ALL", ""), ("LC_CTYPE", "de_DE.UTF-8@euro")]));
        assert!(!with(&[]) && !with(&[("LANG", "C")]) && !with(&[("LC_ALL", "POSIX"), ("LANG", "C.UTF-8")]));
        assert!(!with(&[("LANG", "ja_JP.eucJP")]) && !with(&[("LANG", "ja_JP")]));
    }
}
