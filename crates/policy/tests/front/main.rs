//! The front of the policy compiler through its door: `check(files)`.

mod bounds;
mod broken;
mod enforcement;
mod examples;
mod good;
mod policy_tests;
mod properties;
mod regexes;
mod schemas;

use aegis_policy::ast::SourceFile;
use aegis_policy::check::{Checked, check};

/// Checks one file.
fn check_one(path: &str, text: &str) -> Checked {
    check(vec![SourceFile { path: path.to_owned(), text: text.into() }])
}

/// All problems as a person sees them.
fn rendered(checked: &Checked) -> String {
    let shown = checked.diagnostics.iter().map(|problem| problem.render(&checked.files, false));
    let mut text = shown.collect::<Vec<_>>().join("\n\n");
    if checked.more > 0 {
        text.push_str(&format!("\n\nand {} more", checked.more));
    }
    text
}
