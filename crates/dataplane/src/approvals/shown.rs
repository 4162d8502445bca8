//! A request for approval as an agent is told of it.

use aegis_model::clock::UnixNanos;
use aegis_model::decision::Approval;
use aegis_model::utc::Utc;
use aegis_proto::v1;

/// Its id, its page, and when it ends.
pub(crate) fn shown(standing: &v1::ApprovalStanding) -> Approval {
    let ends = Utc(UnixNanos::from_seconds(standing.expires_ms / 1_000)).to_string();
    // Whole seconds.
    let ends = ends.split('.').next().unwrap_or_default();
    Approval { id: standing.id.clone(), url: standing.url.clone(), expires_at: format!("{ends}Z") }
}
