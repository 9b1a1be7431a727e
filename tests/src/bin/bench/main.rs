//! `tests/bench/NAME`: how fast it is. One line a figure, tab-separated: name, value, unit, target, what is
//! measured beside it in the same run, its value, and `ok` or `short`.

mod pass;
mod stop;

use std::error::Error;

use clap::{Parser, Subcommand};
use tests::flood::{self, Kind};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// What a complete pass of an agent costs, and each process of the program in it.
    Pass,
    /// How soon a stop reaches every agent under each flood, and what memory the controller takes meanwhile.
    Stop {
        /// Sites of the fleet.
        #[arg(long, default_value_t = 123)]
        sites: usize,
        /// Connections of each crowd.
        #[arg(long, default_value_t = 16_384)]
        connections: usize,
        /// Under this flood alone.
        #[arg(long)]
        flood: Option<Kind>,
    },
    /// One flood, until it is killed.
    #[command(hide = true)]
    Flood {
        kind: Kind,
        #[command(flatten)]
        target: flood::Target,
    },
}

fn main() -> Result<(), Box<dyn Error>> {
    match Arguments::parse().what {
        What::Pass => pass::pass(),
        What::Stop { sites, connections, flood } => stop::stop(sites, connections, flood),
        What::Flood { kind, target } => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(flood::run(kind, target))?)
        }
    }
}
