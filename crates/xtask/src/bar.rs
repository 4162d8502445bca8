//! Measurement bars: named sets of commands whose figures are written down with the machine they came from.
//!
//! A bar is run by hand (`cargo xtask bar NAME`), never by CI: figures of a shared machine decide nothing.
//! Register one in [`registry::BARS`]. Figures come from two places: lines of standard output that are JSON
//! objects, and what criterion leaves under `target/criterion`. A line is either one figure,
//! `{"name": "walk/allow", "value": 14.2, "unit": "us"}`, or several, `{"bench": "load", "p99_ms": 3.1, …}`, whose
//! names become `load/p99_ms` and carry their unit themselves.

pub mod criterion;
pub mod registry;
pub mod report;
pub mod run;

use serde::Serialize;

/// A question about speed or size, and the commands that answer it.
#[derive(Debug, Clone, Copy)]
pub struct Bar {
    /// The name on the command line and of the report: lower case, digits and dashes.
    pub name: &'static str,
    /// What is asked, in one sentence.
    pub question: &'static str,
    /// What is run, in this order, from the root of the checkout.
    pub commands: &'static [Step],
    /// What must hold of the figures.
    pub goals: &'static [Goal],
}

/// One command of a bar.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The program and its arguments, separated by single spaces; no shell reads it.
    pub line: &'static str,
    /// Variables set for it.
    pub variables: &'static [(&'static str, &'static str)],
}

/// An upper or lower bound on one figure, or on the ratio of two.
#[derive(Debug, Clone, Copy)]
pub struct Goal {
    /// The figure's name.
    pub figure: &'static str,
    /// The figure that it is divided by, if the goal is a ratio.
    pub over: Option<&'static str>,
    /// The bound, in the figure's unit.
    pub bound: Bound,
}

/// On which side of a number a figure must stay.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    /// The figure must not be larger.
    AtMost(f64),
    /// The figure must not be smaller.
    AtLeast(f64),
}

/// One measured number.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What was measured, e.g. `walk/allow`.
    pub name: String,
    /// The number.
    pub value: f64,
    /// Its unit, e.g. `ns`, `ratio`, `calls/s`; empty when the name says it.
    pub unit: String,
}

impl Bound {
    /// Whether `value` is on the right side.
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "<= {most}"),
            Self::AtLeast(least) => write!(f, ">= {least}"),
        }
    }
}
