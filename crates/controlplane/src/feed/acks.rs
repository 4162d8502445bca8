//! What data nodes enforce, as they say themselves: in memory, for those that follow this control node now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::v1;
use futures_util::{Stream, stream};
use tokio::sync::watch;
use tokio::time::Instant;

/// The standing of every data node. Cheap to clone; clones are the same.
#[derive(Debug, Clone)]
pub struct Acks {
    shared: Arc<AcksShared>,
}

#[derive(Debug)]
struct AcksShared {
    /// By the number of the stream: for a moment a data node may have two.
    nodes: Mutex<BTreeMap<u64, NodeStanding>>,
    /// Grows with every change, and counts streams.
    changes: watch::Sender<u64>,
}

/// One data node that follows this control node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeStanding {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// The label of its region; may be empty.
    pub region: String,
    /// Where agents reach it; may be empty.
    pub address: String,
    /// The version of its software.
    pub software: String,
    /// The number of its start.
    pub incarnation: u64,
    /// The only tenant it serves. Nothing: all.
    pub only: Option<TenantId>,
    /// The log time at which it was taken on, in milliseconds since 1970.
    pub connected_since_ms: u64,
    /// The history of the newest state that it has taken over.
    pub history: u64,
    /// The index of that state.
    pub index: u64,
    /// Its tenants.
    pub tenants: BTreeMap<TenantId, TenantStanding>,
}

/// One tenant at one data node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantStanding {
    /// The activation in force; 0: none.
    pub activation: u64,
    /// The version that it enforces.
    pub enforced: u64,
    /// Why a newer activation is not in force.
    pub trouble: Option<Trouble>,
}

/// Why a data node did not put an activation into force. It stays at the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The activation.
    pub activation: u64,
    /// `manifest`, `bundle`, `policy` or `fetch`.
    pub code: String,
    /// What is wrong, for people.
    pub message: String,
    /// Whether the node tries again by itself.
    pub retrying: bool,
}

/// How far an activation has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The data nodes that enforce it, or a later one: their names.
    pub in_force: BTreeSet<String>,
    /// Those that have not said anything of it.
    pub waiting: BTreeSet<String>,
    /// Those that cannot put it into force, and why.
    pub troubled: BTreeMap<String, Trouble>,
}

impl Progress {
    /// Whether every data node that follows here enforces it.
    pub fn is_complete(&self) -> bool {
        self.waiting.is_empty() && self.troubled.is_empty()
    }

    /// Whether nothing more will come of it by itself.
    pub fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.troubled.values().all(|trouble| !trouble.retrying)
    }
}

impl Acks {
    pub(super) fn new() -> Self {
        let shared = AcksShared { nodes: Mutex::default(), changes: watch::Sender::new(0) };
        Self { shared: Arc::new(shared) }
    }

    /// Every data node that follows this control node, by name.
    pub fn nodes(&self) -> Vec<NodeStanding> {
        let mut nodes: Vec<NodeStanding> = self.lock().values().cloned().collect();
        nodes.sort_by(|one, other| (&one.name, one.incarnation).cmp(&(&other.name, other.incarnation)));
        nodes
    }

    /// Changes whenever a data node says something new, comes or goes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// How far `activation` of `tenant` has come among the data nodes that serve it and follow here.
    pub fn progress(&self, tenant: &TenantId, activation: u64) -> Progress {
        let mut progress =
            Progress { in_force: BTreeSet::new(), waiting: BTreeSet::new(), troubled: BTreeMap::new() };
        for node in self.lock().values() {
            if node.only.as_ref().is_some_and(|only| only != tenant) {
                continue;
            }
            let name = node.name.clone();
            let standing = node.tenants.get(tenant);
            let trouble = standing.and_then(|standing| standing.trouble.clone());
            match (standing, trouble) {
                (Some(standing), _) if standing.activation >= activation => {
                    progress.in_force.insert(name);
                }
                (_, Some(trouble)) if trouble.activation >= activation => {
                    progress.troubled.insert(name, trouble);
                }
                (Some(_) | None, _) => {
                    progress.waiting.insert(name);
                }
            }
        }
        progress
    }

    /// The progress of `activation`, now and whenever it changes, until it is settled or `deadline` has passed.
    ///
    /// Only data nodes that follow *this* control node are seen.
    pub fn wait_for(
        &self,
        tenant: TenantId,
        activation: u64,
        deadline: Duration,
    ) -> impl Stream<Item = Progress> + Send + use<> {
        let (acks, changes) = (self.clone(), self.shared.changes.subscribe());
        let until = Instant::now() + deadline;
        stream::unfold(Some((acks, changes, None::<Progress>)), move |state| {
            let tenant = tenant.clone();
            async move {
                let (acks, mut changes, last) = state?;
                loop {
                    changes.mark_unchanged();
                    let progress = acks.progress(&tenant, activation);
                    if last.as_ref() != Some(&progress) {
                        let more = (!progress.is_settled()).then(|| (acks, changes, Some(progress.clone())));
                        return Some((progress, more));
                    }
                    match tokio::time::timeout_at(until, changes.changed()).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) | Err(_) => return None,
                    }
                }
            }
        })
    }

    /// A data node was taken on: its standing, for as long as what is returned lives.
    pub(super) fn begin(
        &self,
        hello: &v1::Hello,
        incarnation: u64,
        only: Option<TenantId>,
        now_ms: u64,
    ) -> Standing {
        let node = NodeStanding {
            id: hello.node_id,
            name: hello.node_name.clone(),
            region: hello.region.clone(),
            address: hello.address.clone(),
            software: hello.version.clone(),
            incarnation,
            only,
            connected_since_ms: now_ms,
            history: hello.history,
            index: hello.index,
            tenants: BTreeMap::new(),
        };
        let mut stream = 0;
        self.shared.changes.send_modify(|changes| {
            *changes += 1;
            stream = *changes;
        });
        self.lock().insert(stream, node);
        self.changed();
        Standing { acks: self.clone(), stream }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, NodeStanding>> {
        self.shared.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.shared.changes.send_modify(|changes| *changes += 1);
    }
}

