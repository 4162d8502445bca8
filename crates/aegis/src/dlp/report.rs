//! What a scan prints: lines for people as they come, one document for programs at the end.

use serde_json::{Value, json};

use super::file::Found;
use super::sarif;
use crate::output::{Output, Tone};

/// Most findings that a document holds. More are counted, not listed.
const LISTED_MAX: usize = 100_000;

/// What was found so far.
pub(super) struct Report {
    output: Output,
    listed: Vec<(String, Found)>,
    /// Findings.
    pub(super) found: u64,
    /// Files looked at.
    pub(super) files: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Files that could not be read.
    pub(super) unreadable: Vec<(String, String)>,
}

impl Report {
    pub(super) fn new(output: Output) -> Self {
        Self { output, listed: Vec::new(), found: 0, files: 0, bytes: 0, unreadable: Vec::new() }
    }

    /// Takes one finding of `file`.
    pub(super) fn add(&mut self, file: &str, found: Found) {
        self.found += 1;
        if self.output.is_text() {
            self.output.line(self.line(file, &found));
        } else if self.listed.len() < LISTED_MAX {
            self.listed.push((file.to_owned(), found));
        }
    }

    fn line(&self, file: &str, found: &Found) -> String {
        let [before, value, behind] = &found.shown;
        let place = format!("{file}:{}:{}:", found.line, found.column);
        let kind = self.output.paint(&found.kind, Tone::Strong);
        let how = match found.via {
            "plain" => found.confidence.to_owned(),
            via => format!("{}, {via}", found.confidence),
        };
        format!("{place} {kind} ({how}): {before}{}{behind}", self.output.paint(value, Tone::Bad))
    }

    /// Prints what is left to say.
    pub(super) fn end(self) {
        for (file, why) in &self.unreadable {
            self.output.problem(format!("{file}: {why}"));
        }
        if self.output.is_sarif() {
            self.output.line(sarif::document(&self.listed));
        } else if self.output.is_json() {
            self.output.line(self.document());
        } else {
            let Self { found, files, bytes, .. } = self;
            self.output.problem(format!("{found} findings in {files} files, {bytes} bytes"));
        }
    }

    fn document(&self) -> Value {
        let findings = self.listed.iter().map(|(file, found)| {
            json!({
                "file": file, "line": found.line, "column": found.column, "offset": found.offset,
                "length": found.length, "kind": found.kind, "confidence": found.confidence, "via": found.via,
                "shown": found.shown[1],
            })
        });
        let unreadable = self.unreadable.iter().map(|(file, why)| json!({"file": file, "error": why}));
        json!({
            "findings": findings.collect::<Vec<_>>(), "found": self.found, "files": self.files, "bytes": self.bytes,
            "unreadable": unreadable.collect::<Vec<_>>(),
        })
    }
}
