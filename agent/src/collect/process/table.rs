//! Every process of the host, by the image that it runs.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use manifests::digest::Digest;
use manifests::evidence::Why;
use manifests::id::ItemId;
use rustix::io::Errno;

use super::image::{self, Executed, Identity, Inspected, Key};
use super::maps::Mapped;
use super::owner::{Others, Owner, Spec, Tie};
use super::probe::Probe;
use super::stat::{Stat, Stats, stat};
use super::{TICK_NS, read_proc, sockets};
use crate::collect::read;

/// An image without a process is kept for so many refreshes: a fork of it may just be beginning.
const EMPTY_REFRESHES: u8 = 3;
/// The longest line of parents that is followed.
const ANCESTORS_MAX: usize = 64;
/// The first PID namespace of the kernel (`PROC_PID_INIT_INO`).
const FIRST_NAMESPACE: &[u8] = b"pid:[4026531836]";
/// CAP_SYS_PTRACE.
const MAY_TRACE: u64 = 1 << 19;
/// Address space randomisation is off for the process (`ADDR_NO_RANDOMIZE`).
const NOT_RANDOM: u32 = 0x0004_0000;

/// The images of a baseline's programs that run, as far as a difference asks for a new look: who they
/// are, whether something could not be told, and who listens on the programs' addresses.
///
/// Not evidence: it differs between equal hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processes {
    images: BTreeSet<(ItemId, Key, bool)>,
    unseen: bool,
    sockets: BTreeSet<u64>,
}

impl Processes {
    /// How many images of the program there are.
    pub fn count(&self, program: &ItemId) -> usize {
        self.images.iter().filter(|(id, _, is_known)| id == program && *is_known).count()
    }
}

/// One process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) pid: i32,
    /// The number under which it is looked into: that of a thread where its main thread has ended.
    pub(crate) thread: i32,
    /// Ticks since boot.
    pub(crate) start: u64,
    parent: i32,
    address_space: u64,
}

/// An image and the processes that run it.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) key: Key,
    /// Boot clock before which it cannot have read anything, in nanoseconds.
    pub(crate) since_ns: i128,
    /// Boot clock when it was first seen.
    pub(crate) seen_ns: i128,
    pub(crate) members: Vec<Member>,
    inspected: Option<Inspected>,
    /// What its members map, and the sum of their address spaces then.
    mapped: Option<(u64, Result<Mapped, Why>)>,
    ties: BTreeMap<Owner, Tie>,
    empty: u8,
}

impl Image {
    /// What was found of it when it was first seen.
    pub(crate) fn inspected(&self) -> Option<&Inspected> {
        self.inspected.as_ref()
    }

    /// Its executable.
    pub(crate) fn exe(&self) -> Option<&Executed> {
        self.inspected.as_ref().and_then(|inspected| inspected.exe.as_ref().ok())
    }

    /// What it maps, as far as that is known.
    pub(crate) fn maps(&self) -> Option<&Mapped> {
        self.mapped.as_ref().and_then(|(_, mapped)| mapped.as_ref().ok())
    }

    pub(crate) fn tie(&self, owner: &Owner) -> Option<&Tie> {
        self.ties.get(owner)
    }

    /// Those to whom it is tied for good, to be kept.
    pub(crate) fn owners(&self) -> impl Iterator<Item = (&Owner, bool)> {
        let kept = |(owner, tie)| match tie {
            &Tie::Code => Some((owner, false)),
            &Tie::Copy(_) => Some((owner, true)),
            &Tie::Unknown(_) | &Tie::Stranger(_) => None,
        };
        self.ties.iter().filter_map(kept)
    }

    fn address_space(&self) -> u64 {
        self.members.iter().fold(0, |sum, member| sum.wrapping_add(member.address_space))
    }
}

/// An image that was known before this agent was started.
#[derive(Clone, Debug)]
pub(crate) struct Recalled {
    pub(crate) since_ns: i128,
    /// Whose it is, and whether as a copy.
    pub(crate) owners: Vec<(Owner, bool)>,
}

/// Every process of the host.
#[derive(Default)]
pub(crate) struct Table {
    images: BTreeMap<Key, Image>,
    processes: HashMap<i32, (Member, Key)>,
    recalled: BTreeMap<Key, Recalled>,
    /// Layouts that tell nothing, since the kernel does not draw them at random.
    not_random: HashSet<Key>,
    /// Boot clock when the newest refresh began.
    refreshed_ns: Option<i128>,
    stats: Stats,
    probe: Probe,
    unseen: Option<Unseen>,
    addresses: Vec<SocketAddr>,
}

