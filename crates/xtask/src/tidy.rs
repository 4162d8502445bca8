//! The rules of the house that a machine can check. Each is a function from a tree to findings.
//!
//! They read only. Every check has a test that feeds it a bad fixture, because a check is trusted only after
//! it has complained once.

pub mod alerts;
pub mod arrows;
pub mod error_pages;
pub mod examples;
pub mod invariants;
pub mod links;
pub mod machine_paths;
pub mod manifests;
pub mod module_docs;
pub mod sources;

use std::path::Path;

use aegis_model::reason::ReasonCode;

use crate::graph::Graph;
use crate::tree::Tree;

/// One thing that is not in order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, and the line where that says more.
    pub place: String,
    /// What is wrong, and what would make it right.
    pub problem: String,
}

impl Finding {
    /// A finding about a whole file or package.
    pub fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }

    /// A finding about one line, counted from 0 as iterators count.
    pub fn at(path: &str, line: usize, problem: impl Into<String>) -> Self {
        Self { place: format!("{path}:{}", line + 1), problem: problem.into() }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// A check, with the name under which it is reported.
#[derive(Debug)]
pub struct Outcome {
    /// Short name, the module's.
    pub check: &'static str,
    /// What it found; empty when all is in order.
    pub findings: Vec<Finding>,
}

/// Runs every check on the checkout at `root`.
///
/// # Errors
/// When the checkout cannot be read or cargo cannot give its graph.
pub fn all(root: &Path) -> anyhow::Result<Vec<Outcome>> {
    let tree = Tree::read(root)?;
    let graph = Graph::read(root)?;
    let outcome = |check, findings| Outcome { check, findings };
    Ok(vec![
        outcome("arrows", arrows::check(&graph.packages)),
        outcome("manifests", manifests::check(&tree, &graph)),
        outcome("module docs", module_docs::check(&tree)),
        outcome("error pages", error_pages::check(&tree, ReasonCode::ALL)),
        outcome("invariants", invariants::check(&tree)),
        outcome("links", links::check(&tree)),
        outcome("machine paths", machine_paths::check(&tree)),
        outcome("examples", examples::check(&tree)),
        outcome("sources", sources::check(&tree)),
        outcome("alerts", alerts::check(&tree)),
    ])
}
