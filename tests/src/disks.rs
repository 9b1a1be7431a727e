//! Disks that take nothing, in the place of a directory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Inodes of a disk of ours.
const INODES: u32 = 400;

/// A small file system in memory at a directory, with what was in it. Unmounted with the test.
pub struct Disk(PathBuf);

impl Disk {
    /// Puts one of `mib` MiB over `directory`; nothing where this user may not mount.
    ///
    /// # Errors
    /// If the files cannot be moved.
    pub fn over(directory: &Path, mib: u32) -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root may mount a disk");
            return Ok(None);
        }
        let beside = directory.with_extension("before");
        fs::rename(directory, &beside)?;
        fs::create_dir(directory)?;
        let options = format!("size={mib}m,nr_inodes={INODES},mode=700");
        let arguments = ["-t", "tmpfs", "-o", &options, "tmpfs"].map(OsStr::new);
        if !done("mount", &[&arguments[..], &[directory.as_ref()]].concat()) {
            eprintln!("skipped: no disk can be mounted here");
            return Ok(None);
        }
        let disk = Self(directory.to_owned());
        ensure!(done("cp", &["-a".as_ref(), beside.join(".").as_ref(), directory.as_ref()]), "cannot copy");
        Ok(Some(disk))
    }

    /// Fills it to the last byte.
    ///
    /// # Errors
    /// If nothing can be written at all.
    pub fn fill(&self) -> Result<()> {
        let mut file = File::create(self.ballast()).context("it is full already")?;
        while file.write_all(&[1; 4096]).is_ok() {}
        // Less than a page is left.
        while file.write_all(&[1]).is_ok() {}
        Ok(())
    }

    /// Uses up every inode.
    ///
    /// # Errors
    /// If there are more than a disk of ours has.
    pub fn use_up_inodes(&self) -> Result<()> {
        fs::create_dir(self.ballast())?;
        let made = (0..INODES).take_while(|number| File::create(self.ballast().join(number.to_string())).is_ok());
        ensure!(made.count() < INODES as usize, "it has more inodes than it should");
        Ok(())
    }

    /// Makes it read-only, or not any more.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn read_only(&self, read_only: bool) -> Result<()> {
        let options = if read_only { "remount,ro" } else { "remount,rw" };
        ensure!(done("mount", &["-o".as_ref(), options.as_ref(), self.0.as_ref()]), "cannot be made {options}");
        Ok(())
    }

    /// Gives back what was filled and used up.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn empty(&self) -> Result<()> {
        let ballast = self.ballast();
        if ballast.is_dir() {
            fs::remove_dir_all(ballast)?
        } else {
            fs::remove_file(ballast)?
        }
        Ok(())
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        done("umount", &["-l".as_ref(), self.0.as_ref()]);
    }
}

/// Runs a program to its end; whether it said that it went well.
pub fn done(program: &str, arguments: &[&OsStr]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
