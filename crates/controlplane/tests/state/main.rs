//! Properties of the replicated state under random histories of commands.

mod commands;

mod isolation;
mod limits;
mod replication;

mod control;
