//! A node over real sockets: what each surface answers, and what happens when things go wrong.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod support;

mod authzen;
mod drain;
mod grpc;
mod hostile;
mod http;
mod metrics;
mod record;
mod tls;
mod tracing;
