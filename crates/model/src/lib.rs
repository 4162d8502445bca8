//! The nouns every part shares: ids, principal, tool call, decision, reason codes, bounds, clock, secrets.
//!
//! What this crate does not do: it knows no wire format, starts no task and touches no file or socket.
//! Start at [`call::ToolCall`] (what is asked), [`principal::Principal`] (who asks) and
//! [`decision::Decision`] (what is answered).

pub mod call;
pub mod caps;
pub mod clock;
pub mod completion;
pub mod decision;
pub mod digest;
pub mod ids;
pub mod json;
pub mod metric;
pub mod money;
pub mod principal;
pub mod reason;
pub mod scope;
pub mod secret;
pub mod slot;
pub mod tenant_key;
pub mod trace;
pub mod utc;
