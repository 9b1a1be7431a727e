//! `sekisho-baseline` as release managers use it: the real program, real files, a made-up controller.
#![expect(clippy::unwrap_used, reason = "a desk that cannot be made is a test that fails")]

mod ceremony;
mod checking;
mod controller;
mod desk;
mod keys;
mod lifting;
mod previewing;
mod publishing;
mod roots;
mod showing;
mod taking;
mod thresholds;
