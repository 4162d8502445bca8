//! The gRPC surface: `aegis.v1.Admin`, and beside it health and reflection of the control plane's port.

mod door;
mod health;
mod service;
mod status;

use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};

use super::Admin;
pub use door::AdminDoor;
pub use health::{health, report_health};
pub use service::AdminService;
pub(crate) use service::IDEMPOTENCY_REPLAYED;
pub use status::{PROBLEM_METADATA, problem_of};

/// The service over `admin`, to be added to the routes of the control plane's gRPC port.
pub fn server(admin: Admin) -> AdminDoor {
    AdminDoor::new(admin)
}

/// Reflection of the admin API and of health; what control nodes say to each other is nobody else's to call.
pub fn reflection() -> ServerReflectionServer<impl ServerReflection> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(aegis_proto::ADMIN_DESCRIPTOR)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("the descriptors are generated")
}
