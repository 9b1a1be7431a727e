//! The dashboard and the commands from outside: what each event does, and what stands on the screen.

#![expect(clippy::unwrap_used, reason = "a test may fail where its fixtures do")]

#[path = "dashboard/commands.rs"]
mod commands;
#[path = "dashboard/fixture.rs"]
mod fixture;
#[path = "dashboard/live.rs"]
mod live;
#[path = "dashboard/screens.rs"]
mod screens;
#[path = "dashboard/update.rs"]
mod update;
