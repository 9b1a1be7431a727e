//! What the demo prints: data on standard output, a line for each thing asked.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Prints, with the time since the demo began.
pub struct Report {
    began: Instant,
}

impl Report {
    /// From now on.
    pub fn start() -> Self {
        Self { began: Instant::now() }
    }

    /// A line that is no answer.
    pub fn note(&self, text: &str) {
        println!("[{:>6.1} s] {text}", self.began.elapsed().as_secs_f64());
    }

    /// The title of a step.
    pub fn step(&self, number: u8, title: &str) {
        println!();
        self.note(&format!("step {number}: {title}"));
    }

    /// What was asked, what was answered, and how long that took.
    pub fn answer(&self, asked: &str, answered: &str, took: Duration) {
        println!("             {asked:<70} {answered:<46} {:>8.3} s", took.as_secs_f64());
    }

    /// Runs one step; its error names it.
    pub async fn run<T>(&self, number: u8, title: &str, step: impl Future<Output = Result<T>>) -> Result<T> {
        self.step(number, title);
        let began = Instant::now();
        let outcome = step.await.with_context(|| format!("step {number} did not come out as it must: {title}"));
        let word = if outcome.is_ok() { "as it must" } else { "NOT AS IT MUST" };
        self.note(&format!("step {number}: {word} ({:.1} s)", began.elapsed().as_secs_f64()));
        outcome
    }
}
