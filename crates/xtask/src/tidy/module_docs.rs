//! Every Rust file of ours begins with a `//!` line that says what its story is.

use super::Finding;
use crate::tree::Tree;

/// Finds files whose first line is no module documentation.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let silent = |text: &str| {
        let first = text.lines().next().unwrap_or_default();
        first.strip_prefix("//!").is_none_or(|words| words.trim().is_empty())
    };
    tree.rust()
        .filter(|(_, text)| silent(text))
        .map(|(path, _)| Finding::at(path, 0, "must begin with a `//!` line that says what the file is for"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_does_not_say_its_story_is_found() {
        let tree = Tree::of(&[
            ("a/src/told.rs", "//! Tells.\n"),
            ("a/src/silent.rs", "use std::fmt;\n//! Too late.\n"),
            ("a/src/empty.rs", "//!\n"),
            ("a/src/gen/made.rs", "// @generated\n"),
        ]);
        let places: Vec<_> = check(&tree).into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["a/src/empty.rs:1", "a/src/silent.rs:1"]);
    }
}
