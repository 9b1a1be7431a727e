//! How many descriptors the process may have, and what they are kept for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For the store, the repository's files and whatever libraries open.
const FILES: usize = 192;
/// For the operators' own listener, where there is one.
pub const OPERATORS_LISTENER_MAX: usize = 256;
/// Connections of operators at once.
const OPERATORS_MAX: usize = 512;
/// Connections of hosts at once.
const HOSTS_MAX: usize = 16_384;
/// Connections at once of those who have shown neither token, session nor enrolled key.
const STRANGERS_MAX: usize = 4_096;

/// Connections at once, by what they have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// An operator's token.
    pub operators: usize,
    /// A host's session or a document with its key.
    pub hosts: usize,
    /// Nothing.
    pub strangers: usize,
}

impl Plan {
    /// All connections together.
    pub fn total(&self) -> usize {
        self.operators + self.hosts + self.strangers
    }

    /// Of so many descriptors. With few of them everybody gets less, and nobody's part goes to another.
    pub fn of(descriptors: u64) -> Self {
        let kept = FILES + OPERATORS_LISTENER_MAX;
        let free = usize::try_from(descriptors).unwrap_or(usize::MAX).saturating_sub(kept);
        let operators = OPERATORS_MAX.min(free / 8).max(8);
        let strangers = STRANGERS_MAX.min(free / 4).max(16);
        let hosts = HOSTS_MAX.min(free.saturating_sub(operators + strangers)).max(16);
        Self { operators, hosts, strangers }
    }
}

/// Raises the limit as far as the system lets it and says what it is.
pub fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // Some systems set no limit at all; what is never opened costs nothing.
    let most = limit.maximum.unwrap_or(1 << 20);
    let now = limit.current.unwrap_or(most);
    if now >= most || setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum }).is_err() {
        return now;
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_limit_everybody_has_a_part_and_the_files_too() {
        for descriptors in [1024, 4096, 20_000, 65_536, u64::MAX] {
            let plan = Plan::of(descriptors);
            assert!(plan.operators >= 8 && plan.strangers >= 16 && plan.hosts >= 16, "{plan:?}");
            let all = (plan.total() + FILES + OPERATORS_LISTENER_MAX) as u64;
            assert!(all <= descriptors, "{descriptors}: {plan:?}");
        }
        assert_eq!(Plan::of(65_536), Plan { operators: 512, hosts: 16_384, strangers: 4_096 });
    }
}
