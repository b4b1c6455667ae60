//! Completions and man pages, from the same definitions as the parser.

use std::{fs, path::Path};

use clap::CommandFactory;

use super::{
    arguments::Arguments,
    exit::{Exit, Failure},
    output::Output,
};

pub(super) fn completions(shell: clap_complete::Shell, out: &mut Output) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "palisade", &mut script);
    out.text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

pub(super) fn man(directory: Option<&Path>, out: &mut Output) -> Result<Exit, Failure> {
    let Some(directory) = directory else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Arguments::command()).render(&mut page)?;
        out.text(&String::from_utf8_lossy(&page))?;
        return Ok(Exit::Done);
    };
    let failed = |source| Failure::Write {
        path: directory.to_owned(),
        source,
    };
    fs::create_dir_all(directory).map_err(failed)?;
    clap_mangen::generate_to(Arguments::command(), directory).map_err(failed)?;
    Ok(Exit::Done)
}