/// Reads the content of a file that a process executes: the number under which it is looked into, the file, and whether it is the
/// executable.
pub(crate) type Contents<'a> = dyn Fn(i32, &Executed, bool) -> Option<Digest> + 'a;

/// What of a refresh the caller knows better.
pub(crate) trait Sightings {
    /// Boot clock when a process was last seen to run the image, if that is later than the last refresh.
    fn last_seen(&self, member: &Member, key: &Key) -> Option<i128>;
}

impl Table {
    /// Takes up what was kept of images.
    pub(crate) fn recall(&mut self, recalled: BTreeMap<Key, Recalled>) {
        self.recalled = recalled;
    }

    /// Every image with a process.
    pub(crate) fn images(&self) -> impl Iterator<Item = &Image> {
        self.images.values().filter(|image| !image.members.is_empty())
    }

    /// Why not every process of the host can be seen.
    pub(crate) fn unseen(&self) -> Option<Unseen> {
        self.unseen
    }

    /// Processes of images that are tied for good, with their image: to be looked at when a file changes.
    pub(crate) fn tied(&self) -> Vec<(Member, Key)> {
        let tied = self.images().filter(|image| image.owners().next().is_some());
        tied.flat_map(|image| image.members.iter().map(|member| (*member, image.key))).collect()
    }

    /// Files that a process can change by writing into its memory.
    pub(crate) fn writable(&self) -> BTreeSet<Identity> {
        let mapped = self.images().filter_map(|image| image.mapped.as_ref()?.1.as_ref().ok());
        mapped.flat_map(|mapped| mapped.writable.iter().copied()).collect()
    }

    /// Looks at every process and says again whose each image is. With `maps` also what it maps.
    ///
    /// # Errors
    /// Why `/proc` cannot be listed.
    pub(crate) fn refresh(
        &mut self,
        specs: &[Spec],
        shared: &BTreeSet<Identity>,
        maps: bool,
        sightings: &impl Sightings,
        digest: &Contents<'_>,
    ) -> Result<(), Errno> {
        let began = read::boot_ns();
        self.unseen = sees_all().err();
        let seen = self.list()?;
        self.sort_in(seen, began, sightings);
        self.inspect(specs);
        if maps {
            self.map();
        }
        self.tie_all(specs, shared, digest);
        self.ask_libraries();
        self.refreshed_ns = Some(began);
        Ok(())
    }

    /// What is seen of the programs now.
    pub(crate) fn answer(&self, specs: &[Spec]) -> Processes {
        let mut processes = Processes {
            unseen: self.unseen.is_some(),
            sockets: sockets::listening(&self.addresses),
            ..Processes::default()
        };
        for spec in specs {
            let owner = spec.owner();
            for image in self.images() {
                match image.tie(&owner) {
                    Some(Tie::Code | Tie::Copy(_)) => {
                        _ = processes.images.insert((spec.program.clone(), image.key, true))
                    }
                    Some(Tie::Unknown(_)) => _ = processes.images.insert((spec.program.clone(), image.key, false)),
                    Some(Tie::Stranger(_)) | None => {}
                }
            }
        }
        processes
    }

    /// Sets the addresses on which programs listen, and answers the sockets on which that is done now.
    pub(crate) fn listen(&mut self, addresses: Vec<SocketAddr>) {
        self.addresses = addresses;
    }

    fn list(&mut self) -> Result<Vec<(Member, Stat)>, Errno> {
        let error = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
        let mut seen = Vec::new();
        let mut listed = HashSet::new();
        for entry in std::fs::read_dir("/proc").map_err(error)? {
            let name = entry.map_err(error)?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            listed.insert(pid);
            let stat = match self.stats.read(pid) {
                Ok(stat) => stat,
                // Gone meanwhile.
                Err(Errno::NOENT | Errno::SRCH) => continue,
                Err(errno) => return Err(errno),
            };
            if !stat.is_kernel && !stat.has_ended {
                let Stat { thread, start, parent, address_space, .. } = stat;
                seen.push((Member { pid, thread, start, parent, address_space }, stat));
            }
        }
        self.stats.keep_only(&listed);
        Ok(seen)
    }

