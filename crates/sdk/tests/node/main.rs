//! The client against nodes that run in this process.

mod decide;
mod routing;
mod stream;
mod strict_wire;
mod support;
mod tls;