/// The standing of one data node on its way into [`Acks`]; it is taken out when this is dropped.
#[derive(Debug)]
pub(super) struct Standing {
    acks: Acks,
    stream: u64,
}

impl Standing {
    /// Takes over an acknowledgement.
    pub(super) fn take(&self, ack: v1::Ack) -> Result<(), &'static str> {
        let mut tenants = Vec::with_capacity(ack.tenants.len());
        for ack in ack.tenants {
            let tenant: TenantId = ack.tenant.parse().map_err(|_bad| "`tenant` of an `Ack` is no name")?;
            let trouble = ack.not_in_force.map(trouble).transpose()?;
            let standing = TenantStanding { activation: ack.activation, enforced: ack.enforced, trouble };
            tenants.push((tenant, (!ack.gone).then_some(standing)));
        }
        if let Some(node) = self.acks.lock().get_mut(&self.stream) {
            (node.history, node.index) = (ack.history, ack.index);
            for (tenant, standing) in tenants {
                match standing {
                    Some(standing) => drop(node.tenants.insert(tenant, standing)),
                    None => drop(node.tenants.remove(&tenant)),
                }
            }
            if node.tenants.len() > caps::FEED_TENANTS_MAX {
                return Err("an `Ack` names more tenants than there are");
            }
        }
        self.acks.changed();
        Ok(())
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.acks.lock().remove(&self.stream);
        self.acks.changed();
    }
}

fn trouble(not: v1::NotInForce) -> Result<Trouble, &'static str> {
    let v1::NotInForce { activation, code, message, retrying } = not;
    if code.len() > caps::NAME_BYTES_MAX || message.len() > caps::FEED_TROUBLE_BYTES_MAX {
        return Err("an `Ack` says more than fits");
    }
    Ok(Trouble { activation, code, message, retrying })
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    fn hello(name: &str) -> v1::Hello {
        v1::Hello { node_name: name.to_owned(), node_id: 1, ..Default::default() }
    }

    fn ack(tenant: &str, activation: u64, not_in_force: Option<v1::NotInForce>) -> v1::Ack {
        let tenant =
            v1::TenantAck { tenant: tenant.to_owned(), activation, not_in_force, ..Default::default() };
        v1::Ack { history: 1, index: 2, tenants: vec![tenant] }
    }

    fn cannot(activation: u64, retrying: bool) -> Option<v1::NotInForce> {
        let (code, message) = ("policy".to_owned(), "no".to_owned());
        Some(v1::NotInForce { activation, code, message, retrying })
    }

    #[tokio::test]
    async fn waiting_ends_when_every_node_has_it_or_cannot() {
        let acks = Acks::new();
        let acme: TenantId = "acme".parse().unwrap();
        let (one, two) =
            (acks.begin(&hello("one"), 1, None, 0), acks.begin(&hello("two"), 2, Some(acme.clone()), 0));
        let _other = acks.begin(&hello("other"), 3, Some("other".parse().unwrap()), 0);
        let mut progress = Box::pin(acks.wait_for(acme, 7, Duration::from_secs(60)));
        assert_eq!(
            progress.next().await.unwrap().waiting.len(),
            2,
            "the other tenant's node is none of them"
        );
        one.take(ack("acme", 6, None)).unwrap();
        one.take(ack("acme", 6, cannot(7, true))).unwrap();
        let step = progress.next().await.unwrap();
        assert_eq!((step.waiting.len(), step.troubled["one"].retrying), (1, true));
        one.take(ack("acme", 7, None)).unwrap();
        assert_eq!(progress.next().await.unwrap().in_force, ["one".to_owned()].into());
        two.take(ack("acme", 5, cannot(7, false))).unwrap();
        let last = progress.next().await.unwrap();
        assert!(last.is_settled() && !last.is_complete(), "{last:?}");
        assert_eq!(progress.next().await, None);
    }

    #[tokio::test]
    async fn waiting_has_a_deadline() {
        let acks = Acks::new();
        let _node = acks.begin(&hello("one"), 1, None, 0);
        let mut progress = Box::pin(acks.wait_for("acme".parse().unwrap(), 7, Duration::from_millis(10)));
        assert!(progress.next().await.is_some());
        assert_eq!(progress.next().await, None);
    }

    #[test]
    fn a_node_that_leaves_is_no_longer_counted() {
        let acks = Acks::new();
        let node = acks.begin(&hello("one"), 1, None, 5);
        node.take(ack("acme", 7, None)).unwrap();
        let standing = acks.nodes().pop().unwrap();
        assert_eq!((standing.index, standing.connected_since_ms, standing.tenants.len()), (2, 5, 1));
        let gone = v1::TenantAck { tenant: "acme".to_owned(), gone: true, ..Default::default() };
        node.take(v1::Ack { tenants: vec![gone], ..Default::default() }).unwrap();
        assert!(acks.nodes()[0].tenants.is_empty());
        drop(node);
        assert!(acks.nodes().is_empty());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let acks = Acks::new();
        let node = acks.begin(&hello("one"), 1, None, 0);
        assert!(node.take(ack("a b", 7, None)).is_err());
        let long =
            v1::NotInForce { message: "x".repeat(caps::FEED_TROUBLE_BYTES_MAX + 1), ..Default::default() };
        assert!(node.take(ack("acme", 7, Some(long))).is_err());
    }
}