    /// Sorts processes by their image, and dates images that are new.
    fn sort_in(&mut self, seen: Vec<(Member, Stat)>, began: i128, sightings: &impl Sightings) {
        let before = std::mem::take(&mut self.processes);
        for image in self.images.values_mut() {
            image.members.clear();
        }
        let mut dates: BTreeMap<Key, Option<i128>> = BTreeMap::new();
        let mut orphans: Vec<(Key, Member)> = Vec::new();
        for (member, stat) in &seen {
            let key = self.key(member, stat);
            self.processes.insert(member.pid, (*member, key));
            if !self.images.contains_key(&key) {
                let same = before.get(&member.pid).filter(|(known, _)| known.start == member.start);
                let started = i128::from(member.start) * TICK_NS;
                let date = match same {
                    // It ran something else at the last refresh, or since.
                    Some((known, old)) => {
                        let last = self.refreshed_ns.unwrap_or(started).max(started);
                        Some(sightings.last_seen(known, old).unwrap_or(last).max(last))
                    }
                    None if stat.is_fork => None,
                    None => Some(started),
                };
                if date.is_none() && matches!(key, Key::Process(..)) {
                    orphans.push((key, *member));
                }
                let known = dates.entry(key).or_insert(date);
                *known = match (*known, date) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (one, other) => one.or(other),
                };
            }
        }
        for (key, date) in dates {
            // None of its processes executed it: the one that did has ended. It did so since the last
            // refresh, which did not see it, or at any time since the boot.
            let since_ns = date.or(self.refreshed_ns).unwrap_or(0);
            let recalled = self.recalled.remove(&key);
            let since_ns = recalled.as_ref().map_or(since_ns, |recalled| recalled.since_ns);
            let tie =
                |(owner, is_copy): (Owner, bool)| (owner, if is_copy { Tie::Copy(Vec::new()) } else { Tie::Code });
            let ties = recalled.into_iter().flat_map(|recalled| recalled.owners).map(tie).collect();
            let image = Image {
                key,
                since_ns,
                seen_ns: began,
                members: Vec::new(),
                inspected: None,
                mapped: None,
                ties,
                empty: 0,
            };
            self.images.insert(key, image);
        }
        for (member, key) in self.processes.values() {
            if let Some(image) = self.images.get_mut(key) {
                image.members.push(*member);
            }
        }
        // A fork whose layout is hidden has what its parent has read.
        for (key, member) in orphans {
            let parent = self.processes.get(&member.parent).and_then(|(_, key)| self.images.get(key));
            let since = parent.map_or(0, |parent| parent.since_ns);
            if let Some(image) = self.images.get_mut(&key) {
                image.since_ns = since;
            }
        }
        self.images.retain(|_, image| {
            image.empty = if image.members.is_empty() { image.empty + 1 } else { 0 };
            image.members.sort_by_key(|member| (member.start, member.pid));
            image.empty <= EMPTY_REFRESHES
        });
        let images = &self.images;
        self.not_random.retain(|key| images.contains_key(key));
        // What was kept is for processes that were there when the agent started.
        self.recalled.clear();
    }

    fn key(&mut self, member: &Member, stat: &Stat) -> Key {
        let process = Key::Process(member.pid, member.start);
        let Some(layout) = stat.layout else { return process };
        let key = Key::Layout(layout);
        if self.images.contains_key(&key) {
            return key;
        }
        if self.not_random.contains(&process) {
            return process;
        }
        if is_random(member.thread) {
            return key;
        }
        self.not_random.insert(process);
        process
    }

    fn inspect(&mut self, specs: &[Spec]) {
        let declared = specs.iter().filter_map(|spec| spec.exe.as_ref()).filter(|exe| exe.inside.is_none());
        let declared: Vec<PathBuf> = declared.flat_map(|exe| [exe.written.clone(), exe.resolved.clone()]).collect();
        for image in self.images.values_mut() {
            let is_whole = image.inspected.as_ref().is_some_and(Inspected::is_whole);
            let Some(member) = image.members.first() else { continue };
            if !is_whole {
                let seen = Inspected::of(member, &declared, &mut self.probe);
                match (&mut image.inspected, seen) {
                    (Some(known), Some(seen)) => known.replace_with(seen),
                    (inspected, seen) => *inspected = seen,
                }
            } else if matches!(image.key, Key::Process(..))
                && let Some(seen) = &mut image.inspected
            {
                seen.look_again(member, &declared, &mut self.probe);
            }
            if let Some(seen) = &mut image.inspected {
                seen.declare(member, &declared, &mut self.probe);
                seen.note_beginning(member, &declared, &mut self.probe);
            }
        }
    }

    /// Of programs' images it is asked at once what their processes may overwrite later.
    fn ask_libraries(&mut self) {
        for image in self.images.values_mut() {
            let is_tied = image.ties.iter().any(|(_, tie)| matches!(tie, Tie::Code | Tie::Copy(_)));
            if let (true, Some(member), Some(seen)) = (is_tied, image.members.first(), &mut image.inspected) {
                seen.ask_libraries(member, &mut self.probe);
            }
        }
    }

    fn map(&mut self) {
        for image in self.images.values_mut() {
            let address_space = image.address_space();
            if image.mapped.as_ref().is_some_and(|(known, mapped)| *known == address_space && mapped.is_ok()) {
                continue;
            }
            let mut all = Ok(Mapped::default());
            for member in &image.members {
                match (&mut all, image::mapped(member.thread, &mut self.probe)) {
                    (Ok(all), Ok(mapped)) => {
                        all.executable.extend(mapped.executable);
                        all.writable.extend(mapped.writable);
                    }
                    (all, Err(why)) if why != Why::FileAbsent => *all = Err(why),
                    (_, _) => {}
                }
            }
            image.mapped = Some((address_space, all));
        }
    }

    fn tie_all(&mut self, specs: &[Spec], shared: &BTreeSet<Identity>, digest: &Contents<'_>) {
        let wanted: BTreeSet<u64> = specs.iter().flat_map(|spec| spec.sockets.iter().copied()).collect();
        let listeners = self.listeners(&wanted);
        // Twice: whom the first round ties decides who descends from the program, and how it runs.
        for _ in 0..2 {
            let mut found = Vec::new();
            for image in self.images().filter(|image| image.inspected.is_some()) {
                for spec in specs {
                    let owner = spec.owner();
                    // It stays so, whatever becomes of its files, its command line and its tree.
                    let before = image.tie(&owner);
                    if before == Some(&Tie::Code) {
                        continue;
                    }
                    let others = Surroundings { table: self, image, specs, shared, listeners: &listeners, digest };
                    let tie = image.inspected.as_ref().and_then(|seen| spec.tie(seen, image.maps(), &others));
                    // A copy stays one, unless it turns out to be the tree's own: a release that a link was
                    // switched to since the tree was read.
                    let is_settled = matches!(before, Some(Tie::Copy(_))) && tie != Some(Tie::Code);
                    if tie.as_ref() != before && !is_settled {
                        found.push((image.key, owner, tie));
                    }
                }
            }
            if found.is_empty() {
                break;
            }
            for (key, owner, tie) in found {
                let Some(image) = self.images.get_mut(&key) else { continue };
                match tie {
                    Some(tie) => _ = image.ties.insert(owner, tie),
                    None => _ = image.ties.remove(&owner),
                }
            }
        }
    }

    /// Which images have which of the sockets: the first that is found of each, those first that are tied
    /// already. Process 1 keeps sockets for others and executes none of their code.
    fn listeners(&self, wanted: &BTreeSet<u64>) -> HashMap<Key, BTreeSet<u64>> {
        let mut missing = wanted.clone();
        let mut found = HashMap::new();
        let is_tied = |image: &&Image| image.owners().next().is_some();
        for image in self.images().filter(is_tied).chain(self.images().filter(|image| !is_tied(image))) {
            for member in image.members.iter().filter(|member| member.pid != 1) {
                if missing.is_empty() {
                    return found;
                }
                let held = sockets::held(member.thread, &missing);
                if !held.is_empty() {
                    missing.retain(|inode| !held.contains(inode));
                    found.entry(image.key).or_insert_with(BTreeSet::new).extend(held);
                }
            }
        }
        found
    }
}

