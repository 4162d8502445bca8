//! The binary: reads configuration, wires the planes, runs and stops them; the operator's commands.
fn main() {}
