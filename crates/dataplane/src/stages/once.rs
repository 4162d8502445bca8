//! A `request_id` makes a retry safe: the same call of the same principal is judged once, and answered again.

use std::sync::Arc;

use aegis_model::reason::ReasonCode;

use crate::case::Identified;
use crate::decider::Decider;
use crate::digest;
use crate::stages::record::{Recording, record};

/// Judges the call, or finds the earlier judgement under its `request_id`.
///
/// Two at the same time: the second one waits, at most as long as one judgement takes, and shares it. If the first one's
/// client goes away before it was judged, or its judgement panics, the second judges.
/// Refuses for: an id that stands for another call, and too many ids to remember.
pub(crate) async fn once(
    decider: &Decider,
    mut identified: Identified,
    judge: impl AsyncFnOnce(&Decider, Identified) -> Recording,
) -> Recording {
    let Some(request_id) = &identified.case.call.request_id else { return judge(decider, identified).await };
    // A call that goes on after its client has waited for people is another one than that which asked them. No id holds a zero.
    let key = match identified.case.resumed {
        None => digest::asker(&identified.principal, request_id.as_str()),
        Some(_) => digest::asker(&identified.principal, &format!("\0{request_id}")),
    };
    let content = digest::content(&mut identified.case.call);
    let Some(slot) = decider.replays.slot(key, content, identified.case.now) else {
        let message = "the node remembers as many request ids as it can";
        return record(decider, Err(identified.case.deny(ReasonCode::Overloaded, message)));
    };
    if slot.content() != &content {
        let message = "the request id was used for another call";
        return record(decider, Err(identified.case.deny(ReasonCode::InvalidRequest, message)));
    }

    let mut unjudged = Some(identified);
    let mut first = None;
    let judged = slot.judged().get_or_init(async || {
        let identified = unjudged.take().expect("only one closure of this call takes it");
        let recording = judge(decider, identified).await;
        // No pause from the queued record to the remembered judgement.
        let kept = recording.kept();
        first = Some(recording);
        kept
    });
    let kept = judged.await;
    match (first, unjudged) {
        (Some(recording), _) => recording.remembered(key, Arc::clone(&slot)),
        (None, Some(identified)) => {
            Recording::again(decider, kept, identified.case).remembered(key, Arc::clone(&slot))
        }
        (None, None) => unreachable!("the call was judged or it was not"),
    }
}
