//! Limits of the kernel that a whole fleet on one machine meets.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// One limit of inotify, which Linux counts per user.
struct Limit {
    path: &'static str,
    /// What an agent needs of it.
    per_agent: u64,
    /// What the rest of the user's programs may need.
    spare: u64,
}

const INOTIFY: [Limit; 2] = [
    Limit { path: "/proc/sys/fs/inotify/max_user_instances", per_agent: 2, spare: 128 },
    Limit { path: "/proc/sys/fs/inotify/max_user_watches", per_agent: 200, spare: 65_536 },
];

/// Limits raised for a fleet; put back when dropped.
#[derive(Default)]
pub struct Raised(Vec<(&'static str, u64)>);

/// What could not be raised, and the command that does.
#[derive(Debug)]
pub struct TooLow {
    /// The limits, as `sysctl -w` takes them.
    pub sysctl: String,
}

/// Raises what `agents` agents need where it is less, if the kernel lets us.
///
/// # Errors
/// [`TooLow`] if not: agents then look at their files in short passes, and say so.
pub fn raise_inotify(agents: u64) -> Result<Raised, TooLow> {
    let mut raised = Raised::default();
    let mut missing = Vec::new();
    for limit in &INOTIFY {
        let wanted = agents * limit.per_agent + limit.spare;
        let now = fs::read_to_string(limit.path).ok().and_then(|text| text.trim().parse::<u64>().ok());
        match now {
            Some(now) if now >= wanted => {}
            Some(now) if fs::write(limit.path, wanted.to_string()).is_ok() => raised.0.push((limit.path, now)),
            _ => missing.push(format!("{}={wanted}", limit.path.trim_start_matches("/proc/sys/").replace('/', "."))),
        }
    }
    if missing.is_empty() { Ok(raised) } else { Err(TooLow { sysctl: format!("sysctl -w {}", missing.join(" ")) }) }
}

impl Raised {
    /// What was raised, in words; nothing if nothing was.
    pub fn note(&self) -> Option<String> {
        let names: Vec<&str> = self.0.iter().filter_map(|(path, _)| path.rsplit('/').next()).collect();
        (!names.is_empty()).then(|| format!("raised {} for the fleet; put back at the end", names.join(" and ")))
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        for (path, before) in &self.0 {
            // Nobody is left to tell; the value is a limit, not a state.
            let _ = fs::write(path, before.to_string());
        }
    }
}

/// Raises this process's soft limit of open files to the hard one; children inherit it.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
