//! Decisions, searched in the audit logs of data nodes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aegis_audit::hash::Hash;
use aegis_audit::origin::Origin;
use aegis_audit::record::RecordId;
use aegis_audit::tree;
use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::decision::Outcome;
use aegis_model::ids::{ActionName, AgentId, ClusterId, RequestId, TenantId, ToolName};
use aegis_model::reason::ReasonCode;
use aegis_model::utc::Utc;
use aegis_proto::admin::{DecisionList, DecisionListRequest, FoundDecision, LinkedRecord, NotSearched};
use aegis_proto::control::{DataNode, Journal, NoteSearch};
use aegis_proto::v1;
use aegis_raft_store::tables::StateView;
use futures_util::future::join_all;
use prost::Message;
use sha2::{Digest, Sha256};

use super::tenants;
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::problem::ApiCode;
use crate::admin::{Problem, form};
use crate::command::kind::Kind as _;
use crate::command::{Code, Refused};
use crate::keys::keyring;
use crate::search::{Asked, Cursor, Missing, Place, merge};
use crate::state::page::PageQuery;
use crate::state::{control_log, data_nodes, journals};

/// A page of a tenant's decisions, the newest first.
pub(crate) async fn list(caller: &Caller, request: DecisionListRequest) -> Result<DecisionList, Problem> {
    let tenant = form::tenant(&request.tenant)?;
    let filter = filter(&request)?;
    let limit = limit(request.limit)?;
    let state = caller.reads(Read::TenantRecords(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    let question = digest(&tenant, &filter, &request.node);
    let (Asking { nodes, places, left_out }, noted) = match request.cursor.as_str() {
        "" => (begin(&state, &tenant, &request)?, 0),
        cursor => go_on(&state, &tenant, question, cursor)?,
    };
    let cluster = keyring::cluster_id(&state)?;
    let search = caller.admin().search();
    let overloaded =
        || Problem::new(ApiCode::Overloaded, "too many searches are under way at this control node");
    let _place = search.enter().ok_or_else(overloaded)?;
    let noted = match is_noted(caller, &state, &tenant, question, noted)? {
        true => noted,
        false => note(caller, &tenant, question, &filter, &request.node).await?,
    };
    let asked = places.iter().filter_map(|(node, place)| match place {
        Place::At(from) => Some((nodes.get(node)?, *from)),
        Place::Done | Place::Missing => None,
    });
    let (mut questions, mut earlier) = (Vec::new(), Vec::new());
    for (row, from) in asked {
        let logs = logs(&state, row, &filter)?;
        earlier.extend(logs.more.then_some(row.id));
        let from = Some(from).filter(|from| *from != FROM_THE_TOP);
        let copies_of = if row.retired_ms > 0 { row.name.clone() } else { String::new() };
        questions
            .push((row.id, v1::SearchQuestion { from, logs: logs.logs, copies_of, ..Default::default() }));
    }
    let gone = questions.iter().any(|(_, question)| !question.copies_of.is_empty());
    let readers = if gone { readers(&state, &tenant)? } else { Vec::new() };
    drop(state);
    let asked = questions.into_iter().map(|(node, question)| {
        let (from, readers) = (question.from, &readers);
        let question = v1::SearchQuestion {
            tenant: tenant.to_string(),
            filter: Some(filter.clone()),
            hits_max: u32::try_from(limit).unwrap_or(u32::MAX),
            bytes_max: caps::SEARCH_PAGE_BYTES_MAX as u32,
            ..question
        };
        async move {
            let answer = if question.copies_of.is_empty() {
                search.ask(node, question).await
            } else {
                search.ask_copies(readers, question).await
            };
            Asked { node, from, answer }
        }
    });
    let asked = join_all(asked).await;
    let mut merged = merge(&tenant, asked, limit, caps::SEARCH_PAGE_BYTES_MAX);
    for (node, place) in &places {
        match place {
            Place::At(_) => {}
            Place::Done => drop(merged.places.insert(*node, Place::Done)),
            Place::Missing => {
                merged.missing.push((*node, Missing::Earlier));
                merged.places.insert(*node, Place::Missing);
            }
        }
    }
    // An id is given once.
    let found = !request.decision_id.is_empty() && !merged.hits.is_empty();
    let goes_on = !found && merged.places.values().any(|place| matches!(place, Place::At(_)));
    let next = goes_on.then(|| Cursor { question, noted, places: merged.places }.to_text());
    let looked_back_to = merged.looked_back_to_ns.filter(|at| goes_on && *at > 0);
    Ok(DecisionList {
        items: merged
            .hits
            .into_iter()
            .filter_map(|(node, hit)| shown(&cluster, nodes.get(&node)?, hit))
            .collect(),
        missing: merged
            .missing
            .iter()
            .map(|(node, why)| missing(&nodes, *node, why.as_str(), String::new()))
            .chain(earlier.iter().map(|node| missing(&nodes, *node, "earlier_lives", String::new())))
            .chain(merged.lacks.iter().map(|(node, life, why)| {
                let log = nodes.get(node).and_then(|row| Origin::new(cluster.clone(), &row.name, *life).ok());
                missing(&nodes, *node, why, log.map(|log| log.to_string()).unwrap_or_default())
            }))
            .collect(),
        next: next.unwrap_or_default(),
        looked_back_to: looked_back_to.map(|at| Utc(UnixNanos(at)).to_string()).unwrap_or_default(),
        retired_left_out: left_out,
    })
}

/// Stands for a data node that was not asked anything yet. No log is so long.
const FROM_THE_TOP: v1::SearchPosition =
    v1::SearchPosition { life: u64::MAX, segment: u64::MAX, below: u64::MAX };

type Nodes = BTreeMap<u64, DataNode>;
type Places = BTreeMap<u64, Place>;

/// Whom a page asks.
struct Asking {
    nodes: Nodes,
    places: Places,
    /// How many retired data nodes are not among them.
    left_out: u32,
}

/// The data nodes that may have decisions of the tenant, none of which was asked yet.
fn begin(state: &StateView, tenant: &TenantId, request: &DecisionListRequest) -> Result<Asking, Problem> {
    let (made_by, life) = decided_by(&request.decision_id);
    let (mut nodes, mut retired) = (Nodes::new(), Nodes::new());
    let mut query = PageQuery::first();
    loop {
        let page = data_nodes::data_nodes(state, &query)?;
        let next = page.next.clone();
        let wanted = |row: &DataNode| {
            let named = request.node.is_empty() || row.name == request.node;
            let made = made_by.is_none_or(|name| row.name == name);
            named && made && serves(row, tenant)
        };
        for row in page.rows.into_iter().filter(wanted) {
            let of = if row.retired_ms > 0 { &mut retired } else { &mut nodes };
            of.insert(row.id, row);
        }
        match next {
            Some(next) => query = query.after(next),
            None => break,
        }
    }
    // Who has the name now is asked for all logs under it.
    let taken: BTreeSet<String> = nodes.values().map(|row| row.name.clone()).collect();
    retired.retain(|_, row| !taken.contains(&row.name));
    let mut left_out = 0;
    if request.retired || made_by.is_some() || !request.node.is_empty() {
        nodes.append(&mut retired);
    } else {
        left_out = u32::try_from(retired.len()).unwrap_or(u32::MAX);
    }
    if nodes.is_empty() && !request.node.is_empty() {
        return Err(Refused::unknown(Code::UnknownDataNode, "data node", &request.node).into());
    }
    if nodes.len() > caps::SEARCH_NODES_MAX {
        let most = caps::SEARCH_NODES_MAX;
        let detail =
            format!("the name of one data node: there are {}, and a search asks at most {most}", nodes.len());
        return Err(Problem::invalid("node", detail));
    }
    // What was decided in one life is in no other one's log.
    let top = life.map_or(FROM_THE_TOP, |life| v1::SearchPosition { life, ..FROM_THE_TOP });
    let places = nodes.keys().map(|node| (*node, Place::At(top))).collect();
    Ok(Asking { nodes, places, left_out })
}

/// What the control log knows of a data node's logs.
struct Logs {
    logs: Vec<v1::SearchLog>,
    /// Whether older ones are wanted than a question has room for.
    more: bool,
}

/// The newest logs of a data node, so that copies of them can be told from forgeries; which of them can hold what is asked for.
fn logs(state: &StateView, row: &DataNode, filter: &v1::DecisionFilter) -> Result<Logs, Problem> {
    let (_, life) = decided_by(&filter.decision_id);
    let wanted = |it: &Journal| {
        let (first, last) = (it.born_ms, it.born_ms.max(it.noted_ms).max(it.closed_ms));
        let ns = |ms: u64| ms.saturating_mul(1_000_000);
        let early = filter.to_ns.is_some_and(|to| ns(first.saturating_sub(caps::SEARCH_CLOCKS_MS)) >= to);
        let late = filter.from_ns.is_some_and(|from| ns(last.saturating_add(caps::SEARCH_CLOCKS_MS)) < from);
        !early && !late && life.is_none_or(|life| life == it.incarnation)
    };
    let (mut newest, mut more) = (VecDeque::new(), false);
    let mut query = PageQuery::first();
    loop {
        let page = journals::of_node(state, &row.name, &query)?;
        let next = page.next.clone();
        for it in page.rows {
            newest.push_back(v1::SearchLog {
                wanted: wanted(&it),
                verifier: it.verifier,
                size: it.size,
                root: it.root,
                closed: it.closed_ms > 0,
            });
            if newest.len() > caps::SEARCH_LOGS_MAX {
                more |= newest.pop_front().is_some_and(|dropped| dropped.wanted);
            }
        }
        match next {
            Some(next) => query = query.after(next),
            None => return Ok(Logs { logs: newest.into(), more }),
        }
    }
}

/// Who may look for copies of a tenant's records: all data nodes share the object store. Those of other tenants alone may not.
fn readers(state: &StateView, tenant: &TenantId) -> Result<Vec<u64>, Problem> {
    let (mut readers, mut query) = (Vec::new(), PageQuery::first());
    loop {
        let page = data_nodes::data_nodes(state, &query)?;
        let next = page.next.clone();
        let may = |row: &DataNode| row.retired_ms == 0 && serves(row, tenant);
        readers.extend(page.rows.iter().filter(|row| may(row)).map(|row| row.id));
        match next {
            Some(next) => query = query.after(next),
            None => return Ok(readers),
        }
    }
}

/// Whether the control log says that this person asked this question, at most a day ago. A cursor can be made up, and gives no right:
/// what it names is looked at.
fn is_noted(
    caller: &Caller,
    state: &StateView,
    tenant: &TenantId,
    question: [u8; 8],
    noted: u64,
) -> Result<bool, Problem> {
    let now_ms = caller.admin().control().applied().borrow().log_time_ms;
    let record = control_log::numbered(state, tenant, noted)?;
    Ok(record.is_some_and(|it| {
        it.command == NoteSearch::NAME
            && it.refused.is_empty()
            && it.actor == caller.actor().to_string()
            && it.summary.starts_with(&format!("question {}:", in_digits(question)))
            && now_ms.saturating_sub(it.at_ms) <= caps::SEARCH_NOTE_SECONDS * 1_000
    }))
}

/// Writes down that it is asked, before anything is answered. Under which number, if that can be told.
async fn note(
    caller: &Caller,
    tenant: &TenantId,
    question: [u8; 8],
    filter: &v1::DecisionFilter,
    node: &str,
) -> Result<u64, Problem> {
    let command =
        NoteSearch { tenant: tenant.to_string(), question: in_digits(question), filter: words(filter, node) };
    // Never under the key of a repetition: each question is an act of its own.
    let index = caller.admin().control().propose(command, caller.actor()).await?.done.index;
    // Where many others act at once it may be further down; the next page is noted once more then.
    let state = caller.reads(Read::TenantRecords(tenant)).await?;
    let newest = control_log::of_tenant(&state, tenant, &PageQuery::new(None, NEWEST))?;
    Ok(newest.rows.iter().find(|row| row.index == index).map_or(0, |row| row.number))
}

/// Records among which that of a question is looked for.
const NEWEST: usize = 64;

fn in_digits(question: [u8; 8]) -> String {
    question.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A filter, for people.
fn words(it: &v1::DecisionFilter, node: &str) -> String {
    let moment = |at: Option<u64>| at.map(|at| Utc(UnixNanos(at)).to_string()).unwrap_or_default();
    let version = if it.version == 0 { String::new() } else { it.version.to_string() };
    let (from, to) = (moment(it.from_ns), moment(it.to_ns));
    let parts = [
        ("agent", it.agent.as_str()),
        ("tool", &it.tool),
        ("action", &it.action),
        ("outcome", &it.outcome),
        ("reason", &it.reason),
        ("version", &version),
        ("from", &from),
        ("to", &to),
        ("decision_id", &it.decision_id),
        ("trace_id", &it.trace_id),
        ("request_id", &it.request_id),
        ("node", node),
    ];
    let given = parts.into_iter().filter(|(_, value)| !value.is_empty());
    given.map(|(name, value)| format!("{name} `{value}`")).collect::<Vec<_>>().join(", ")
}

/// The data nodes that the page before stood at, and which record says that they were asked.
fn go_on(
    state: &StateView,
    tenant: &TenantId,
    question: [u8; 8],
    cursor: &str,
) -> Result<(Asking, u64), Problem> {
    let bad = || Problem::invalid("cursor", "`next` of the page before, unchanged, with the same filters");
    let cursor = Cursor::read(cursor).filter(|cursor| cursor.question == question).ok_or_else(bad)?;
    let mut nodes = Nodes::new();
    for node in cursor.places.keys() {
        // Also one that was retired in between. Of another tenant's nothing is told, not even that it is there (TEN-1).
        let row = data_nodes::data_node(state, *node)?.filter(|row| serves(row, tenant)).ok_or_else(bad)?;
        nodes.insert(*node, row);
    }
    Ok((Asking { nodes, places: cursor.places, left_out: 0 }, cursor.noted))
}

fn serves(row: &DataNode, tenant: &TenantId) -> bool {
    row.tenant.is_empty() || row.tenant == tenant.as_str()
}

/// The name of the data node that gave an id, `d-NODE-INCARNATION-COUNTER`, and its life; nothing of an id in another form.
fn decided_by(id: &str) -> (Option<&str>, Option<u64>) {
    let parts = id.strip_prefix("d-").and_then(|rest| {
        let (rest, _counter) = rest.rsplit_once('-')?;
        rest.rsplit_once('-')
    });
    let Some((node, incarnation)) = parts else { return (None, None) };
    (Some(node), base32(incarnation))
}

/// A number in base 32 without `i l o u`, as it stands in ids.
fn base32(text: &str) -> Option<u64> {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    text.bytes().try_fold(0_u64, |number, byte| {
        let digit = DIGITS.iter().position(|digit| *digit == byte)? as u64;
        number.checked_mul(32)?.checked_add(digit)
    })
}

fn limit(limit: u32) -> Result<usize, Problem> {
    let most = caps::PAGE_ROWS_MAX;
    match limit as usize {
        0 => Ok(caps::PAGE_ROWS_DEFAULT),
        limit if limit <= most => Ok(limit),
        _ => Err(Problem::invalid("limit", format!("at most {most}"))),
    }
}

/// What is wanted, in forms that every data node reads.
fn filter(request: &DecisionListRequest) -> Result<v1::DecisionFilter, Problem> {
    named::<AgentId>("agent", &request.agent)?;
    named::<ToolName>("tool", &request.tool)?;
    named::<ActionName>("action", &request.action)?;
    named::<RequestId>("request_id", &request.request_id)?;
    let outcomes = [Outcome::Allow, Outcome::Deny, Outcome::Sanitize, Outcome::ApprovalRequired];
    if !request.outcome.is_empty() && !outcomes.iter().any(|outcome| outcome.as_str() == request.outcome) {
        let known = outcomes.map(Outcome::as_str).join("`, `");
        return Err(Problem::invalid("outcome", format!("`{known}`")));
    }
    if !request.reason.is_empty() && request.reason.parse::<ReasonCode>().is_err() {
        return Err(Problem::invalid("reason", "a stable code, e.g. `BudgetExceeded`"));
    }
    if !request.trace_id.is_empty() && RecordId::try_from(request.trace_id.clone()).is_err() {
        return Err(Problem::invalid("trace_id", "32 hexadecimal digits in lower case"));
    }
    if request.decision_id.len() > caps::NAME_BYTES_MAX {
        return Err(Problem::invalid("decision_id", format!("at most {} bytes", caps::NAME_BYTES_MAX)));
    }
    let (from_ns, to_ns) = (moment("from", &request.from)?, moment("to", &request.to)?);
    if from_ns.zip(to_ns).is_some_and(|(from, to)| from >= to) {
        return Err(Problem::invalid("to", "a moment after `from`"));
    }
    Ok(v1::DecisionFilter {
        agent: request.agent.clone(),
        tool: request.tool.clone(),
        action: request.action.clone(),
        outcome: request.outcome.clone(),
        reason: request.reason.clone(),
        version: request.version,
        from_ns,
        to_ns,
        decision_id: request.decision_id.clone(),
        trace_id: request.trace_id.clone(),
        request_id: request.request_id.clone(),
    })
}

fn named<N: std::str::FromStr<Err = aegis_model::ids::BadName>>(
    field: &str,
    text: &str,
) -> Result<(), Problem> {
    if text.is_empty() { Ok(()) } else { form::name::<N>(field, text).map(drop) }
}

fn moment(field: &str, text: &str) -> Result<Option<u64>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let at = aegis_model::utc::read(text);
    at.map(|at| Some(at.0)).ok_or_else(|| Problem::invalid(field, "a moment, e.g. `2026-11-27T12:00:00Z`"))
}

/// Names a question: a cursor is good for it alone.
fn digest(tenant: &TenantId, filter: &v1::DecisionFilter, node: &str) -> [u8; 8] {
    let mut hash = Sha256::new();
    for part in
        [b"aegis/search/v1".as_slice(), tenant.as_str().as_bytes(), &filter.encode_to_vec(), node.as_bytes()]
    {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hash: [u8; 32] = hash.finalize().into();
    *hash.first_chunk().expect("a hash is longer")
}

fn shown(cluster: &ClusterId, node: &DataNode, hit: v1::SearchHit) -> Option<FoundDecision> {
    let log = Origin::new(cluster.clone(), &node.name, hit.life).ok()?;
    let leaf = tree::leaf(&Hash::of(&hit.record).0).to_string();
    let link = |link: v1::SearchLink| LinkedRecord {
        kind: link.kind,
        index: link.index,
        leaf: <[u8; 32]>::try_from(link.leaf).map(|leaf| Hash(leaf).to_string()).unwrap_or_default(),
    };
    Some(FoundDecision {
        node: node.name.clone(),
        log: log.key_name().to_string(),
        index: hit.index,
        leaf,
        at: Utc(UnixNanos(hit.at_ns)).to_string(),
        record: String::from_utf8(hit.record.into()).ok()?,
        linked: hit.links.into_iter().map(link).collect(),
        linked_partial: hit.links_partial,
    })
}

fn missing(nodes: &Nodes, node: u64, why: &str, log: String) -> NotSearched {
    let name = nodes.get(&node).map(|row| row.name.clone()).unwrap_or_default();
    NotSearched { node: name, id: form::node_id(node), why: why.to_owned(), log }
}
