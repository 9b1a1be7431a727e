//! Which images are which program's: those that execute its code.
//!
//! An image is a program's if its executable is a file of the program's tree, by device and inode and
//! under whatever name; if a script that it was told to execute is one; if it maps one with the right to
//! execute it; if it listens on the program's address; or if it runs the interpreter that the baseline
//! names, with the arguments that it names. Its working directory, its open files and its title alone say
//! nothing: a shell in the tree, an editor or a backup is nobody's. `docs/processes.md` has the rules.
//!
//! What cannot be told counts as unknown only where the image may be the program's: its executable, or
//! an interpreter that the program uses.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use manifests::digest::Digest;
use manifests::evidence::Why;
use manifests::id::ItemId;

use super::command::{base_name, is_interpreter};
use super::image::{Executed, Identity, Inspected};
use super::maps::Mapped;
use super::{below, is_memory, without_deleted};
use crate::collect::tree::Scope;
use crate::collect::wildcard;

/// Directories in which a distribution keeps programs of its own: what runs from there is no copy of a
/// program's tree that somebody moved.
const SYSTEM_DIRECTORIES: [&str; 8] =
    ["/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/", "/usr/lib", "/lib", "/usr/libexec/", "/snap/"];

/// Whose an image is: a program, the root of its tree, and where the baseline names an interpreter outside
/// of it, that and the arguments by which it is told apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner {
    pub(crate) program: ItemId,
    pub(crate) root: PathBuf,
    pub(crate) interpreter: Option<(PathBuf, Option<String>)>,
}

/// What tells a program's images from others, as the newest pass saw the program.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) program: ItemId,
    /// The tree's root as the baseline has it, on this host.
    pub(crate) root: PathBuf,
    /// The same with links followed.
    pub(crate) resolved_root: PathBuf,
    /// The directory in which this host begins, where that is not the root: what lies outside of it is
    /// another host's, though it be the same file by a hard link.
    pub(crate) within: Option<PathBuf>,
    pub(crate) scope: Scope,
    /// Files of the tree that count, by device and inode, with their path in it.
    pub(crate) files: Arc<HashMap<Identity, Vec<u8>>>,
    /// A mark of them: another one with the same mark has the same.
    pub(crate) mark: u64,
    /// The executable, where the baseline names one.
    pub(crate) exe: Option<Executable>,
    /// A glob for the command line.
    pub(crate) args: Option<String>,
    /// Where the program listens.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Sockets on which that is done, by inode.
    pub(crate) sockets: BTreeSet<u64>,
}

/// The executable that a baseline names.
#[derive(Clone, Debug)]
pub(crate) struct Executable {
    /// Its path as the baseline has it, on this host.
    pub(crate) written: PathBuf,
    /// The same with links followed; as written where it is not there.
    pub(crate) resolved: PathBuf,
    /// Its path in the tree, where it lies there.
    pub(crate) inside: Option<Vec<u8>>,
    /// Which file it is.
    pub(crate) file: Option<Identity>,
    /// Who owns it.
    pub(crate) owner: Option<u32>,
    /// Contents that the executable is known to have had.
    pub(crate) contents: BTreeSet<Digest>,
    /// The interpreter that its first line names, by last components with links followed and not; of one
    /// outside of the tree its own.
    pub(crate) interpreters: BTreeSet<Vec<u8>>,
}

/// How an image is tied to a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tie {
    /// It executes the program's code.
    Code,
    /// It runs from a copy, at this path.
    Copy(Vec<u8>),
    /// It may be the program's, and why that cannot be told.
    Unknown(Why),
    /// It executes a file of the executable's name and content, and is nobody's: shown at this path.
    Stranger(Vec<u8>),
}

/// What is known of the other images that decides about one.
pub(crate) trait Others {
    /// Whether several programs have the file.
    fn is_shared(&self, file: &Identity) -> bool;
    /// Whether a path lies in the tree of any program.
    fn is_in_a_tree(&self, path: &[u8]) -> bool;
    /// Whether one of its ancestors is the program's.
    fn descends(&self, owner: &Owner) -> bool;
    /// Users and control groups of the images that are known to be the program's.
    fn known(&self, owner: &Owner) -> Vec<(Option<u32>, Vec<u8>)>;
    /// The digest of a file, if it can be read.
    fn digest(&self, file: &Executed) -> Option<Digest>;
    /// Whether the image has one of these sockets.
    fn listens(&self, sockets: &BTreeSet<u64>) -> bool;
}

impl Spec {
    /// Whose images these are.
    pub(crate) fn owner(&self) -> Owner {
        let outside = self.exe.as_ref().filter(|exe| exe.inside.is_none());
        let interpreter = outside.map(|exe| (exe.written.clone(), self.args.clone()));
        Owner { program: self.program.clone(), root: self.root.clone(), interpreter }
    }

