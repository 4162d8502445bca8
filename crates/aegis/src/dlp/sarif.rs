//! Findings in SARIF 2.1.0 (OASIS), which code hosts show beside the lines they are about.

use std::collections::BTreeSet;

use aegis_dlp::kind::Kind;
use serde_json::{Value, json};

use super::file::Found;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The document. No value stands in it, not even masked.
pub(super) fn document(listed: &[(String, Found)]) -> Value {
    let kinds: BTreeSet<&str> = listed.iter().map(|(_, found)| found.kind.as_str()).collect();
    let rules: Vec<Value> = kinds.into_iter().map(rule).collect();
    let results: Vec<Value> = listed.iter().map(|(file, found)| result(file, found)).collect();
    let driver = json!({
        "name": "aegis dlp", "version": env!("CARGO_PKG_VERSION"), "rules": rules,
    });
    json!({
        "$schema": SCHEMA, "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    })
}

fn rule(kind: &str) -> Value {
    let title = Kind::named(kind).first().and_then(|kind| kind.about()).map(|about| about.title);
    let title = title.unwrap_or("Data that could not be looked at");
    json!({"id": kind, "shortDescription": {"text": title}})
}

fn result(file: &str, found: &Found) -> Value {
    let level = if found.confidence == "valid" { "error" } else { "warning" };
    let text = match found.kind.as_str() {
        "unread" => format!("This cannot be looked at: {}.", found.via),
        kind => format!("`{kind}` ({}).", found.confidence),
    };
    let region = json!({
        "startLine": found.line, "startColumn": found.column, "byteOffset": found.offset, "byteLength": found.length,
    });
    json!({
        "ruleId": found.kind, "level": level, "message": {"text": text},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri(file)}, "region": region}}],
    })
}

/// A path as the reference of a URI (RFC 3986): what has a meaning there is escaped.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte))
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_names_places_and_no_values() {
        let found = Found {
            line: 3,
            column: 7,
            offset: 40,
            length: 11,
            kind: "us_ssn".to_owned(),
            confidence: "valid",
            via: "plain",
            shown: ["ssn ".to_owned(), "KEEP-OUT".to_owned(), String::new()],
        };
        let document = document(&[("a folder/x.txt".to_owned(), found)]);
        assert!(!document.to_string().contains("KEEP-OUT"));
        let run = &document["runs"][0];
        assert_eq!(run["tool"]["driver"]["rules"][0]["id"], "us_ssn");
        let place = &run["results"][0]["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "a%20folder/x.txt");
        assert_eq!(
            (&place["region"]["startLine"], &run["results"][0]["level"]),
            (&json!(3), &json!("error"))
        );
    }
}
