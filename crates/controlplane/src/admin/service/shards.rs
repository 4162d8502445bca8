//! The shard map: which data nodes own which slots.

use std::collections::BTreeMap;

use aegis_limits::holder::NodeId;
use aegis_limits::placement;
use aegis_proto::admin::{GetShardsRequest, ShardOwner, Shards};
use aegis_proto::control as rows;

use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::state::shards;

/// Shows the shard map.
pub(crate) async fn get(caller: &Caller, _request: GetShardsRequest) -> Result<Shards, Problem> {
    let state = caller.reads(Read::Cluster).await?;
    Ok(shown(shards::map(&state)?))
}

fn shown(map: rows::ShardMap) -> Shards {
    let ids: Vec<NodeId> = map.nodes.iter().map(|node| NodeId(node.id)).collect();
    let mut owned: BTreeMap<NodeId, Vec<u32>> = BTreeMap::new();
    for (slot, owner) in (0..).zip(placement::place(&ids)) {
        owned.entry(owner).or_default().push(slot);
    }
    let nodes = map.nodes.into_iter().map(|node| ShardOwner {
        id: form::node_id(node.id),
        name: node.name,
        address: node.address,
        slots: owned.remove(&NodeId(node.id)).unwrap_or_default(),
    });
    Shards { revision: map.revision, changed_at: form::maybe_time(map.changed_ms), nodes: nodes.collect() }
}
