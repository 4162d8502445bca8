//! The real binary, from the outside: commands, `aegis dev`, `aegis data`, and every example.

mod nodes;
mod support;
mod trials;

mod approvals;
mod archive;
mod cli;
mod cluster;
mod data;
mod dev;
mod dlp;
mod examples;
mod exports;
mod faults;
mod identity;
mod kills;
mod limits;
mod policy;
mod receipts;
mod reload;
mod search;
mod telemetry;
mod token;
mod witness;
