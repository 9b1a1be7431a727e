//! Every key: one table that both acts and is shown by the help.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Where a key is pressed. While the filter is typed, keys are text ([`crate::update`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The table of all sites.
    Fleet,
    /// One site.
    Site,
    /// The help, over either.
    Help,
}

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A row up.
    Up,
    /// A row down.
    Down,
    /// A screen up.
    PageUp,
    /// A screen down.
    PageDown,
    /// Half a screen up.
    HalfUp,
    /// Half a screen down.
    HalfDown,
    /// To the first row.
    First,
    /// To the last row.
    Last,
    /// Opens the chosen site.
    Open,
    /// Out of a site, a filter or the help; never out of the program.
    Back,
    /// Types a filter.
    Filter,
    /// The next state alone, or the next host.
    Next,
    /// The previous one.
    Previous,
    /// The next order.
    Sort,
    /// Asks the controller now.
    Refresh,
    /// Opens the help.
    Help,
    /// Ends the program.
    Quit,
}

/// One line of the table.
#[derive(Debug)]
pub struct Binding {
    /// Keys that do it, with Control or without; Shift is in the character.
    pub keys: &'static [(KeyCode, KeyModifiers)],
    /// Where.
    pub places: &'static [Place],
    /// What.
    pub action: Action,
    /// The keys in words.
    pub label: &'static str,
    /// Key of the text that explains it.
    pub text: &'static str,
    /// Whether the last line of the screen names it.
    pub hint: bool,
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CTRL: KeyModifiers = KeyModifiers::CONTROL;
const EVERYWHERE: &[Place] = &[Place::Fleet, Place::Site, Place::Help];
const PAGES: &[Place] = &[Place::Fleet, Place::Site];

const fn plain(character: char) -> (KeyCode, KeyModifiers) {
    (KeyCode::Char(character), NONE)
}

const fn control(character: char) -> (KeyCode, KeyModifiers) {
    (KeyCode::Char(character), CTRL)
}

macro_rules! bindings {
    ($($action:ident, $places:expr, [$($key:expr),*], $label:literal, $text:literal, $hint:literal;)*) => {
        /// All of them, in the order of the help. The first that fits counts.
        pub const BINDINGS: &[Binding] = &[$(Binding {
            keys: &[$($key),*], places: $places, action: Action::$action, label: $label, text: $text, hint: $hint,
        }),*];
    };
}

bindings! {
    Up, EVERYWHERE, [(KeyCode::Up, NONE), plain('k')], "Up k", "key-up", false;
    Down, EVERYWHERE, [(KeyCode::Down, NONE), plain('j')], "Down j", "key-down", false;
    PageUp, EVERYWHERE, [(KeyCode::PageUp, NONE), control('b')], "PgUp Ctrl-b", "key-page-up", false;
    PageDown, EVERYWHERE, [(KeyCode::PageDown, NONE), control('f')], "PgDn Ctrl-f", "key-page-down", false;
    HalfUp, EVERYWHERE, [control('u')], "Ctrl-u", "key-half-up", false;
    HalfDown, EVERYWHERE, [control('d')], "Ctrl-d", "key-half-down", false;
    First, EVERYWHERE, [(KeyCode::Home, NONE), plain('g')], "Home g", "key-first", false;
    Last, EVERYWHERE, [(KeyCode::End, NONE), plain('G')], "End G", "key-last", false;
    Open, &[Place::Fleet], [(KeyCode::Enter, NONE), (KeyCode::Right, NONE), plain('l')], "Enter Right l", "key-open", true;
    Back, &[Place::Site], [(KeyCode::Esc, NONE), (KeyCode::Left, NONE), plain('h')], "Esc Left h", "key-back", true;
    Back, &[Place::Fleet], [(KeyCode::Esc, NONE)], "Esc", "key-clear", false;
    Back, &[Place::Help], [(KeyCode::Esc, NONE), plain('q'), plain('?')], "Esc q ?", "key-close", false;
    Filter, &[Place::Fleet], [plain('/')], "/", "key-filter", true;
    Next, &[Place::Fleet], [(KeyCode::Tab, NONE)], "Tab", "key-cycle", true;
    Previous, &[Place::Fleet], [(KeyCode::BackTab, NONE)], "Shift-Tab", "key-cycle-back", false;
    Next, &[Place::Site], [(KeyCode::Tab, NONE)], "Tab", "key-next-host", true;
    Previous, &[Place::Site], [(KeyCode::BackTab, NONE)], "Shift-Tab", "key-previous-host", false;
    Sort, &[Place::Fleet], [plain('s')], "s", "key-sort", true;
    Refresh, PAGES, [plain('r')], "r", "key-refresh", false;
    Help, PAGES, [plain('?')], "?", "key-help", true;
    Quit, PAGES, [plain('q')], "q", "key-quit", true;
    Quit, EVERYWHERE, [control('c')], "Ctrl-c", "key-quit", false;
}

/// What `key` does at `place`.
pub fn action(place: Place, key: KeyEvent) -> Option<Action> {
    // A terminal may or may not name Shift for `G` and `?`: the character itself has it already.
    let pressed = (key.code, key.modifiers.difference(KeyModifiers::SHIFT));
    bindings_at(place).find(|binding| binding.keys.contains(&pressed)).map(|binding| binding.action)
}

/// What works at `place`.
pub fn bindings_at(place: Place) -> impl Iterator<Item = &'static Binding> {
    BINDINGS.iter().filter(move |binding| binding.places.contains(&place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_one_thing_in_one_place() {
        for place in [Place::Fleet, Place::Site, Place::Help] {
            let keys: Vec<_> = bindings_at(place).flat_map(|binding| binding.keys).collect();
            for (index, key) in keys.iter().enumerate() {
                assert!(!keys[..index].contains(key), "{place:?} {key:?} twice");
            }
        }
    }

    #[test]
    fn escape_never_quits_and_q_in_the_help_only_closes_it() {
        let key = |code| KeyEvent::new(code, NONE);
        for place in [Place::Fleet, Place::Site, Place::Help] {
            assert_eq!(action(place, key(KeyCode::Esc)), Some(Action::Back));
        }
        assert_eq!(action(Place::Help, key(KeyCode::Char('q'))), Some(Action::Back));
        assert_eq!(action(Place::Fleet, key(KeyCode::Char('q'))), Some(Action::Quit));
        assert_eq!(action(Place::Help, KeyEvent::new(KeyCode::Char('c'), CTRL)), Some(Action::Quit));
        assert_eq!(action(Place::Fleet, KeyEvent::new(KeyCode::Char('G'), KeyModifiers::SHIFT)), Some(Action::Last));
    }
}
