//! The answers of many data nodes as one page, and where each of them stands after it.

use std::collections::{BTreeMap, VecDeque};

use aegis_audit::record::envelope;
use aegis_audit::search::Lack;
use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::v1;

use super::{Missing, Place};

/// What one data node was asked, and what it said.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) node: u64,
    pub(crate) from: Option<v1::SearchPosition>,
    pub(crate) answer: Result<v1::SearchAnswer, Missing>,
}

/// A page.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    /// The data node of each decision, and the decision.
    pub(crate) hits: Vec<(u64, v1::SearchHit)>,
    /// Where each data node stands after the page.
    pub(crate) places: BTreeMap<u64, Place>,
    /// Those that did not answer.
    pub(crate) missing: Vec<(u64, Missing)>,
    /// The data node and the life of each log that was not looked at, or not to its end, and why.
    pub(crate) lacks: Vec<(u64, u64, &'static str)>,
    /// The moment down to which every data node that answered was looked at; nothing: all of it was.
    pub(crate) looked_back_to_ns: Option<u64>,
}

/// One data node's hits that are not on the page yet.
struct Column {
    node: u64,
    hits: VecDeque<v1::SearchHit>,
    rest: Option<v1::SearchPosition>,
    reached_ns: u64,
}

/// Merges the answers of data nodes by time, the newest first, into a page of at most `hits_max` decisions, which ends after
/// `bytes_max` bytes of records. Of each data node the decisions stay in the order of its logs.
///
/// A decision is on the page only if no data node may still have a newer one that it has not come to.
pub(crate) fn merge(tenant: &TenantId, asked: Vec<Asked>, hits_max: usize, bytes_max: usize) -> Merged {
    let mut merged = Merged::default();
    let mut columns: Vec<Column> = Vec::new();
    for Asked { node, from, answer } in asked {
        match answer.and_then(|answer| check(tenant, from, answer)) {
            Ok(answer) => {
                let lacks = answer.lacks.iter().take(caps::SEARCH_LOGS_MAX);
                merged.lacks.extend(lacks.map(|lack| (node, lack.life, lack_code(&lack.why))));
                columns.push(Column {
                    node,
                    hits: answer.hits.into(),
                    rest: answer.rest,
                    reached_ns: answer.reached_ns,
                });
            }
            Err(why) => {
                merged.missing.push((node, why));
                merged.places.insert(node, Place::Missing);
            }
        }
    }
    let mut bytes = 0;
    while merged.hits.len() < hits_max && bytes < bytes_max {
        let open = columns.iter().filter(|column| column.hits.is_empty() && column.rest.is_some());
        let bound = open.map(|column| column.reached_ns).max();
        let newest = columns.iter_mut().rev().max_by_key(|column| column.hits.front().map(|hit| hit.at_ns));
        let Some(column) = newest else { break };
        // What was reached is looked at already, so that an equal moment is no older one.
        let next = column.hits.pop_front_if(|hit| bound.is_none_or(|bound| hit.at_ns >= bound));
        let Some(hit) = next else { break };
        bytes += hit.record.len();
        merged.hits.push((column.node, hit));
    }
    for column in columns {
        let (place, reached_ns) = match (column.hits.front(), column.rest) {
            (Some(next), _) => {
                let above = v1::SearchPosition {
                    life: next.life,
                    segment: next.segment,
                    below: next.index.saturating_add(1),
                };
                (Place::At(above), Some(next.at_ns))
            }
            (None, Some(rest)) => (Place::At(rest), Some(column.reached_ns)),
            (None, None) => (Place::Done, None),
        };
        merged.places.insert(column.node, place);
        merged.looked_back_to_ns = merged.looked_back_to_ns.max(reached_ns);
    }
    merged
}

/// The stable code of what a data node could not look at; one that is not known is told as what it is.
fn lack_code(why: &str) -> &'static str {
    let known = [Lack::NotCopied, Lack::Incomplete, Lack::Refused, Lack::Unreadable];
    known.into_iter().map(Lack::as_str).find(|code| *code == why).unwrap_or("malformed")
}

