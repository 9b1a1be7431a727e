//! What a complete pass of an agent costs.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use agent::collect::{Collector, Limits};
use manifests::baseline::Baseline;
use rustix::time::ClockId;

/// Files of the tree, of one KiB each.
const FILES: usize = 2_000;
/// Processes of the program.
const PROCESSES: usize = 100;
/// Passes that are measured, behind some that warm up.
const PASSES: usize = 40;
const WARM: usize = 5;

/// A program of the system that waits, started from the tree.
struct Waiting(Child);

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Nothing has changed between two passes: what every look costs.
pub(super) fn pass() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let root = directory.path().canonicalize()?.join("program");
    fs::create_dir_all(root.join("lib"))?;
    for number in 0..FILES {
        fs::write(root.join(format!("lib/{number:04}")), format!("{number:1024}"))?;
    }
    let exe = root.join("server");
    fs::copy("/bin/sleep", &exe)?;
    let baseline = baseline(&root)?;
    let mut collector = Collector::new([7; 32], None);
    let alone = measured(|| drop(collector.pass(&baseline, None, &Limits::default(), &|| {})));
    let processes: Vec<Waiting> = (0..PROCESSES).map(|_| start(&exe)).collect::<Result<_, _>>()?;
    std::thread::sleep(Duration::from_millis(100));
    let with = measured(|| drop(collector.pass(&baseline, None, &Limits::default(), &|| {})));
    // What somebody pays who reads the maps and open files of the same processes, and compares nothing.
    let bare = measured(|| read_about(&processes));
    let each = with.saturating_sub(alone).as_secs_f64() * 1000.0 / PROCESSES as f64;
    let bare_each = bare.as_secs_f64() * 1000.0 / PROCESSES as f64;
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    println!("pass of {FILES} unchanged files, no process\t{:.2}\tms of processor\t-\t-\t-\t-", ms(alone));
    println!("pass with {PROCESSES} processes\t{:.2}\tms of processor\t-\t-\t-\t-", ms(with));
    let word = if each <= 1.0 { "ok" } else { "short" };
    println!(
        "each process of the program\t{each:.3}\tms of processor\t<= 1\tits maps and open files read, no more\t{bare_each:.3}\t{word}"
    );
    Ok(())
}

/// The median of what a call costs in time of the processor, whoever else uses the machine.
fn measured(mut call: impl FnMut()) -> Duration {
    let mut costs = Vec::new();
    for number in 0..WARM + PASSES {
        let began = processor();
        call();
        if number >= WARM {
            costs.push(processor().saturating_sub(began));
        }
    }
    costs.sort();
    costs.get(costs.len() / 2).copied().unwrap_or_default()
}

fn processor() -> Duration {
    let time = rustix::time::clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn start(exe: &Path) -> Result<Waiting, std::io::Error> {
    Command::new(exe).arg("1000").stdin(Stdio::null()).spawn().map(Waiting)
}

fn read_about(processes: &[Waiting]) {
    for process in processes {
        let about = Path::new("/proc").join(process.0.id().to_string());
        let _ = fs::read(about.join("stat"));
        let _ = fs::read(about.join("maps"));
        let files = fs::read_dir(about.join("fd")).into_iter().flatten().flatten();
        for file in files {
            let _ = fs::read_link(file.path());
        }
    }
}

fn baseline(root: &Path) -> Result<Baseline, Box<dyn Error>> {
    let tree = manifests::digest::Digest::of(b"");
    let text = format!(
        "schema = 2\nproduct = \"bench\"\nversion = \"1.0.0\"\nmin_agent = \"0.1.0\"\n\
         [gate]\nheartbeat = \"30s\"\npermit_ttl = \"30m\"\nevidence_max_age = \"10m\"\nverify_hold = \"250ms\"\n\
         expiry_grace = \"14d\"\n\
         [[program]]\nid = \"server\"\nroot = {root:?}\nprocess = {{ exe = \"server\" }}\nenforce = \"hold\"\n\
         owner = \"o\"\nremediation = {{ en = \"r\" }}\n\
         [[program.release]]\nversion = \"1.0.0\"\ntree = \"{tree}\"\n"
    );
    manifests::source::baseline(&text).map_err(|problems| format!("{problems:?}").into())
}
