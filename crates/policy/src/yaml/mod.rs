//! Reads a policy file into a tree whose every key and value knows its place. YAML is the 1.2 core schema with
//! its ambiguous scalars refused; a `.json` file is strict JSON and gives the same tree.

mod build;
mod guard;
mod json;
mod node;
mod number;
mod read;
mod scalar;

pub(crate) use node::{Kind, Node, Pair};
pub(crate) use read::read;
