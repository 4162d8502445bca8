//! The admin API over a state in memory, through both surfaces.
//!
//! [`examples`] has one sound request for every operation. What has to hold of all of them is a test over that table, and
//! the table is compared with the operations that there are, so that a new one cannot be left out.

pub(crate) mod setting;

mod examples;

mod doors;
mod parity;
mod reading;
mod stories;
