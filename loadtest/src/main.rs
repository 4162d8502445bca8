//! An open-loop load generator.
fn main() {}
