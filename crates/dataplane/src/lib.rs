//! One node: takes a call from any surface, walks it, answers it.
