//! The packet-rate benchmark: what a packet costs with palisade, against bare programs.
//!
//! ```text
//! generator (BPF_PROG_RUN, live frames) -> veth near -> veth far -> program under test
//! ```
//!
//! Everything runs on one core: the time for each packet is the generator's and the receiver's
//! together. Cases are interleaved, round by round, and compared within a round only, because
//! shared machines are noisy.

mod cases;
mod lists;
mod namespace;
mod report;
mod timer;
mod traffic;
mod worker;

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use clap::Parser;

use crate::{cases::Bench, report::Series};

/// Measures packets a second in a private network of veth pairs; needs root.
#[derive(Debug, Parser)]
#[command(name = "palisade-bench")]
struct Arguments {
    /// Rounds; each runs every case once
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// Packets for each case and round
    #[arg(long, default_value_t = 2_000_000)]
    packets: u32,
    /// Sizes of the ban tables
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000])]
    bans: Vec<usize>,
    /// Write the table to this file as well
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    namespace::enter()?;
    timer::pin(timer::GENERATOR_CPU)?;

    let traffic = traffic::Traffic::load()?;
    let mut bench = Bench::new(&traffic);
    bench.build(&arguments.bans)?;
    let mut series: Vec<Series> = bench.series();
    for round in 0..arguments.rounds {
        eprintln!("round {} of {}", round + 1, arguments.rounds);
        bench.round(round, arguments.packets, &mut series)?;
    }

    let settings = format!(
        "{} rounds of {} packets",
        arguments.rounds, arguments.packets
    );
    let table = report::markdown(&series, &settings)?;
    print!("{table}");
    if let Some(file) = arguments.save {
        fs::write(&file, table).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}
