//! `Recorded` → the answer, which the surface writes in its own form. Always answers.

use crate::answer::Answer;
use crate::decider::Decider;
use crate::stages::record::Recorded;

/// Counts the answer, hands its span on, and lets it go.
pub(crate) fn respond(decider: &Decider, recorded: Recorded) -> Answer {
    let Recorded { answer, laps, subject } = recorded;
    decider.metrics.answered(&answer, &subject, &laps);
    if let Some(span) = subject.span {
        decider.spans.close(span, &answer, &laps);
    }
    answer
}
