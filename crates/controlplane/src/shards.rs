//! Keeps the shard map at the data nodes that live: on the leader, and only as long as it lends to them.
//!
//! Who lives is seen by [`LendingNode::live`](crate::lending::LendingNode::live); this file only compares it with the map, and
//! proposes another one. A node that comes is taken in at once, and one that is gone is left out as soon as it counts as gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aegis_model::caps;
use aegis_proto::control::{SetShardMap, ShardNode};
use aegis_raft_store::tables::{StateRead, StoreError};
use tokio::sync::watch;

use crate::command::actor::Actor;
use crate::control::{Control, ProposeError};
use crate::lending::LiveNode;
use crate::state::{data_nodes, shards};

/// The data nodes that live, by id. Empty: nobody knows.
type LiveNodes = BTreeMap<u64, LiveNode>;

/// How often the map is looked at although nobody came or left: a proposal may have failed, or a node been retired.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps the map while `live` shows anybody: it does on the leader alone. Ends when nobody can say any more who lives.
///
/// # Errors
/// The storage failed; this control node has to stop.
pub async fn keep(
    control: Control,
    me: Actor,
    mut live: watch::Receiver<Arc<BTreeMap<u64, LiveNode>>>,
) -> Result<(), StoreError> {
    loop {
        let nodes = Arc::clone(&live.borrow_and_update());
        if let Some(command) = due(&control.view()?, &nodes)? {
            match control.propose(command, &me).await {
                Ok(_set) => {}
                Err(ProposeError::Store(error)) => return Err(error),
                // Somebody else leads by now, or a row changed meanwhile: it is looked at anew.
                Err(error) => tracing::debug!(%error, "the shard map could not be set yet"),
            }
        }
        tokio::select! {
            changed = live.changed() => if changed.is_err() { return Ok(()) },
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// The command that makes the map what it should be, if it is not. Where nobody is seen, nothing is known: the map stays.
fn due(state: &impl StateRead, live: &LiveNodes) -> Result<Option<SetShardMap>, StoreError> {
    if live.is_empty() {
        return Ok(None);
    }
    let map = shards::map(state)?;
    let mut nodes: Vec<ShardNode> = Vec::with_capacity(live.len());
    for id in live.keys() {
        match data_nodes::data_node(state, *id)? {
            // Sidecars serve their own tenant, wherever its calls belong.
            Some(row) if row.retired_ms == 0 && row.tenant.is_empty() => {
                nodes.push(ShardNode { id: row.id, name: row.name, address: row.address });
            }
            Some(_) | None => {}
        }
    }
    if nodes.len() > caps::SHARD_NODES_MAX {
        tracing::warn!(live = nodes.len(), "more data nodes live than can own slots; the rest own none");
        nodes.truncate(caps::SHARD_NODES_MAX);
    }
    let changed = nodes != map.nodes;
    let nodes = nodes.into_iter().map(|node| node.id).collect();
    Ok(changed.then_some(SetShardMap { nodes, replaces: map.revision }))
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::{RegisterDataNode, RetireDataNode, ShardMap};

    use super::*;
    use crate::testing::World;

    /// A control node over a world, whose watch of live nodes a test holds.
    struct Keeper {
        world: World,
        live: watch::Sender<Arc<LiveNodes>>,
        _keeper: tokio::task::JoinSet<()>,
    }

    fn live(ids: &[u64]) -> Arc<LiveNodes> {
        let node = |id: &u64| LiveNode {
            name: format!("data-{id}"),
            address: String::new(),
            incarnation: 1,
            tenant: String::new(),
        };
        Arc::new(ids.iter().map(|id| (*id, node(id))).collect())
    }

    impl Keeper {
        fn start() -> Self {
            let world = World::new();
            for id in 7..=9 {
                world.data_node(id);
            }
            let (live, watched) = watch::channel(Arc::default());
            let mut keeper = tokio::task::JoinSet::new();
            let kept = keep(world.direct.control(), World::node(), watched);
            keeper.spawn(async move { kept.await.expect("memory") });
            Self { world, live, _keeper: keeper }
        }

        fn map(&self) -> ShardMap {
            shards::map(&self.world.view()).expect("memory")
        }

        fn ids(&self) -> Vec<u64> {
            self.map().nodes.iter().map(|node| node.id).collect()
        }

        /// Waits until `found` holds of the map; time is paused, so that waiting passes it.
        async fn until(&self, found: impl Fn(&ShardMap) -> bool) -> ShardMap {
            let waiting = async {
                while !found(&self.map()) {
                    // expect(sleep): time is paused; this lets the keeper run
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            match tokio::time::timeout(Duration::from_secs(60), waiting).await {
                Ok(()) => self.map(),
                Err(_elapsed) => panic!("the map stays {:?}", self.map()),
            }
        }

        async fn holds(&self, ids: &[u64]) -> ShardMap {
            self.until(|map| map.nodes.iter().map(|node| node.id).eq(ids.iter().copied())).await
        }

        async fn a_while(&self) {
            // expect(sleep): time is paused; this passes it
            tokio::time::sleep(LOOK * 5).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_is_on_the_map_and_who_is_gone_is_not() {
        let keeper = Keeper::start();
        keeper.live.send_replace(live(&[7, 8, 9]));
        assert_eq!(keeper.holds(&[7, 8, 9]).await.revision, 1);
        keeper.live.send_replace(live(&[7, 9]));
        assert_eq!(keeper.holds(&[7, 9]).await.revision, 2);
        keeper.a_while().await;
        assert_eq!(keeper.map().revision, 2, "nothing changed, nothing is proposed");
    }

    /// Whoever does not lend, or has just begun to, sees nobody: slots must not wander because the leader changed.
    #[tokio::test(start_paused = true)]
    async fn where_nobody_is_seen_the_map_stays() {
        let keeper = Keeper::start();
        keeper.a_while().await;
        assert_eq!(keeper.map(), ShardMap::default());
        keeper.live.send_replace(live(&[7, 8]));
        keeper.holds(&[7, 8]).await;
        keeper.live.send_replace(Arc::default());
        keeper.a_while().await;
        assert_eq!(keeper.ids(), [7, 8]);
    }

    #[tokio::test(start_paused = true)]
    async fn sidecars_and_retired_nodes_own_nothing_and_a_new_address_is_told() {
        let keeper = Keeper::start();
        let sidecar = RegisterDataNode {
            id: 10,
            name: "side".to_owned(),
            tenant: "acme".to_owned(),
            ..Default::default()
        };
        keeper.world.done(sidecar, &World::node());
        // 11 has no row here yet.
        keeper.live.send_replace(live(&[7, 8, 10, 11]));
        keeper.holds(&[7, 8]).await;
        keeper.world.done(RetireDataNode { id: 8 }, &World::root());
        keeper.holds(&[7]).await;
        let moved = RegisterDataNode {
            id: 7,
            name: "data-7".to_owned(),
            address: "https://elsewhere:7081".to_owned(),
            ..Default::default()
        };
        keeper.world.done(moved, &World::node());
        keeper.until(|map| map.nodes[0].address == "https://elsewhere:7081").await;
    }
}
