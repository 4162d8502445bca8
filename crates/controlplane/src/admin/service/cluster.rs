//! The cluster: how it is, who belongs to it, and which commands it may use.

use std::collections::BTreeMap;

use aegis_proto::admin::{
    AddMemberRequest, ClusterMember, ClusterStatus, GetClusterRequest, NodeRequest, RaiseLevelRequest,
};
use aegis_proto::control as rows;
use aegis_raft_store::tables::StateView;

use super::row;
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::membership::{RaftMember, RaftStatus};
use crate::admin::problem::ApiCode;
use crate::admin::{Problem, form};
use crate::command::{Code, Refused};
use crate::raft::changes::NotChanged;
use crate::state::page::PageQuery;
use crate::state::{members, meta};

/// How the cluster is. Also answered without a leader, from what this node knows: then it is needed most.
pub(crate) async fn get(caller: &Caller, _request: GetClusterRequest) -> Result<ClusterStatus, Problem> {
    let (state, fresh) = match caller.reads(Read::Cluster).await {
        Ok(state) => (state, true),
        Err(problem) if problem.code == ApiCode::Unavailable.into() => {
            (caller.reads_applied(Read::Cluster)?, false)
        }
        Err(problem) => return Err(problem),
    };
    status(caller, &state, fresh)
}

/// Lets a control node join, and if wanted makes it a voter.
pub(crate) async fn add_member(caller: &Caller, request: AddMemberRequest) -> Result<ClusterMember, Problem> {
    let note = rows::NoteMembership {
        change: "join".to_owned(),
        id: 0,
        name: request.name.clone(),
        address: request.address.clone(),
    };
    caller.write("AddMember", &request, note).await?;
    let membership = caller.admin().membership();
    let joined = match membership.join(request.name.clone(), request.address.clone()).await {
        Ok(id) => id,
        // A repetition finds the member that it wants.
        Err(error) if error.already => same_member(&membership.status(), &request).ok_or(error)?,
        Err(error) => return Err(error.into()),
    };
    if request.promote {
        unless_already(membership.promote(joined).await)?;
    }
    member(caller, joined)
}

/// Makes a control node that joined a voter.
pub(crate) async fn promote_member(caller: &Caller, request: NodeRequest) -> Result<ClusterMember, Problem> {
    let id = form::read_node_id(&request.id)?;
    let note = rows::NoteMembership { change: "promote".to_owned(), id, ..Default::default() };
    caller.write("PromoteMember", &request, note).await?;
    unless_already(caller.admin().membership().promote(id).await)?;
    member(caller, id)
}

/// Removes a control node for good.
pub(crate) async fn remove_member(caller: &Caller, request: NodeRequest) -> Result<ClusterMember, Problem> {
    let id = form::read_node_id(&request.id)?;
    let note = rows::NoteMembership { change: "remove".to_owned(), id, ..Default::default() };
    caller.write("RemoveMember", &request, note).await?;
    unless_already(caller.admin().membership().remove(id).await)?;
    member(caller, id)
}

/// Lets the cluster use newer commands.
pub(crate) async fn raise_level(
    caller: &Caller,
    request: RaiseLevelRequest,
) -> Result<ClusterStatus, Problem> {
    let command = rows::RaiseLevel { to: request.to };
    row!(caller.write("RaiseLevel", &request, command).await?, Cluster)?;
    let state = caller.reads(Read::Cluster).await?;
    status(caller, &state, true)
}

fn status(caller: &Caller, state: &StateView, fresh: bool) -> Result<ClusterStatus, Problem> {
    let cluster = meta::cluster(state)?.unwrap_or_default();
    let applied = *caller.admin().control().applied().borrow();
    let raft = caller.admin().membership().status();
    Ok(ClusterStatus {
        id: cluster.id,
        history: cluster.history,
        level: cluster.level,
        created_at: form::time(cluster.created_ms),
        node: form::node_id(raft.node),
        leader: raft.leader.map(form::node_id).unwrap_or_default(),
        term: raft.term,
        applied_index: applied.index,
        log_time: form::time(applied.log_time_ms),
        fresh,
        members: all_members(state, &raft)?,
        state_digest: applied.digest.to_string(),
    })
}

/// Who belongs to the cluster, and who did, by id.
fn all_members(state: &StateView, raft: &RaftStatus) -> Result<Vec<ClusterMember>, Problem> {
    let known = members::members(state, &PageQuery::first())?.rows;
    let mut rows: BTreeMap<u64, rows::Member> = known.into_iter().map(|row| (row.id, row)).collect();
    let mut shown: Vec<ClusterMember> =
        raft.members.iter().map(|it| belongs(it, rows.remove(&it.id))).collect();
    shown.extend(rows.into_values().map(gone));
    shown.sort_by(|left, right| left.id.cmp(&right.id));
    Ok(shown)
}

fn member(caller: &Caller, id: u64) -> Result<ClusterMember, Problem> {
    let state = caller.admin().control().view()?;
    let all = all_members(&state, &caller.admin().membership().status())?;
    let id = form::node_id(id);
    let found = all.into_iter().find(|member| member.id == id);
    found.ok_or_else(|| Refused::unknown(Code::UnknownMember, "control node", id).into())
}

fn belongs(raft: &RaftMember, row: Option<rows::Member>) -> ClusterMember {
    let row = row.unwrap_or_default();
    ClusterMember {
        id: form::node_id(raft.id),
        name: raft.name.clone(),
        address: raft.address.clone(),
        state: if raft.voter { "voter" } else { "learner" }.to_owned(),
        software: row.software,
        level: row.level,
        joined_at: form::maybe_time(row.joined_ms),
        removed_at: form::maybe_time(row.retired_ms),
        applied_index: raft.checkpoint.map(|it| it.index),
        state_digest: raft.checkpoint.map(|it| it.digest.to_string()),
        differs: raft.differs,
    }
}

fn gone(row: rows::Member) -> ClusterMember {
    ClusterMember {
        id: form::node_id(row.id),
        name: row.name,
        address: row.address,
        state: "removed".to_owned(),
        software: row.software,
        level: row.level,
        joined_at: form::maybe_time(row.joined_ms),
        removed_at: form::maybe_time(row.retired_ms),
        applied_index: None,
        state_digest: None,
        differs: false,
    }
}

fn same_member(status: &RaftStatus, request: &AddMemberRequest) -> Option<u64> {
    let same = |it: &&RaftMember| it.name == request.name && it.address == request.address;
    status.members.iter().find(same).map(|it| it.id)
}

/// What is as wanted already was done, perhaps by an earlier attempt of the same call.
fn unless_already(changed: Result<(), NotChanged>) -> Result<(), NotChanged> {
    match changed {
        Err(error) if !error.already => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

impl From<NotChanged> for Problem {
    fn from(error: NotChanged) -> Self {
        let code = match (error.in_doubt, error.retryable) {
            (true, _) => ApiCode::OutcomeUnknown,
            (false, true) => ApiCode::Unavailable,
            (false, false) => ApiCode::MembershipRefused,
        };
        Self::new(code, error.message).with("reason", error.code)
    }
}
