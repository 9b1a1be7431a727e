//! What is not known to have been read, by the times of files, directories, links and mounts.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use manifests::evidence::OlderWhy;
use rustix::fs::FileType;

use super::kept::Read;
use super::{Dates, FileNow, History, MARGIN_NS, SeenFile, TreeNow, is_same};
use crate::collect::index::Stamp;
use crate::collect::tree;
use crate::collect::way::Way;

impl History {
    /// What of a tree may have been otherwise when the image began, of paths for which `wanted` says so.
    pub(super) fn uncertain(
        &mut self,
        dates: &Dates<'_>,
        now: &TreeNow<'_>,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> BTreeMap<Vec<u8>, OlderWhy> {
        let mut uncertain = BTreeMap::new();
        let resolved = match self.way_is_old(dates, now.root) {
            Ok(resolved) => resolved,
            Err(why) => {
                uncertain.insert(Vec::new(), why);
                now.root.to_owned()
            }
        };
        // The ways out of the tree, where its links are followed: what they led to then may be something else.
        for (link, target) in &now.tree.followed {
            let path = link.as_os_str().as_bytes();
            if wanted(path)
                && let Err(why) = self.way_out_is_old(dates, target)
            {
                uncertain.insert(path.to_vec(), why);
            }
        }
        let before = self.trees.get(now.root).filter(|seen| dates.begin_after(&seen.read_by));
        for (path, tree::Entry { changed_ns, .. }) in &now.tree.entries {
            if changed_ns + MARGIN_NS <= dates.wall_ns || !wanted(path) {
                continue;
            }
            let place = now.tree.place(&resolved, path);
            let stayed = before.is_some_and(|seen| is_same(&seen.list, now.list, path));
            let is_known = before.is_some_and(|seen| {
                let recent = seen.recent.get(path);
                stayed && recent == Some(changed_ns)
            });
            let is_old = is_known
                || self.journal.is_settled(&place, *changed_ns, dates.since_ns, dates.first)
                || stayed && self.journal.was_only_touched(&place, *changed_ns, dates.since_ns, dates.first);
            if !is_old {
                uncertain.insert(path.clone(), OlderWhy::BeforeFirstLook);
            }
        }
        for (path, stamp) in &now.tree.directories {
            let place = now.tree.place(&resolved, path);
            if wanted(path) && !path.is_empty() && !self.directory_is_old(dates, &place, stamp) {
                uncertain.insert(path.clone(), OlderWhy::BeforeFirstLook);
            } else if wanted(path) && self.may_have_lost(dates, &place, stamp.mtime_ns()) {
                uncertain.insert(path.clone(), OlderWhy::MayHaveGone);
            }
        }
        uncertain
    }

    /// What the image has read of a file, if that is certain.
    pub(super) fn certainly_read(&self, dates: &Dates<'_>, file: &FileNow<'_>) -> Read {
        let changed_ns = file.stamp.ctime_ns();
        let way = Way::to(file.path);
        let place = way.end().map_or(file.path, |end| end.place.as_path());
        let seen = self.files.get(file.path).filter(|seen| dates.begin_after(&seen.content_by));
        let stayed = seen.is_some_and(|seen| seen.digest == file.digest);
        let is_same = |seen: &SeenFile| seen.changed_ns == changed_ns && dates.begin_after(&seen.read_by);
        let is_old = changed_ns + MARGIN_NS <= dates.wall_ns
            || self.journal.is_settled(place, changed_ns, dates.since_ns, dates.first)
            || stayed && seen.is_some_and(is_same)
            || stayed && self.journal.was_only_touched(place, changed_ns, dates.since_ns, dates.first);
        if !is_old {
            return Err(OlderWhy::BeforeFirstLook);
        }
        self.steps_are_old(dates, &way).map(|()| file.digest)
    }

    /// Where a way leads, if everything on it was so before the image began.
    pub(super) fn way_is_old(&mut self, dates: &Dates<'_>, path: &Path) -> Result<PathBuf, OlderWhy> {
        let way = self.ways.to(path).clone();
        self.steps_are_old(dates, &way)?;
        let end = way.end().ok_or(OlderWhy::BeforeFirstLook)?;
        if end.kind == FileType::Directory && !self.directory_is_old(dates, &end.place, &end.stamp) {
            return Err(OlderWhy::BeforeFirstLook);
        }
        Ok(end.place.clone())
    }

