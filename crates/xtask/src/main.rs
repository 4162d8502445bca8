//! The project's own checks and measurements: tidy tests, code generation, bars.
fn main() {}
