//! Keeps the shard map at the data nodes that live: on the leader, and only as long as it leads.
//!
//! Who lives is seen by who lends to them; this file only compares it with the map, and proposes another one. A node that comes
//! is taken in at once, and one that is gone is left out as soon as it counts as gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::{SetShardMap, ShardNode};
use aegis_raft_store::tables::{StateRead, StoreError};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::command::actor::Actor;
use crate::control::{Control, ProposeError};
use crate::state::{data_nodes, shards};

/// A data node that is connected to the leader, or was a moment ago, and does not leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveNode {
    /// Its name, as in its certificate.
    pub name: String,
    /// The number of its present start.
    pub incarnation: u64,
    /// The only tenant it serves: a sidecar, which owns no slots.
    pub tenant: Option<TenantId>,
}

/// The data nodes that live, by id.
pub type LiveNodes = BTreeMap<u64, LiveNode>;

/// How often the map is looked at although nobody came or left: a proposal may have failed, or a node been retired.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps the map while `leads` says that this node does. Ends when nobody can say any more who lives.
///
/// # Errors
/// The storage failed; this control node has to stop.
pub async fn keep(
    control: Control,
    me: Actor,
    mut live: watch::Receiver<Arc<LiveNodes>>,
    mut leads: watch::Receiver<bool>,
) -> Result<(), StoreError> {
    let mut led_since: Option<Instant> = None;
    loop {
        led_since = match *leads.borrow_and_update() {
            true => led_since.or_else(|| Some(Instant::now())),
            false => None,
        };
        let nodes = Arc::clone(&live.borrow_and_update());
        if let Some(since) = led_since
            && let Some(command) = due(&control.view()?, &nodes, since.elapsed() >= GONE)?
        {
            match control.propose(command, &me).await {
                Ok(_set) => {}
                Err(ProposeError::Store(error)) => return Err(error),
                // Somebody else leads by now, or a row changed meanwhile: it is looked at anew.
                Err(error) => tracing::debug!(%error, "the shard map could not be set yet"),
            }
        }
        tokio::select! {
            changed = live.changed() => if changed.is_err() { return Ok(()) },
            changed = leads.changed() => if changed.is_err() { return Ok(()) },
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// After so long without a connection a node counts as gone; a new leader waits as long before it misses anybody.
const GONE: Duration = Duration::from_secs(caps::SHARD_GONE_SECONDS);

/// The command that makes the map what it should be, if it is not.
///
/// `all_here`: whoever is not among `live` is gone. Otherwise who is on the map may not have come yet, and stays on it.
fn due(state: &impl StateRead, live: &LiveNodes, all_here: bool) -> Result<Option<SetShardMap>, StoreError> {
    let map = shards::map(state)?;
    let mut wanted: BTreeSet<u64> =
        live.iter().filter(|(_, node)| node.tenant.is_none()).map(|(id, _)| *id).collect();
    if !all_here {
        wanted.extend(map.nodes.iter().map(|node| node.id));
    }
    let mut nodes: Vec<ShardNode> = Vec::with_capacity(wanted.len());
    for id in wanted {
        match data_nodes::data_node(state, id)? {
            Some(row) if row.retired_ms == 0 && row.tenant.is_empty() => {
                nodes.push(ShardNode { id, name: row.name, address: row.address });
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

    /// A leader over a world, whose watch of live nodes a test holds.
    struct Leader {
        world: World,
        live: watch::Sender<Arc<LiveNodes>>,
        leads: watch::Sender<bool>,
        _keeper: tokio::task::JoinSet<()>,
    }

    fn live(ids: &[u64]) -> Arc<LiveNodes> {
        let node = |id: &u64| LiveNode { name: format!("data-{id}"), incarnation: 1, tenant: None };
        Arc::new(ids.iter().map(|id| (*id, node(id))).collect())
    }

    impl Leader {
        fn start(world: World, leads: bool) -> Self {
            let (live, watched) = watch::channel(Arc::default());
            let (leads, leading) = watch::channel(leads);
            let mut keeper = tokio::task::JoinSet::new();
            let kept = keep(world.direct.control(), World::node(), watched, leading);
            keeper.spawn(async move { kept.await.expect("memory") });
            Self { world, live, leads, _keeper: keeper }
        }

        fn map(&self) -> ShardMap {
            shards::map(&self.world.view()).expect("memory")
        }

        fn ids(&self) -> Vec<u64> {
            self.map().nodes.iter().map(|node| node.id).collect()
        }

        /// Waits until the map holds exactly these; time is paused, so that waiting passes it.
        async fn holds(&self, ids: &[u64]) -> ShardMap {
            let found = async {
                while self.ids() != ids {
                    // expect(sleep): time is paused; this lets the keeper run
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            match tokio::time::timeout(Duration::from_secs(60), found).await {
                Ok(()) => self.map(),
                Err(_elapsed) => panic!("the map holds {:?}, not {ids:?}", self.ids()),
            }
        }
    }

    fn furnished() -> World {
        let world = World::new();
        for id in 7..=9 {
            world.data_node(id);
        }
        world
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_is_on_the_map_and_who_is_gone_is_not() {
        let leader = Leader::start(furnished(), true);
        leader.live.send_replace(live(&[7, 8, 9]));
        assert_eq!(leader.holds(&[7, 8, 9]).await.revision, 1);
        tokio::time::advance(GONE).await;
        leader.live.send_replace(live(&[7, 9]));
        assert_eq!(leader.holds(&[7, 9]).await.revision, 2);
        tokio::time::advance(GONE * 3).await;
        assert_eq!(leader.holds(&[7, 9]).await.revision, 2, "nothing changed, nothing is proposed");
    }

    /// A new leader meets its data nodes one by one: slots must not wander through those that came first.
    #[tokio::test(start_paused = true)]
    async fn a_new_leader_misses_nobody_before_they_could_come() {
        let world = furnished();
        world.done(SetShardMap { nodes: vec![7, 8], replaces: 0 }, &World::node());
        let leader = Leader::start(world, true);
        let began = Instant::now();
        leader.live.send_replace(live(&[9]));
        assert_eq!(leader.holds(&[7, 8, 9]).await.revision, 2, "who comes is taken in at once");
        leader.holds(&[9]).await;
        assert!(began.elapsed() >= GONE);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_lead_proposes_nothing() {
        let leader = Leader::start(furnished(), false);
        leader.live.send_replace(live(&[7]));
        tokio::time::sleep(GONE * 2).await; // expect(sleep): time is paused
        assert_eq!(leader.map(), ShardMap::default());
        leader.leads.send_replace(true);
        leader.holds(&[7]).await;
        leader.leads.send_replace(false);
        leader.live.send_replace(live(&[8]));
        tokio::time::sleep(GONE * 2).await; // expect(sleep): time is paused
        assert_eq!(leader.ids(), [7]);
    }

    #[tokio::test(start_paused = true)]
    async fn sidecars_and_retired_nodes_own_nothing_and_a_new_address_is_told() {
        let leader = Leader::start(furnished(), true);
        let mut nodes = LiveNodes::clone(&live(&[7, 8, 9, 10]));
        nodes.get_mut(&9).expect("a node").tenant = Some("acme".parse().expect("a name"));
        leader.live.send_replace(Arc::new(nodes.clone()));
        leader.holds(&[7, 8]).await;
        leader.world.done(RetireDataNode { id: 8 }, &World::root());
        leader.holds(&[7]).await;
        let moved = RegisterDataNode {
            id: 7,
            name: "data-7".to_owned(),
            address: "https://elsewhere:7081".to_owned(),
            ..Default::default()
        };
        leader.world.done(moved, &World::node());
        nodes.get_mut(&7).expect("a node").incarnation = 2;
        leader.live.send_replace(Arc::new(nodes));
        let revision = leader.map().revision;
        while leader.map().revision == revision {
            // expect(sleep): time is paused; this lets the keeper run
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(leader.map().nodes[0].address, "https://elsewhere:7081");
    }
}
