//! The project's own checks and measurements: tidy tests, code generation, bars.
//!
//! Nothing here ships. It knows the repository as files and as cargo's package graph, and no rule of the product.
//! Start at [`tidy::all`] for what keeps the house in order and at [`bar`] for how figures are taken.

pub mod bar;
pub mod cluster;
pub mod graph;
pub mod machine;
pub mod tidy;
pub mod tree;
