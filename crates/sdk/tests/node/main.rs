//! The client against nodes that run in this process.

mod decide;
mod stream;
mod strict_wire;
mod support;
mod tls;
