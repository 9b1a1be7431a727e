//! Asks for certificates without pause, from threads of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use hyper::{Method, StatusCode};

use crate::host::codes;
use crate::http::{Address, Connection};

/// How long one question may take.
const DEADLINE: Duration = Duration::from_secs(8);
/// Questions remembered per thread; a thread that has asked so many ends.
const ASKED_MAX: usize = 1_000_000;

/// One question for a certificate.
#[derive(Clone, Debug)]
pub struct Asked {
    /// When it was asked.
    pub at: Instant,
    /// How long the answer took.
    pub took: Duration,
    /// Whether a certificate came.
    pub issued: bool,
    /// The codes of a refusal.
    pub codes: Vec<String>,
}

/// Threads that ask until told to end.
pub struct Asking {
    end: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<Vec<Asked>>>>,
}

impl Asking {
    /// One thread per address, each with a kept connection.
    pub fn start(addresses: &[Address]) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let ask = |address: &Address| {
            let (address, end) = (address.clone(), Arc::clone(&end));
            std::thread::spawn(move || ask_until(&address, &end))
        };
        Self { threads: addresses.iter().map(ask).collect(), end }
    }

    /// Ends the threads; all questions in the order of their start.
    ///
    /// # Errors
    /// If `issuingd` gave no answer to one.
    pub fn finish(mut self) -> Result<Vec<Asked>> {
        self.end.store(true, Ordering::Relaxed);
        let mut asked = Vec::new();
        for thread in std::mem::take(&mut self.threads) {
            asked.extend(thread.join().map_err(|_| anyhow!("a thread that asks has panicked"))??);
        }
        asked.sort_by_key(|question| question.at);
        Ok(asked)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}

fn ask_until(address: &Address, end: &AtomicBool) -> Result<Vec<Asked>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = Connection::open(address).await?;
        let mut asked = Vec::new();
        while !end.load(Ordering::Relaxed) && asked.len() < ASKED_MAX {
            let at = Instant::now();
            let answer = connection.ask(&Method::POST, "/certificates", &[], DEADLINE).await?;
            let issued = answer.status == StatusCode::OK;
            let codes = if issued { Vec::new() } else { codes(&answer.body) };
            asked.push(Asked { at, took: at.elapsed(), issued, codes });
        }
        Ok(asked)
    })
}
