//! `palisade`: arguments in, exit code out.
#![forbid(unsafe_code)]

use std::{io::Write as _, process::ExitCode};

use clap::Parser;
use palisade_control::cli::{self, arguments::Arguments};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match cli::run(arguments) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if let Some(report) = failure.report() {
                // Nobody is left to tell when stderr is gone too.
                let _ = writeln!(std::io::stderr(), "{report}");
            }
            failure.exit().into()
        }
    }
}
