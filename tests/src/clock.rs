//! A wall clock of one program that a test moves: a library that is loaded before the system's, and reads how far
//! ahead it is from a file. Other clocks stay as they are.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::operator::text;
use crate::world::World;

const LIBRARY: &str = r#"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (failed || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return failed;
    char ahead[32] = {0};
    int file = open(getenv("AHEAD_FILE"), O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    if (read(file, ahead, sizeof ahead - 1) > 0) now->tv_sec += atol(ahead);
    close(file);
    return 0;
}
"#;

/// The clock of whoever is started in its environment.
pub struct Clock {
    library: PathBuf,
    ahead: PathBuf,
}

impl Clock {
    /// One that tells the time as it is.
    ///
    /// # Errors
    /// If the library does not build.
    pub fn new(world: &World) -> Result<Self> {
        let (source, library) = (world.path().join("clock.c"), world.path().join("clock.so"));
        fs::write(&source, LIBRARY)?;
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).status()?;
        ensure!(built.success(), "cc: {built}");
        let clock = Self { library, ahead: world.path().join("ahead") };
        clock.set_ahead(Duration::ZERO)?;
        Ok(clock)
    }

    /// Moves it at once.
    ///
    /// # Errors
    /// If the file cannot be replaced.
    pub fn set_ahead(&self, by: Duration) -> Result<()> {
        let next = self.ahead.with_extension("next");
        fs::write(&next, by.as_secs().to_string())?;
        Ok(fs::rename(next, &self.ahead)?)
    }

    /// What `env` is told for it.
    ///
    /// # Errors
    /// If a path is not UTF-8.
    pub fn environment(&self) -> Result<[String; 2]> {
        Ok([format!("LD_PRELOAD={}", text(&self.library)?), format!("AHEAD_FILE={}", text(&self.ahead)?)])
    }
}
