//! Questions and answers as they travel.

use std::collections::BTreeMap;

use aegis_audit::hash::Hash;
use aegis_audit::keys::VerifyingKey;
use aegis_audit::origin::Origin;
use aegis_audit::record::RecordId;
use aegis_audit::search::{Filter, Hit, Known, Position};
use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::decision::Outcome;
use aegis_proto::v1;

use super::desk::{Answer, NoAnswer, Question};

/// A question to the data node `node`, if it is one.
pub(super) fn read(asked: &v1::SearchQuestion, node: &str) -> Option<Question> {
    let of = if asked.copies_of.is_empty() { node } else { &asked.copies_of };
    if asked.logs.len() > caps::SEARCH_LOGS_MAX {
        return None;
    }
    let from = asked.from.map(|from| Position { life: from.life, segment: from.segment, below: from.below });
    let limit = |number: u32, most: usize| usize::try_from(number).unwrap_or(most).clamp(1, most);
    Some(Question {
        tenant: asked.tenant.parse().ok()?,
        filter: filter(asked.filter.as_ref().unwrap_or(&v1::DecisionFilter::default()))?,
        from,
        hits_max: limit(asked.hits_max, caps::PAGE_ROWS_MAX),
        bytes_max: limit(asked.bytes_max, caps::SEARCH_PAGE_BYTES_MAX),
        copies_only: !asked.copies_of.is_empty(),
        known: asked.logs.iter().map(|log| known(log, of)).collect::<Option<BTreeMap<_, _>>>()?,
    })
}

/// The life of a log, and what is known of it; nothing if it is not one of the data node `of`.
fn known(log: &v1::SearchLog, of: &str) -> Option<(u64, Known)> {
    let key: VerifyingKey = log.verifier.parse().ok()?;
    let origin: Origin = key.name().as_str().parse().ok()?;
    let accepted = match &log.root[..] {
        [] => None,
        root => Some((log.size, Hash(root.try_into().ok()?))),
    };
    let known = Known { key, accepted, closed: log.closed, wanted: log.wanted };
    (origin.node() == of).then_some((origin.incarnation(), known))
}

fn filter(it: &v1::DecisionFilter) -> Option<Filter> {
    Some(Filter {
        agent: maybe(&it.agent)?,
        tool: maybe(&it.tool)?,
        action: maybe(&it.action)?,
        outcome: match it.outcome.as_str() {
            "" => None,
            name => Some(outcome(name)?),
        },
        reason: maybe(&it.reason)?,
        version: (it.version > 0).then_some(it.version),
        from: it.from_ns.map(UnixNanos),
        to: it.to_ns.map(UnixNanos),
        decision_id: (!it.decision_id.is_empty()).then(|| it.decision_id.clone()),
        trace_id: match it.trace_id.as_str() {
            "" => None,
            id => Some(RecordId::try_from(id.to_owned()).ok()?),
        },
        request_id: maybe(&it.request_id)?,
    })
}

fn outcome(name: &str) -> Option<Outcome> {
    let all = [Outcome::Allow, Outcome::Deny, Outcome::Sanitize, Outcome::ApprovalRequired];
    all.into_iter().find(|outcome| outcome.as_str() == name)
}

/// What `text` names, where an empty text is nothing; nothing at all if it names nothing.
fn maybe<T: std::str::FromStr>(text: &str) -> Option<Option<T>> {
    if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
}

/// What was found, as it travels.
pub(super) fn found(number: u64, answer: Result<Answer, NoAnswer>) -> v1::SearchAnswer {
    let Answer { found, lacks } = match answer {
        Ok(answer) => answer,
        Err(NoAnswer::Busy) => return refused(number, "busy"),
        Err(NoAnswer::Unreadable) => return refused(number, "unreadable"),
    };
    v1::SearchAnswer {
        number,
        refused: String::new(),
        hits: found.hits.into_iter().map(hit).collect(),
        rest: found.rest.map(|rest| v1::SearchPosition {
            life: rest.life,
            segment: rest.segment,
            below: rest.below,
        }),
        reached_ns: found.reached.map_or(0, |at| at.0),
        lacks: lacks
            .into_iter()
            .map(|(life, why)| v1::SearchLack { life, why: why.as_str().to_owned() })
            .collect(),
        copies_of: String::new(),
    }
}

/// There is no answer.
pub(super) fn refused(number: u64, why: &str) -> v1::SearchAnswer {
    v1::SearchAnswer { number, refused: why.to_owned(), ..v1::SearchAnswer::default() }
}

fn hit(hit: Hit) -> v1::SearchHit {
    let link = |link: aegis_audit::search::Linked| v1::SearchLink {
        kind: link.kind.to_owned(),
        index: link.index,
        leaf: link.leaf.0.to_vec(),
    };
    v1::SearchHit {
        life: hit.life,
        segment: hit.segment,
        index: hit.index,
        at_ns: hit.at.0,
        record: hit.record.into(),
        links: hit.links.into_iter().map(link).collect(),
        links_partial: hit.links_partial,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_nothing_is_no_question() {
        let asked = |filter: v1::DecisionFilter| v1::SearchQuestion {
            tenant: "acme".to_owned(),
            filter: Some(filter),
            ..v1::SearchQuestion::default()
        };
        let sound = v1::DecisionFilter { outcome: "deny".to_owned(), ..Default::default() };
        let question = read(&asked(sound), "data-1").unwrap();
        assert_eq!(question.filter, Filter { outcome: Some(Outcome::Deny), ..Filter::default() });
        assert_eq!((question.hits_max, question.bytes_max), (1, 1));
        for filter in [
            v1::DecisionFilter { outcome: "Deny".to_owned(), ..Default::default() },
            v1::DecisionFilter { reason: "NoSuchCode".to_owned(), ..Default::default() },
            v1::DecisionFilter { agent: "a b".to_owned(), ..Default::default() },
            v1::DecisionFilter { trace_id: "00".to_owned(), ..Default::default() },
        ] {
            assert!(read(&asked(filter.clone()), "data-1").is_none(), "{filter:?}");
        }
        assert!(
            read(&v1::SearchQuestion { tenant: "a b".to_owned(), ..Default::default() }, "data-1").is_none()
        );
        let greedy =
            v1::SearchQuestion { hits_max: u32::MAX, bytes_max: u32::MAX, ..asked(Default::default()) };
        let bounded = read(&greedy, "data-1").unwrap();
        assert_eq!((bounded.hits_max, bounded.bytes_max), (caps::PAGE_ROWS_MAX, caps::SEARCH_PAGE_BYTES_MAX));
    }
}
