//! What tests share: the places of the checkout, sockets, processes, and waiting that ends.
//!
//! Only ever a dev-dependency. It knows nothing of the product; a helper that does belongs beside its tests.

pub mod eventually;
pub mod places;
pub mod process;
pub mod server;
pub mod sockets;
pub mod stores;

pub use eventually::eventually;
pub use places::{root, vectors_dir};
pub use process::TestProcess;
pub use sockets::{kept, loopback};
