//! The admin API over real sockets: the commands of its documentation, a gRPC client, and the end of a node.

#![expect(clippy::unwrap_used, reason = "what cannot fail in a test ends the test")]

#[path = "admin/documentation.rs"]
mod documentation;
#[path = "admin/over_grpc.rs"]
mod over_grpc;
#[path = "admin/serving.rs"]
mod serving;
#[path = "admin/setting.rs"]
mod setting;
