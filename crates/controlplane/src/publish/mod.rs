//! From policy sources, or a ready bundle, to a replicated and signed version.
//!
//! [`Publisher::publish`] is the way on one screen. [`build`] checks and compiles, with every problem told ([`report`]);
//! what it gives is cut into pieces that are replicated one by one, and then named by a version with a signed manifest. A
//! crash in between leaves pieces that nobody names, which are swept, and nothing else.

pub mod build;
pub mod error;
pub mod progress;
pub mod publisher;
pub mod report;
pub mod stored;
mod turns;

pub use build::{Built, Content, Rejected};
pub use error::PublishError;
pub use progress::Progress;
pub use publisher::{Publication, Published, Publisher};
pub use report::{Finding, Report};
