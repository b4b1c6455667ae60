//! Every invalid document is refused at the named field, with one of the
//! strings that must be mentioned, on the line where that is given.

use std::fs;

use serde_json::{Value, json};

use super::{
    super::{Limits, eval::Evaluator, parse_bytes, yaml},
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

/// The same through `policy eval`, where the message alone has to do.
#[test]
fn eval_refuses_invalid_documents_at_their_fault() {
    let good = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: good}}";
    let mut asked = 0;
    for path in data::files("invalid") {
        let case = data::load(&path);
        // What is not UTF-8 or beyond a line of JSON comes as a file.
        let Some(text) = case.get("policy").and_then(yaml::Node::text) else {
            continue;
        };
        let line = json!({"policies": [good, text], "flows": []}).to_string();
        let answer: Value = serde_json::from_str(&Evaluator::default().answer(&line)).unwrap();
        let (got, want) = (&answer["error"], case.get("error").unwrap());
        let name = data::name(&path);
        assert_eq!(got["policy"], 1, "{name}: {answer}");
        assert_eq!(
            got["document"],
            data::integer(want.get("document")).unwrap_or(0),
            "{name}"
        );
        assert_eq!(
            got["field"].as_str(),
            want.get("field").and_then(yaml::Node::text),
            "{name}"
        );
        let message = got["message"].as_str().unwrap().to_lowercase();
        let mentions = data::list(want.get("mention"));
        let mentioned = |node: &yaml::Node| message.contains(&node.text().unwrap().to_lowercase());
        assert!(
            mentions.is_empty() || mentions.iter().any(mentioned),
            "{name}: {message}"
        );
        asked += 1;
    }
    assert!(asked >= 100, "only {asked} documents asked");
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
