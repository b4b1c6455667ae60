//! Every invalid document is refused at the named field, with one of the
//! strings that must be mentioned, on the line where that is given.

use std::fs;

use super::{
    super::{Limits, parse_bytes, yaml},
    data,
};

#[test]
fn invalid_documents_are_refused_at_their_fault() {
    let files = data::files("invalid");
    assert!(files.len() >= 100, "only {} documents found", files.len());
    let mut wrong = Vec::new();
    for path in &files {
        if let Err(problem) = refused(&data::load(path)) {
            wrong.push(format!("{}: {problem}", data::name(path)));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} documents:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn refused(case: &yaml::Node) -> Result<(), String> {
    let bytes = match case.get("policy_file").and_then(yaml::Node::text) {
        Some(file) => fs::read(data::directory("invalid").join(file)).unwrap(),
        None => case
            .get("policy")
            .and_then(yaml::Node::text)
            .unwrap()
            .as_bytes()
            .to_vec(),
    };
    let faults = match parse_bytes(&bytes, &Limits::default()) {
        Ok(documents) => return Err(format!("taken as {} documents", documents.len())),
        Err(faults) => faults,
    };
    let fault = faults.first().ok_or("refused without a fault")?;
    let error = case.get("error").unwrap();
    let got = format!("got document {} {fault}", fault.document);

    let field = error.get("field").and_then(yaml::Node::text).unwrap();
    if fault.field != field {
        return Err(format!("wanted field '{field}', {got}"));
    }
    if fault.document != data::integer(error.get("document")).unwrap_or(0) {
        return Err(format!("wrong document, {got}"));
    }
    if let Some(line) = data::integer(error.get("line"))
        && fault.line.abs_diff(line) > 1
    {
        return Err(format!("wanted line {line}, {got}"));
    }
    if fault.line == 0 || fault.column == 0 {
        return Err(format!("without a place, {got}"));
    }
    let shown = fault.to_string().to_lowercase();
    let mentions = data::list(error.get("mention"));
    let mentioned = |node: &yaml::Node| shown.contains(&node.text().unwrap().to_lowercase());
    if !mentions.is_empty() && !mentions.iter().any(mentioned) {
        return Err(format!("mentions none of the strings, {got}"));
    }
    Ok(())
}