    /// Whether everything on the way to what a followed link leads to was so before the image began. What is
    /// there has times of its own; what is not may have gone.
    pub(super) fn way_out_is_old(&mut self, dates: &Dates<'_>, target: &Path) -> Result<(), OlderWhy> {
        let way = self.ways.to(target).clone();
        self.steps_are_old(dates, &way)?;
        let Some(directory) = &way.ends_in else { return Ok(()) };
        let step = way.steps.iter().rfind(|step| step.place == *directory);
        match step.is_some_and(|step| self.may_have_lost(dates, directory, step.stamp.mtime_ns())) {
            true => Err(OlderWhy::MayHaveGone),
            false => Ok(()),
        }
    }

    /// Whether every directory and link on a way, but what it ends in, was there before the image began.
    pub(super) fn steps_are_old(&self, dates: &Dates<'_>, way: &Way) -> Result<(), OlderWhy> {
        let end = way.end().map(|end| end.place.as_path());
        for step in way.steps.iter().filter(|step| Some(step.place.as_path()) != end) {
            let changed_ns = step.stamp.ctime_ns();
            let is_old = match step.kind {
                FileType::Directory => self.directory_is_old(dates, &step.place, &step.stamp),
                // A link is never changed, only replaced.
                _ => {
                    changed_ns + MARGIN_NS <= dates.wall_ns
                        || self.journal.is_settled(&step.place, changed_ns, dates.since_ns, dates.first)
                }
            };
            if !is_old {
                return Err(OlderWhy::BeforeFirstLook);
            }
        }
        if !self.mounts.were_there(way, dates.since_ns, &dates.devices) {
            return Err(OlderWhy::Mounted);
        }
        Ok(())
    }

    /// Whether a directory was at its place before the image began. A change of its entries moves both of
    /// its times; moving the directory itself, or another in its place, its change time alone.
    pub(super) fn directory_is_old(&self, dates: &Dates<'_>, place: &Path, stamp: &Stamp) -> bool {
        let changed_ns = stamp.ctime_ns();
        changed_ns + MARGIN_NS <= dates.wall_ns
            || changed_ns == stamp.mtime_ns()
            || self.journal.is_settled(place, changed_ns, dates.since_ns, dates.first)
            || self.journal.was_watched(place, dates.since_ns)
    }

    /// Whether an entry of a directory may have gone since the image began.
    pub(super) fn may_have_lost(&self, dates: &Dates<'_>, directory: &Path, modified_ns: i128) -> bool {
        modified_ns + MARGIN_NS > dates.wall_ns
            && !self.journal.is_whole(directory, modified_ns, dates.since_ns, dates.first)
    }

    /// Whether a file that a path or pattern names may have gone since the image began. A path that is there
    /// has not.
    pub(super) fn may_have_gone(&mut self, dates: &Dates<'_>, pattern: &Path, is_there: bool) -> Option<OlderWhy> {
        let is_pattern = pattern.file_name().is_some_and(|name| crate::collect::wildcard::is_pattern(name.as_bytes()));
        if is_there && !is_pattern {
            return None;
        }
        let around = if is_pattern { pattern.parent()? } else { pattern };
        let way = self.ways.to(around).clone();
        if let Err(why) = self.steps_are_old(dates, &way) {
            return Some(why);
        }
        // The directory itself, or the nearest one where the way to it ends.
        let nearest = way.ends_in.clone().or_else(|| way.end().map(|end| end.place.clone()))?;
        let stat = rustix::fs::stat(&nearest).ok()?;
        let stamp = Stamp::from(&stat);
        if !self.directory_is_old(dates, &nearest, &stamp) {
            return Some(OlderWhy::BeforeFirstLook);
        }
        self.may_have_lost(dates, &nearest, stamp.mtime_ns()).then_some(OlderWhy::MayHaveGone)
    }
}
