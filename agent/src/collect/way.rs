//! The way to a file: every directory and symbolic link that is gone through, with its own times.
//!
//! A file that was not touched since a process began can still be another one than the process found at
//! its path: a link may have been switched, a directory exchanged, something mounted over it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::FileType;

use crate::collect::index::Stamp;
use crate::collect::process::{PROC_BYTES_MAX, read_proc};
use crate::collect::read;

/// Symbolic links followed on one way, as the kernel bounds them.
const LINKS_MAX: usize = 40;
/// The most places remembered at which something was mounted: beyond it nothing is known of the time before.
const GONE_MAX: usize = 4096;
/// The most that is read of the table of file systems to mount at boot.
const FSTAB_BYTES_MAX: usize = 1 << 20;

/// One step of a way: a directory, a link, or the file at its end.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Where it is, links before it followed.
    pub(crate) place: PathBuf,
    pub(crate) kind: FileType,
    pub(crate) stamp: Stamp,
}

/// The way to a path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    /// All steps, from the root on.
    pub(crate) steps: Vec<Step>,
    /// The directory in which the next step is missing, if the way does not lead to anything.
    pub(crate) ends_in: Option<PathBuf>,
}

impl Way {
    /// Goes it now.
    pub(crate) fn to(path: &Path) -> Self {
        let mut way = Self::default();
        let mut resolved = PathBuf::from("/");
        let mut rest = names(path);
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name.as_bytes() == b".." {
                resolved.pop();
                continue;
            }
            let next = resolved.join(&name);
            let Ok(stat) = rustix::fs::lstat(&next) else {
                way.ends_in = Some(resolved);
                return way;
            };
            let kind = FileType::from_raw_mode(stat.st_mode);
            way.steps.push(Step { place: next.clone(), kind, stamp: Stamp::from(&stat) });
            if kind != FileType::Symlink {
                resolved = next;
                continue;
            }
            links += 1;
            let target = std::fs::read_link(&next).ok().filter(|_| links <= LINKS_MAX);
            let Some(target) = target else {
                way.ends_in = Some(resolved);
                return way;
            };
            if target.is_absolute() {
                resolved = PathBuf::from("/");
            }
            for name in names(&target).into_iter().rev() {
                rest.push_front(name);
            }
        }
        way
    }

    /// Where it leads, if it leads anywhere.
    pub(crate) fn end(&self) -> Option<&Step> {
        self.steps.last().filter(|step| self.ends_in.is_none() && step.kind != FileType::Symlink)
    }
}

/// The path's names without `.` and root; `..` is kept, for it depends on where links lead.
fn names(path: &Path) -> VecDeque<OsString> {
    let name = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        _ => None,
    };
    path.components().filter_map(name).collect()
}

/// Ways that were gone in one pass.
#[derive(Default)]
pub(crate) struct Ways(HashMap<PathBuf, Way>);

impl Ways {
    pub(crate) fn to(&mut self, path: &Path) -> &Way {
        self.0.entry(path.to_owned()).or_insert_with(|| Way::to(path))
    }
}

/// One mount: `id parent major:minor root point` of `/proc/self/mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Mount {
    id: u32,
    device: u64,
    root: Vec<u8>,
    point: PathBuf,
}

/// Mounts, and boot clock since when each is known to be there, in nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Mounts {
    known: BTreeMap<Mount, i128>,
    /// Where something was mounted that is not there any more, and boot clock by which the last of it had gone.
    gone: BTreeMap<PathBuf, i128>,
    /// Of mounts that had gone by then not every place is known.
    lost_ns: i128,
    at_boot: Vec<PathBuf>,
}

impl Mounts {
    /// Looks again. What is new is dated `now_ns`.
    pub(crate) fn look(&mut self, now_ns: i128) {
        let text = read_proc("/proc/self/mountinfo", PROC_BYTES_MAX).unwrap_or_default();
        let mounts = text.split(|byte| *byte == b'\n').filter_map(mount);
        let now: BTreeMap<Mount, i128> =
            mounts.map(|mount| (mount.clone(), self.known.get(&mount).copied().unwrap_or(now_ns))).collect();
        let gone = self.known.keys().filter(|mount| !now.contains_key(*mount)).map(|mount| mount.point.clone());
        self.gone.extend(gone.map(|point| (point, now_ns)));
        while self.gone.len() > GONE_MAX {
            let Some(oldest) = self.gone.iter().min_by_key(|(_, gone_ns)| **gone_ns) else { break };
            let (point, gone_ns) = (oldest.0.clone(), *oldest.1);
            self.gone.remove(&point);
            self.lost_ns = self.lost_ns.max(gone_ns);
        }
        self.known = now;
        if self.at_boot.is_empty() {
            let table = std::fs::read("/etc/fstab").unwrap_or_default();
            let table =
                String::from_utf8_lossy(table.get(..table.len().min(FSTAB_BYTES_MAX)).unwrap_or_default()).into_owned();
            let points = table.lines().filter(|line| !line.trim_start().starts_with('#'));
            let points = points.filter_map(|line| line.split_ascii_whitespace().nth(1));
            self.at_boot = points.map(PathBuf::from).chain([PathBuf::from("/")]).collect();
        }
    }