struct Surroundings<'a> {
    table: &'a Table,
    image: &'a Image,
    specs: &'a [Spec],
    shared: &'a BTreeSet<Identity>,
    listeners: &'a HashMap<Key, BTreeSet<u64>>,
    digest: &'a Contents<'a>,
}

impl Others for Surroundings<'_> {
    fn is_shared(&self, file: &Identity) -> bool {
        self.shared.contains(file)
    }

    fn is_in_a_tree(&self, path: &[u8]) -> bool {
        self.specs.iter().any(|spec| spec.inside(path).is_some())
    }

    fn descends(&self, owner: &Owner) -> bool {
        self.image.members.iter().any(|member| {
            let mut parent = member.parent;
            for _ in 0..ANCESTORS_MAX {
                let Some((above, key)) = self.table.processes.get(&parent) else { return false };
                let image = self.table.images.get(key);
                if image.is_some_and(|image| image.owners().any(|(known, _)| known == owner)) {
                    return true;
                }
                parent = above.parent;
            }
            false
        })
    }

    fn known(&self, owner: &Owner) -> Vec<(Option<u32>, Vec<u8>)> {
        let is_known = |image: &&Image| matches!(image.tie(owner), Some(Tie::Code));
        let known = self.table.images().filter(is_known);
        known.filter_map(|image| image.inspected.as_ref()).map(|seen| (seen.user, seen.group.clone())).collect()
    }

    fn digest(&self, file: &Executed) -> Option<Digest> {
        let is_exe = self.image.exe() == Some(file);
        self.image.members.iter().find_map(|member| (self.digest)(member.thread, file, is_exe))
    }

    fn listens(&self, sockets: &BTreeSet<u64>) -> bool {
        self.listeners.get(&self.image.key).is_some_and(|held| !held.is_disjoint(sockets))
    }
}

