//! What stays on disk between starts: a data directory with one owner at a time.

mod data_dir;
mod files;
mod numbers;

pub(crate) use data_dir::{AUDIT_DIR, DataDir, DevNode, LastGood, read_signing_key};
pub(crate) use files::{Readers, read_bounded, write_whole};
pub(crate) use numbers::{Numbers, fingerprint};
