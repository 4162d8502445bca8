//! Publishing bundles to an object store, from where any stock OPA can fetch them.
//!
//! The replicated state is the truth, the store a mirror of it ([`layout`]). Nothing that a person asks for waits for the
//! store: a worker on the leader ([`worker`]) compares what should be there with what is there and puts what is missing,
//! again and again. So a crash loses nothing, and a store that is down delays nothing but itself; [`status`] says what is
//! still missing.
//!
//! What the store's reader can rely on: an object of a version never changes, and `manifest.pb` appears after the
//! others. What it cannot: that the enforced bundle is newer than the one it saw before (POL-2 holds for data nodes,
//! which take versions from the feed and never from here).

pub mod config;
pub mod layout;
pub mod shelf;
pub mod status;
pub mod worker;

pub use config::{OpenStore, StoreConfig, StoreConfigError};
pub use shelf::{Shelf, ShelfError, Shelved};
pub use status::{Shelving, StoreStatus};
pub use worker::Worker;
