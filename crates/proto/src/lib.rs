//! The wire and disk forms, generated, and their conversion to and from the model.
//!
//! What this crate does not do: it knows no rule, opens no socket and judges nothing.
//! Start at [`v1`] (the messages and the service), then [`convert`] (gRPC), [`http_json`]
//! (`POST /v1/decide`) and [`authzen`] (AuthZEN 1.0).
//!
//! # Generated code
//!
//! `src/gen` is generated from `proto/` and committed, so that building needs neither `protoc` nor a build
//! script. After a change in `proto/`, and before this crate's own code follows it, run `cargo xtask gen`, which is
//! `AEGIS_GENERATE=write cargo test -p aegis-proto --test generated`. Without the variable the same test
//! compares byte for byte and fails on a difference.

/// The generated modules, nested as their packages are.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated code; its documentation comes from the comments in `proto/`"
)]
pub mod aegis {
    /// Package `aegis.v1`.
    pub mod v1 {
        include!("gen/aegis.v1.rs");
    }
    /// What only the control plane uses.
    pub mod control {
        /// Package `aegis.control.v1`.
        pub mod v1 {
            include!("gen/aegis.control.v1.rs");
        }
    }
    /// What only the load generator uses.
    pub mod loadtest {
        /// Package `aegis.loadtest.v1`.
        pub mod v1 {
            include!("gen/aegis.loadtest.v1.rs");
        }
    }
}

/// The admin API, of package `aegis.v1` as well: its messages are also the JSON documents of the REST surface, and share
/// names with those of the feed.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated code; its documentation comes from the comments in `proto/`"
)]
pub mod admin {
    include!("gen/aegis.v1.admin.rs");
}

pub use aegis::control::v1 as control;
pub use aegis::loadtest::v1 as loadtest;
pub use aegis::v1;

/// The encoded `FileDescriptorSet` of what a node serves, for reflection.
pub const DESCRIPTOR: &[u8] = include_bytes!("gen/descriptor.bin");

/// The encoded `FileDescriptorSet` of the admin API, for reflection at the control plane.
pub const ADMIN_DESCRIPTOR: &[u8] = include_bytes!("gen/admin_descriptor.bin");

pub mod convert;
pub mod http_json;

pub mod authzen;

pub mod status;

pub mod bad_request;

pub mod codec;
pub mod exposition;
pub mod json_text;
pub mod wire_shape;

mod members;
mod redacted;
mod redacted_admin;