    /// Whether it asks for the same images, whatever the disk has now.
    pub(crate) fn asks_the_same(&self, other: &Spec) -> bool {
        let exe = |spec: &Spec| spec.exe.as_ref().map(|exe| exe.written.clone());
        (&self.program, &self.root, &self.args, exe(self)) == (&other.program, &other.root, &other.args, exe(other))
    }

    /// The path in the tree of a path on this host.
    pub(crate) fn inside<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        below(path, &self.root).or_else(|| below(path, &self.resolved_root))
    }

    fn is_here(&self, path: &[u8]) -> bool {
        self.within.as_ref().is_none_or(|within| below(path, within).is_some())
    }

    /// Whether a file is one of the tree's that count: by device and inode, or, of one that was removed or
    /// replaced since, by the path at which the kernel knew it.
    fn in_tree(&self, executed: &Executed, others: &impl Others) -> bool {
        let (path, was_removed) = without_deleted(&executed.path);
        let inside = self.inside(path);
        if let Some(file) = executed.file.filter(|file| self.files.contains_key(file)) {
            // A file that several programs have is that one's in whose tree it was found.
            let is_ours = inside.is_some() || !others.is_shared(&file) || !others.is_in_a_tree(path);
            return self.is_here(path) && is_ours;
        }
        inside.is_some_and(|inside| {
            (was_removed || executed.file.is_none())
                && !self.scope.excludes_below(Path::new(OsStr::from_bytes(inside)), false)
        })
    }

    /// How an image is tied to the program, if it is. `mapped` is what it maps, as far as that is known.
    pub(crate) fn tie(&self, image: &Inspected, mapped: Option<&Mapped>, others: &impl Others) -> Option<Tie> {
        let exe = match &image.exe {
            Ok(exe) => exe,
            Err(why) => return self.may_be_named(image).then_some(Tie::Unknown(*why)),
        };
        if self.in_tree(exe, others) || image.scripts.iter().any(|script| self.is_or_holds(script, others)) {
            return Some(Tie::Code);
        }
        if let Some(mapped) = mapped
            && self.is_mapped(mapped, others)
        {
            return Some(Tie::Code);
        }
        if !self.sockets.is_empty() && others.listens(&self.sockets) {
            return Some(Tie::Code);
        }
        let declared = self.exe.as_ref()?;
        if declared.inside.is_none() && (declared.is_file(exe) || self.runs_another(image)) {
            return self.tie_interpreter(image, others);
        }
        let uses = declared.interpreters.contains(base_name(without_deleted(&exe.path).0));
        let is_lost = || !image.lost.is_empty() && self.has_name_of(&image.lost);
        if uses && (image.command.is_none() || image.unread.is_some() || image.is_renamed() || is_lost()) {
            return self.is_likely(image, others).then_some(Tie::Unknown(Why::ProcessUnreadable));
        }
        self.copy(image, exe, declared, others)
    }

    /// Whether an image was executed by the path of the executable that the baseline names outside of the tree, and
    /// runs another file than that leads to now: a link on the way was switched since.
    pub(crate) fn runs_another(&self, image: &Inspected) -> bool {
        let (Ok(exe), Some(declared)) = (&image.exe, &self.exe) else { return false };
        declared.inside.is_none()
            && image.began_as.as_ref().is_some_and(|path| declared.written.as_os_str() == path)
            && !declared.is_file(exe)
    }

    /// A script that is a file of the tree, or a directory of it that an interpreter executes.
    fn is_or_holds(&self, script: &Executed, others: &impl Others) -> bool {
        if self.in_tree(script, others) {
            return true;
        }
        let path = script.path.as_slice();
        let inside = below(path, &self.resolved_root).is_some() || path == self.resolved_root.as_os_str().as_bytes();
        inside && Path::new(OsStr::from_bytes(path)).is_dir()
    }

    fn is_mapped(&self, mapped: &Mapped, others: &impl Others) -> bool {
        mapped.executable.iter().any(|(file, path)| {
            let file = if path.ends_with(b" (deleted)") { None } else { Some(*file) };
            let is_shared = file.is_some_and(|file| others.is_shared(&file));
            !is_shared && self.in_tree(&Executed { path: path.clone(), file }, others)
        })
    }

    /// The interpreter that the baseline names outside of the tree: its arguments say whose it is.
    fn tie_interpreter(&self, image: &Inspected, others: &impl Others) -> Option<Tie> {
        let Some(args) = &self.args else { return Some(Tie::Code) };
        let Some(command) = &image.command else { return Some(Tie::Unknown(Why::TimedOut)) };
        if wildcard::matches(args.as_bytes(), &command.joined()) {
            return Some(Tie::Code);
        }
        // A command line that does not begin with the interpreter's name was rewritten by the program.
        let first = command.arguments().first().map_or(&b""[..], |first| first);
        let first = base_name(first.strip_prefix(b"-").unwrap_or(first));
        let exe = image.exe.as_ref().ok()?;
        let family =
            |name: &[u8]| name.iter().take_while(|byte| byte.is_ascii_alphabetic()).copied().collect::<Vec<_>>();
        // A shell is called by many names.
        let is_called = is_interpreter(first) || family(first) == family(base_name(&exe.path));
        let is_rewritten = !is_called || first.contains(&b' ');
        (is_rewritten && self.is_likely(image, others)).then_some(Tie::Unknown(Why::ProcessUnreadable))
    }

    /// Whether an image of which nothing better is known may be the program's: it runs as the program does
    /// where that is known, by user and control group.
    fn is_likely(&self, image: &Inspected, others: &impl Others) -> bool {
        let known = others.known(&self.owner());
        known.is_empty() || known.iter().any(|(user, group)| *user == image.user && *group == image.group)
    }

    /// Whether a process that may not be looked into could be the program's, by the name that everybody
    /// may see.
    fn may_be_named(&self, image: &Inspected) -> bool {
        let Some(declared) = &self.exe else { return false };
        let first = image
            .command
            .as_ref()
            .and_then(|command| command.arguments().first().map(|first| base_name(first).to_vec()));
        let is_named = |name: &[u8]| {
            // The kernel keeps 15 bytes of a name.
            let kept = name.get(..15).unwrap_or(name);
            !name.is_empty() && (first.as_deref() == Some(name) || image.name == kept)
        };
        let written = declared.written.file_name().map(OsStr::as_bytes).unwrap_or_default();
        let resolved = declared.resolved.file_name().map(OsStr::as_bytes).unwrap_or_default();
        let by_arguments = || {
            let args = self.args.as_ref().filter(|_| declared.inside.is_none());
            args.zip(image.command.as_ref())
                .is_none_or(|(args, command)| wildcard::matches(args.as_bytes(), &command.joined()))
        };
        (is_named(written) || is_named(resolved)) && by_arguments()
            || declared.inside.is_some() && declared.interpreters.iter().any(|name| is_named(name))
    }

    /// Whether one of the names is that of a file of the tree that the baseline names, or of any script.
    fn has_name_of(&self, written: &[std::ffi::OsString]) -> bool {
        let names: BTreeSet<&[u8]> = written.iter().map(|path| base_name(path.as_bytes())).collect();
        self.files.values().any(|path| names.contains(base_name(path)))
    }

    /// A copy of the executable, or of a script that is one, at another place.
    fn copy(&self, image: &Inspected, exe: &Executed, declared: &Executable, others: &impl Others) -> Option<Tie> {
        let inside = declared.inside.as_ref()?;
        let name = base_name(inside);
        let is_copy = |executed: &Executed| {
            let (path, _) = without_deleted(&executed.path);
            let in_system = SYSTEM_DIRECTORIES.iter().any(|at| path.starts_with(at.as_bytes()));
            let has_bytes = || others.digest(executed).is_some_and(|digest| declared.contents.contains(&digest));
            if is_memory(path) {
                // It may have been given any name.
                return has_bytes();
            }
            base_name(path) == name && !in_system && self.is_here(path) && (self.is_beside(path, inside) || has_bytes())
        };
        // A bundled interpreter is the program's by the script that it executes, not by its name.
        let own = Some(exe).filter(|_| !is_interpreter(name));
        let copied = own.into_iter().chain(&image.scripts).find(|executed| is_copy(executed))?;
        let known = others.known(&self.owner());
        let is_user = match known.is_empty() {
            true => image.user == declared.owner,
            false => known.iter().any(|(user, _)| *user == image.user),
        };
        let path = copied.path.clone();
        Some(if is_user || others.descends(&self.owner()) { Tie::Copy(path) } else { Tie::Stranger(path) })
    }
}

impl Spec {
    /// Whether the path is that of the executable in a directory beside the tree's: a release that a link
    /// led to before, or the tree under another name.
    fn is_beside(&self, path: &[u8], inside: &[u8]) -> bool {
        let root = path.strip_suffix(inside).and_then(|root| root.strip_suffix(b"/"));
        let around = root.and_then(|root| Path::new(OsStr::from_bytes(root)).parent());
        around.is_some_and(|around| {
            [&self.root, &self.resolved_root].into_iter().any(|root| root.parent() == Some(around))
        })
    }
}

impl Executable {
    fn is_file(&self, executed: &Executed) -> bool {
        let path = without_deleted(&executed.path).0;
        let is_path = [&self.written, &self.resolved].into_iter().any(|at| at.as_os_str().as_bytes() == path);
        is_path || self.file.is_some() && self.file == executed.file
    }
}
