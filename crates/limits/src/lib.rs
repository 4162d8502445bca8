//! Given now and counters, says whether one more call fits; the arithmetic of shares and leases.
//!
//! What this crate does not do: it reads no clock, starts no task, sends nothing and stores nothing, and it does not know
//! where quotas come from. Control nodes keep a [`ledger::Ledger`] per budget and [`shares::Shares`] per rate; data nodes
//! spend [`lease::Lease`]s and take from [`bucket::Bucket`]s. Amounts are [`aegis_model::money::Micros`] throughout.
//!
//! Start at [`hierarchy::Hierarchy::reserve`] (does this call fit?) and [`ledger::Ledger::grant`] (what may a node spend?).
//! States and failures: `docs/internals/limits.md`.

pub mod amount;
pub mod epoch;
pub mod holder;

pub mod ledger;
pub mod size;

pub mod cell;
pub mod lease;
pub mod purse;

pub mod bucket;
pub mod pace;
pub mod shares;
pub mod split;
pub mod term;

pub mod hierarchy;
pub mod reservation;

pub mod placement;
