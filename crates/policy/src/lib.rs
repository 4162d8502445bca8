//! Compiles policy text to a checked program and an OPA bundle; evaluates it to a verdict with its explanation.