/// Holds an answer against its question: records of the tenant and of no other (TEN-1), in falling order, below where it was to go
/// on, and a rest that is further down.
fn check(
    tenant: &TenantId,
    from: Option<v1::SearchPosition>,
    answer: v1::SearchAnswer,
) -> Result<v1::SearchAnswer, Missing> {
    let chain = format!("tenant/{tenant}");
    let place = |at: &v1::SearchPosition| (at.life, at.segment, at.below);
    let mut last = from.as_ref().map(place);
    for hit in &answer.hits {
        let here = (hit.life, hit.segment, hit.index);
        let sound = envelope(&hit.record).is_ok_and(|it| it.chain == chain && it.kind == "decision");
        if !sound || last.is_some_and(|last| here >= last) {
            tracing::warn!(%tenant, life = hit.life, index = hit.index, "a data node answers what it was not asked");
            return Err(Missing::Malformed);
        }
        last = Some(here);
    }
    let rest = answer.rest.as_ref().map(place);
    let ends = match (rest, last) {
        // Where nothing was found, it has to come further all the same: otherwise nobody would ever come to an end.
        (Some(rest), Some(last)) if answer.hits.is_empty() => rest < last,
        (Some(rest), Some(last)) => rest <= last,
        (Some(_), None) | (None, _) => true,
    };
    if ends { Ok(answer) } else { Err(Missing::Malformed) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tenant() -> TenantId {
        "acme".parse().unwrap()
    }

    fn record(chain: &str, index: u64) -> Vec<u8> {
        let id = format!("{index:032x}");
        let at = "2026-11-23T05:16:00.000000001Z";
        format!(r#"{{"at":"{at}","chain":"{chain}","id":"{id}","seq":1,"v":1,"what":{{"decision":{{}}}}}}"#)
            .into_bytes()
    }

    fn hit(life: u64, index: u64, at_ns: u64) -> v1::SearchHit {
        let record = record("tenant/acme", index).into();
        v1::SearchHit { life, segment: index / 4, index, at_ns, record, ..Default::default() }
    }

    fn position(life: u64, index: u64) -> v1::SearchPosition {
        v1::SearchPosition { life, segment: index / 4, below: index }
    }

    fn answered(
        node: u64,
        hits: Vec<v1::SearchHit>,
        rest: Option<v1::SearchPosition>,
        reached_ns: u64,
    ) -> Asked {
        let answer = v1::SearchAnswer { hits, rest, reached_ns, ..Default::default() };
        Asked { node, from: None, answer: Ok(answer) }
    }

    #[test]
    fn a_node_that_answers_what_it_was_not_asked_is_missing() {
        let foreign = v1::SearchHit { record: record("tenant/other", 5).into(), ..hit(1, 5, 50) };
        let no_record = v1::SearchHit { record: b"{}".to_vec().into(), ..hit(1, 5, 50) };
        let rising = vec![hit(1, 5, 50), hit(1, 6, 60)];
        let twice = vec![hit(1, 5, 50), hit(1, 5, 50)];
        for (hits, rest) in [
            (vec![foreign], None),
            (vec![no_record], None),
            (rising, None),
            (twice, None),
            (vec![hit(1, 9, 90)], None),
            (vec![hit(2, 1, 90)], None),
            (vec![], Some(position(1, 8))),
            (vec![hit(1, 5, 50)], Some(position(1, 6))),
        ] {
            let asked = Asked { from: Some(position(1, 8)), ..answered(7, hits.clone(), rest, 0) };
            let merged = merge(&tenant(), vec![asked], 10, 1 << 20);
            assert_eq!(merged.missing, [(7, Missing::Malformed)], "{hits:?}");
            assert_eq!((merged.hits.len(), merged.places[&7]), (0, Place::Missing));
        }
        let sound = Asked {
            from: Some(position(1, 8)),
            ..answered(7, vec![hit(1, 7, 70), hit(0, 9, 90)], Some(position(0, 9)), 0)
        };
        assert!(merge(&tenant(), vec![sound], 10, 1 << 20).missing.is_empty());
    }

    #[test]
    fn nothing_is_shown_that_may_have_something_newer_above_it() {
        let slow = answered(1, vec![hit(1, 9, 90)], Some(position(1, 5)), 40);
        let quick = answered(2, vec![hit(1, 9, 95), hit(1, 8, 50), hit(1, 7, 30)], None, 1);
        let merged = merge(&tenant(), vec![slow, quick], 10, 1 << 20);
        let shown: Vec<(u64, u64)> = merged.hits.iter().map(|(node, hit)| (*node, hit.at_ns)).collect();
        assert_eq!(shown, [(2, 95), (1, 90), (2, 50)]);
        assert_eq!(merged.places[&1], Place::At(position(1, 5)));
        assert_eq!(merged.places[&2], Place::At(v1::SearchPosition { below: 8, ..position(1, 7) }));
        assert_eq!(merged.looked_back_to_ns, Some(40));
    }

    /// A data node of the test: its decisions by index, of which each answer looks at `step`.
    fn ask(node: u64, all: &[u64], from: Option<v1::SearchPosition>, step: usize, hits_max: usize) -> Asked {
        let below = from.map_or(all.len() as u64, |from| from.below);
        let looked_at: Vec<u64> = (0..below).rev().take(step).collect();
        let (mut hits, mut last) = (Vec::new(), None);
        for index in looked_at {
            last = Some(index);
            // Every third record is none that is wanted.
            if !index.is_multiple_of(3) {
                hits.push(hit(1, index, all[index as usize]));
            }
            if hits.len() == hits_max {
                break;
            }
        }
        let rest = last.filter(|last| *last > 0).map(|last| position(1, last));
        let reached = last.map_or(0, |last| all[last as usize]);
        Asked { from, ..answered(node, hits, rest, reached) }
    }

    proptest! {
        /// Page by page, every decision comes once, in the order of each log, though clocks go back and records arrive.
        #[test]
        fn pages_have_everything_once(
            logs in proptest::collection::vec(proptest::collection::vec(1_u64..500, 0..40), 1..4),
            step in 1_usize..12,
            limit in 1_usize..9,
        ) {
            let mut logs = logs;
            let begun: Vec<usize> = logs.iter().map(Vec::len).collect();
            let mut places: BTreeMap<u64, Place> = BTreeMap::new();
            let mut got: Vec<(u64, u64)> = Vec::new();
            for page in 0.. {
                prop_assert!(page < 2_000, "it comes to an end");
                let mut asked = Vec::new();
                for (node, log) in (0..).zip(&logs) {
                    match places.get(&node) {
                        None if page == 0 => asked.push(ask(node, log, None, step, limit)),
                        Some(Place::At(at)) => asked.push(ask(node, log, Some(*at), step, limit)),
                        _ => {}
                    }
                }
                let merged = merge(&tenant(), asked, limit, 1 << 20);
                prop_assert!(merged.missing.is_empty());
                got.extend(merged.hits.iter().map(|(node, hit)| (*node, hit.index)));
                places.extend(merged.places);
                if !places.values().any(|place| matches!(place, Place::At(_))) {
                    break;
                }
                logs.iter_mut().for_each(|log| log.push(600 + page));
            }
            for (node, length) in (0..).zip(begun) {
                let of_node: Vec<u64> = got.iter().filter(|(of, _)| *of == node).map(|(_, index)| *index).collect();
                let wanted: Vec<u64> = (0..length as u64).rev().filter(|index| !index.is_multiple_of(3)).collect();
                prop_assert_eq!(of_node, wanted);
            }
        }
    }
}