    /// Whether every mount that a way goes through was there before `since_ns`. `devices` are those of
    /// file systems that the process has something from.
    pub(crate) fn were_there(&self, way: &Way, since_ns: i128, devices: &[u64]) -> bool {
        let lies_on = |point: &Path| way.steps.iter().any(|step| step.place.starts_with(point));
        // What was mounted there when the process began may have been what it has read.
        if self.lost_ns > since_ns || self.gone.iter().any(|(point, gone_ns)| *gone_ns > since_ns && lies_on(point)) {
            return false;
        }
        self.known.iter().filter(|(mount, _)| lies_on(&mount.point)).all(|(mount, known_ns)| {
            let whole = mount.root == b"/";
            *known_ns <= since_ns || whole && (self.at_boot.contains(&mount.point) || devices.contains(&mount.device))
        })
    }

    /// What is known, to be kept.
    pub(crate) fn known(&self) -> impl Iterator<Item = (&Mount, i128)> {
        self.known.iter().map(|(mount, since_ns)| (mount, *since_ns))
    }

    /// Where something was mounted that has gone, and by when; and by when others had gone of which that is not
    /// known. To be kept.
    pub(crate) fn gone(&self) -> (impl Iterator<Item = (&Path, i128)>, i128) {
        (self.gone.iter().map(|(point, gone_ns)| (point.as_path(), *gone_ns)), self.lost_ns)
    }

    /// What was kept.
    pub(crate) fn recalled(
        known: impl IntoIterator<Item = (Mount, i128)>,
        gone: impl IntoIterator<Item = (PathBuf, i128)>,
        lost_ns: i128,
    ) -> Self {
        let (known, gone) = (known.into_iter().collect(), gone.into_iter().collect());
        Self { known, gone, lost_ns, at_boot: Vec::new() }
    }
}

impl Mount {
    pub(crate) fn from_parts(id: u32, device: u64, root: Vec<u8>, point: PathBuf) -> Self {
        Self { id, device, root, point }
    }

    pub(crate) fn parts(&self) -> (u32, u64, &[u8], &Path) {
        (self.id, self.device, &self.root, &self.point)
    }
}

fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let (major, minor) = std::str::from_utf8(fields.nth(1)?).ok()?.split_once(':')?;
    let device = rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?);
    let root = super::process::unescape_mount(fields.next()?);
    let point = PathBuf::from(OsStr::from_bytes(&super::process::unescape_mount(fields.next()?)));
    Some(Mount { id, device, root, point })
}

/// Wall clock against boot clock over time: a clock that was set makes times of files and starts of
/// processes incomparable across the step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offsets(Vec<(i128, i128)>);

/// A smaller change is the clock being slewed.
const STEP_NS: i128 = 5_000_000;
/// The most steps remembered.
const STEPS_MAX: usize = 64;

impl Offsets {
    /// Notes the clocks as they are.
    pub(crate) fn look(&mut self) {
        self.note(read::boot_ns(), read::wall_ns() - read::boot_ns());
    }

    fn note(&mut self, boot_ns: i128, offset_ns: i128) {
        if self.0.last().is_none_or(|(_, known)| (known - offset_ns).abs() > STEP_NS) {
            if self.0.len() >= STEPS_MAX {
                self.0.remove(1);
            }
            self.0.push((boot_ns, offset_ns));
        }
    }

    /// The earliest wall clock time that a file can bear which was changed after this moment.
    pub(crate) fn wall(&self, boot_ns: i128) -> i128 {
        let began = self.0.iter().rposition(|(since, _)| *since <= boot_ns).unwrap_or(0);
        let lowest = self.0.iter().skip(began).map(|(_, offset)| *offset).min();
        boot_ns + lowest.unwrap_or_else(|| read::wall_ns() - read::boot_ns())
    }

    /// What is known, to be kept.
    pub(crate) fn known(&self) -> Vec<(i128, i128)> {
        self.0.clone()
    }

    /// Takes up what was kept.
    pub(crate) fn recall(&mut self, known: Vec<(i128, i128)>) {
        self.0 = known.into_iter().take(STEPS_MAX).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_has_every_link_and_directory_and_tells_where_it_ends() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("real/etc")).unwrap();
        std::fs::write(base.join("real/etc/a"), "").unwrap();
        std::os::unix::fs::symlink("real", base.join("link")).unwrap();
        std::os::unix::fs::symlink("../etc/a", base.join("real/etc/b")).unwrap();
        let way = Way::to(&base.join("link/etc/b"));
        let places: Vec<_> = way.steps.iter().filter_map(|step| step.place.strip_prefix(&base).ok()).collect();
        assert_eq!(
            places
                .iter()
                .filter(|place| !place.as_os_str().is_empty())
                .map(|place| place.to_str().unwrap())
                .collect::<Vec<_>>(),
            ["link", "real", "real/etc", "real/etc/b", "real/etc", "real/etc/a"]
        );
        assert_eq!(way.end().map(|step| step.place.clone()), Some(base.join("real/etc/a")));
        let lost = Way::to(&base.join("link/none/b"));
        assert_eq!((lost.end().is_none(), lost.ends_in), (true, Some(base.join("real"))));
    }

    #[test]
    fn a_clock_that_was_set_makes_nothing_look_older_than_it_is() {
        let mut offsets = Offsets::default();
        offsets.note(0, 1_000_000_000);
        offsets.note(50, 9_000_000_000);
        // Before the step files bore times of the clock before it.
        assert_eq!(offsets.wall(10), 1_000_000_010);
        assert_eq!(offsets.wall(60), 9_000_000_060);
        offsets.note(90, 2_000_000_000);
        assert_eq!(offsets.wall(60), 2_000_000_060);
    }
}
