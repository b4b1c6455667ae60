//! `palisade policy eval`: what policies would do to flows, without a daemon and without root.
//!
//! Every line in is answered by one line out, flushed, so that a program can hold a conversation.

use std::io::{self, BufRead, Read};

use palisade_config::policy::eval::Evaluator;

use super::{
    arguments::PolicyEval,
    exit::{Exit, Failure},
    output::Output,
    policy,
};

/// Longest line that is read.
const LINE_BYTES_MAX: u64 = 64 << 20;

pub(super) fn eval(arguments: &PolicyEval, out: &mut Output) -> Result<Exit, Failure> {
    let cluster = policy::cluster(&arguments.cluster)?;
    let evaluator = Evaluator {
        cluster,
        dialect: arguments.dialect,
        ..Evaluator::default()
    };
    converse(&evaluator, io::stdin().lock(), out)
}

fn converse(
    evaluator: &Evaluator,
    mut input: impl BufRead,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let failed = |source| Failure::Read {
        path: "<stdin>".into(),
        source,
    };
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = input.by_ref().take(LINE_BYTES_MAX);
        if limited.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            return Ok(Exit::Done);
        }
        // Text that is not UTF-8 is no JSON either: the evaluator says so.
        out.line(&evaluator.answer(&String::from_utf8_lossy(&line)))?;
        out.flush()?;
    }
}

#[cfg(test)]
mod tests {
    use palisade_config::policy::eval::Evaluator;

    use super::{super::tests::Screen, converse};
    use crate::cli::exit::Exit;

    #[test]
    fn every_line_gets_one_line_and_a_bad_one_ends_nothing() {
        let (screen, mut out) = Screen::new();
        let flow = r#"{"from":"192.0.2.1","to":"192.0.2.2","protocol":"TCP","port":80}"#;
        let input = format!("{{\"flows\":[{flow}]}}\nnonsense\n\n{{\"flows\":[]}}");
        let exit = converse(&Evaluator::default(), input.as_bytes(), &mut out).unwrap();
        assert_eq!(exit, Exit::Done);
        let text = screen.text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert_eq!(lines[0], r#"{"verdicts":["allow"]}"#);
        assert!(lines[1].starts_with(r#"{"error":"#), "{text}");
        assert_eq!(lines[3], r#"{"verdicts":[]}"#);
    }
}
