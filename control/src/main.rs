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
            if !failure.is_silent() {
                // Nobody is left to tell when stderr is gone too.
                let _ = writeln!(std::io::stderr(), "palisade: {failure}");
            }
            failure.exit().into()
        }
    }
}
