//! What this node has to do with requests for approval: it opens them, lets agents wait for them, and redeems what was approved.
//!
//! ```text
//!  consent ── open ───────▶ desk ══ Approvals ══▶ a control node: replicated
//!          ── redeem ─────▶  │
//!  a redemption of which nothing was released ──▶ given back, in the background
//! ```
//!
//! Nothing is kept here: what a request is, and whether an approval was used, the control plane says (APR-1).

mod digest;

mod counts;
mod desk;

mod link;

mod redemption;

mod shown;

mod status;

pub(crate) use desk::{Approvals, Opening, Redeemed, Unreachable};
pub(crate) use digest::{CallDigest, canonical_context, digest_of_call};
pub(crate) use link::{ApprovalLink, ApprovalLinkConfig};
pub(crate) use redemption::{Held, Redemption};
pub(crate) use shown::shown;
pub(crate) use status::status;