/// Why not every process of the host can be seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// The agent runs in a PID namespace of its own.
    Namespace,
    /// `/proc` hides processes of other users, and the agent lacks the capability to see them.
    Hidden,
}

impl Unseen {
    /// What is the matter and what to do, in words.
    pub fn words(self) -> &'static str {
        match self {
            Unseen::Namespace => {
                "the agent runs in a PID namespace of its own and sees no other processes: run it on the host, or \
                 have the registry say `processes = \"container\"` of this host"
            }
            Unseen::Hidden => {
                "/proc is mounted with hidepid and hides processes of other users: give the agent CAP_SYS_PTRACE"
            }
        }
    }
}

/// Whether every process of the host can be seen from here.
fn sees_all() -> Result<(), Unseen> {
    if super::link("/proc/self/ns/pid").map_or(true, |namespace| namespace != FIRST_NAMESPACE) {
        return Err(Unseen::Namespace);
    }
    let status = read_proc("/proc/self/status", 16 << 10).unwrap_or_default();
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"CapEff:"));
    let capabilities = line.and_then(|line| u64::from_str_radix(std::str::from_utf8(line).ok()?.trim(), 16).ok());
    if capabilities.is_some_and(|capabilities| capabilities & MAY_TRACE != 0) {
        return Ok(());
    }
    let Ok(mounts) = read_proc("/proc/self/mountinfo", super::PROC_BYTES_MAX) else { return Err(Unseen::Hidden) };
    let hides = mounts.split(|byte| *byte == b'\n').any(|line| {
        let text = String::from_utf8_lossy(line);
        let is_proc = text.split(' ').nth(4) == Some("/proc") && text.contains(" - proc ");
        let option = text.split([' ', ',']).find_map(|word| word.strip_prefix("hidepid="));
        is_proc && option.is_some_and(|option| !matches!(option, "0" | "off"))
    });
    if hides { Err(Unseen::Hidden) } else { Ok(()) }
}

/// Whether the kernel draws the places of a process's image at random.
fn is_random(pid: i32) -> bool {
    let global = read_proc("/proc/sys/kernel/randomize_va_space", 16).unwrap_or_default();
    let personality = read_proc(&format!("/proc/{pid}/personality"), 64).ok();
    let personality =
        personality.and_then(|text| u32::from_str_radix(std::str::from_utf8(&text).ok()?.trim(), 16).ok());
    // A global 0 turns it off for all.
    global.first().is_some_and(|digit| *digit != b'0') && personality.is_some_and(|bits| bits & NOT_RANDOM == 0)
}

/// The image that the process runs which was started at `start`.
pub(super) fn key_of(pid: i32, start: u64) -> Option<Key> {
    let stat = stat(pid).ok().filter(|stat| stat.start == start && !stat.has_ended)?;
    let layout = stat.layout.filter(|_| is_random(stat.thread));
    Some(layout.map_or(Key::Process(pid, start), Key::Layout))
}
