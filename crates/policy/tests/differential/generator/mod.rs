//! Random checked sets and calls of them, from seeds.

pub(crate) mod calls;
mod checks;
pub(crate) mod policy;
pub(crate) mod pools;
mod schema;
