//! The bars there are. A new one is a row here.

use super::{Bar, Bound, Goal, Step};

/// Every bar, in the order in which `cargo xtask bar` lists them.
pub const BARS: &[Bar] = &[Bar {
    name: "verify-time",
    question: "How long do the checks take that a contributor runs before every commit?",
    commands: &[
        Step { line: "cargo xtask tidy --output json", variables: &[] },
        Step { line: "cargo test --quiet --locked -p aegis-model", variables: &[] },
    ],
    goals: &[Goal { figure: "tidy", bound: Bound::AtMost(10_000.0) }],
}];

/// The bar of this name.
pub fn find(name: &str) -> Option<&'static Bar> {
    BARS.iter().find(|bar| bar.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_fit_a_file() {
        for (at, bar) in BARS.iter().enumerate() {
            let fits =
                bar.name.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-');
            assert!(fits && !bar.name.is_empty(), "`{}` does not fit a file name", bar.name);
            assert!(!BARS[..at].iter().any(|other| other.name == bar.name), "`{}` stands twice", bar.name);
            assert!(!bar.commands.is_empty() && bar.question.ends_with('?'), "`{}`", bar.name);
        }
    }
}
