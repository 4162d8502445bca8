//! `POST /v1/proof`: that the record of a decision is in the running audit log.
//!
//! Who asks has to name the leaf, which stands in the receipt and which nobody can guess, since a record has a random id. So an agent
//! gets proofs of what it was given a receipt for, and learns nothing of others' records (TEN-1).

use std::net::IpAddr;
use std::sync::Arc;

use aegis_audit::hash::Hash;
use aegis_audit::journal::{Journal, Proof};
use aegis_audit::tree::verify_inclusion;
use aegis_model::reason::ReasonCode;
use aegis_proto::http_json;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use serde_json::json;

use super::decide::body as body_of;
use super::problem::Problem;
use super::{HttpSurface, Reply, headers, reply};
use crate::answer::Refused;
use crate::case::Surface;
use crate::complete::prove;
use crate::decider::Decider;

/// Answers one request.
pub(super) async fn answer(
    surface: &HttpSurface,
    source: IpAddr,
    head: &Parts,
    body: Incoming,
) -> Result<Reply, Problem> {
    let token = surface.token(source, Surface::Http, head).await?;
    headers::check_json(&head.headers)?;
    let _entry = surface.enter(Surface::Http)?;
    let body = surface.bodies.read(body).await?;
    let decider = Arc::clone(&surface.decider);
    if let Err(refused) = prove(&decider, token) {
        return Err(decider.turn_away(source, Surface::Http, refused).await.into());
    }
    let asked = http_json::read_receipt(&body).map_err(|bad| {
        decider.malformed(Surface::Http);
        Refused::from(bad)
    })?;
    drop(body);
    let leaf: Hash = asked.leaf.parse().map_err(|_bad| unknown())?;
    let (log, index) = (asked.log, asked.index);
    let running = decider.records.journal().is_some_and(|journal| journal.key().name().as_str() == &*log);
    if !running {
        return Err(unknown());
    }
    // May read the disk.
    let found = tokio::task::spawn_blocking(move || find(&decider, index, leaf)).await;
    let proof = found.unwrap_or(Err(ReasonCode::AuditUnavailable)).map_err(|code| match code {
        ReasonCode::InvalidRequest => unknown(),
        code => Refused::plain(code).into(),
    })?;
    let checkpoint = &proof.signed.checkpoint;
    let told = json!({
        "log": &*log, "index": index, "leaf": leaf, "proof": proof.hashes, "size": checkpoint.size, "root": checkpoint.root,
        "checkpoint": String::from_utf8_lossy(&proof.signed.note),
    });
    Ok(reply::json(StatusCode::OK, body_of(&told)))
}

/// The proof of this leaf at this index, under the newest checkpoint, or one that is made for it.
fn find(decider: &Decider, index: u64, leaf: Hash) -> Result<Proof, ReasonCode> {
    let journal = decider.records.journal().ok_or(ReasonCode::AuditUnavailable)?;
    let proved = |journal: &Journal| journal.prove(index).map_err(|_no_tile| ReasonCode::AuditUnavailable);
    let proof = match proved(journal)? {
        Some(proof) => Some(proof),
        None => {
            journal.checkpoint().map_err(|_not_kept| ReasonCode::AuditUnavailable)?;
            proved(journal)?
        }
    };
    let proof = proof.ok_or(ReasonCode::InvalidRequest)?;
    let checkpoint = &proof.signed.checkpoint;
    let holds = verify_inclusion(index, checkpoint.size, &leaf, &proof.hashes, &checkpoint.root);
    holds.map(|()| proof).map_err(|_another_leaf| ReasonCode::InvalidRequest)
}

/// The same for another log, index and leaf, so that nothing is learned of what is there.
fn unknown() -> Problem {
    Problem::malformed(StatusCode::NOT_FOUND, "no such record is in the audit log that runs at this node")
}
