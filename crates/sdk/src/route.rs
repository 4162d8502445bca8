//! Where a call is sent: to the data node that owns the agent's slot where an answer has named it, else to one of the
//! endpoints that the client was given.
//!
//! Any node judges any call, so that a wrong guess costs a grant, and a node that fails costs an attempt.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use aegis_model::caps;
use aegis_model::secret::Secret;
use aegis_model::slot::Slot;
use aegis_proto::v1::decision_client::DecisionClient;
use tokio::time::Instant;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use crate::token::slot_of;

/// How long a node that failed is not asked where another one may be.
const REST: Duration = Duration::from_millis(caps::SDK_REST_MS);

/// How every node is reached. An address that an answer has named is reached in no other way than those that were given: a
/// token never travels less protected because a node said so.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    pub(crate) tls: Option<ClientTlsConfig>,
    pub(crate) connect_timeout: Duration,
}

/// A node, with its connection, which is opened by the first call: that needs a runtime, and building a client does not.
#[derive(Debug)]
pub(crate) struct Node {
    endpoint: Endpoint,
    channel: OnceLock<Channel>,
    /// Until when it is not asked, since it failed.
    rests_until: Mutex<Option<Instant>>,
    /// How its decision ids begin: with its name and its incarnation.
    decides_as: Mutex<String>,
}

/// The nodes that are known, and which of them owns which slot.
#[derive(Debug)]
pub(crate) struct Routes {
    transport: Transport,
    /// Those that the client was given; never none.
    given: Vec<Arc<Node>>,
    learned: Mutex<Learned>,
    /// The newest token with the slot of its agent.
    newest: Mutex<Option<(Secret<String>, Option<Slot>)>>,
}

#[derive(Debug, Default)]
struct Learned {
    /// Nodes that answers have named, the newest last; at most [`caps::SDK_NODES_MAX`].
    nodes: VecDeque<Arc<Node>>,
    /// At most [`caps::SLOTS`].
    owners: HashMap<Slot, Arc<Node>>,
}

impl Transport {
    /// The endpoint at `address`, which has the scheme that fits.
    ///
    /// # Errors
    /// The address or the TLS settings are malformed.
    pub(crate) fn endpoint(&self, address: &str) -> Result<Endpoint, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(address.to_owned())?;
        let endpoint = match &self.tls {
            Some(tls) => endpoint.tls_config(tls.clone())?,
            None => endpoint,
        };
        let ping = Duration::from_millis(caps::SDK_PING_MS);
        Ok(endpoint
            .tcp_nodelay(true)
            // A dead address leaves time for the other attempts.
            .connect_timeout(self.connect_timeout)
            // A node that lost its power sends no reset: the ping notices it while calls wait.
            .http2_keep_alive_interval(ping)
            .keep_alive_timeout(ping))
    }

    fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// The node at an address that an answer has named; nothing if it is not to be reached like those that were given.
    fn named(&self, address: &str) -> Option<Node> {
        if address.len() > caps::ADDRESS_BYTES_MAX {
            return None;
        }
        let endpoint = self.endpoint(address).ok()?;
        let uri = endpoint.uri();
        let plain = uri.path_and_query().is_none_or(|rest| rest.as_str() == "/")
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        (plain && uri.scheme_str() == Some(self.scheme())).then(|| Node::new(endpoint))
    }
}

impl Node {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            channel: OnceLock::new(),
            rests_until: Mutex::new(None),
            decides_as: Mutex::default(),
        }
    }

    /// A client of it.
    pub(crate) fn client(&self) -> DecisionClient<Channel> {
        DecisionClient::new(self.channel.get_or_init(|| self.endpoint.connect_lazy()).clone())
    }

    fn is_at(&self, other: &Node) -> bool {
        self.endpoint.uri().authority() == other.endpoint.uri().authority()
    }

    fn rests(&self) -> bool {
        let until = *lock(&self.rests_until);
        until.is_some_and(|until| Instant::now() < until)
    }
}

impl Routes {
    /// Routes that begin with the nodes that were `given`.
    pub(crate) fn new(transport: Transport, given: Vec<Arc<Node>>) -> Self {
        Self { transport, given, learned: Mutex::default(), newest: Mutex::new(None) }
    }

    /// The slot of the agent whose token this is; nothing if the token does not say.
    pub(crate) fn slot(&self, token: &Secret<String>) -> Option<Slot> {
        let mut newest = lock(&self.newest);
        match &*newest {
            Some((known, slot)) if known.expose() == token.expose() => *slot,
            Some(_) | None => {
                let slot = slot_of(token.expose());
                *newest = Some((token.clone(), slot));
                slot
            }
        }
    }

    /// The node to ask: one that was not `tried`, if there is one, and of those one that did not fail lately.
    pub(crate) fn pick(&self, slot: Option<Slot>, tried: &[Arc<Node>]) -> Arc<Node> {
        if let Some(owner) = slot.and_then(|slot| self.owner(slot))
            && !owner.rests()
            && !is_among(&owner, tried)
        {
            return owner;
        }
        let candidates = self.candidates(slot);
        let untried = || candidates.iter().filter(|node| !is_among(node, tried));
        let found = untried().find(|node| !node.rests()).or_else(|| untried().next());
        Arc::clone(found.or(candidates.first()).unwrap_or(&self.given[0]))
    }

    /// Whether there is a node that was not tried.
    pub(crate) fn has_more(&self, tried: &[Arc<Node>]) -> bool {
        self.candidates(None).iter().any(|node| !is_among(node, tried))
    }

    fn owner(&self, slot: Slot) -> Option<Arc<Node>> {
        lock(&self.learned).owners.get(&slot).cloned()
    }

    /// All nodes, in the order in which they are asked: the owner, those that were given, those that were named.
    fn candidates(&self, slot: Option<Slot>) -> Vec<Arc<Node>> {
        let learned = lock(&self.learned);
        let owner = slot.and_then(|slot| learned.owners.get(&slot)).cloned();
        // By slot, so that agents are spread, and each stays where its last answer is remembered.
        let first = slot.map_or(0, |slot| usize::from(slot.number())) % self.given.len();
        let (before, from) = self.given.split_at(first);
        let given = from.iter().chain(before).cloned();
        owner.into_iter().chain(given).chain(learned.nodes.iter().rev().cloned()).collect()
    }

    /// Notes an answer: whoever it names owns the slot, and otherwise whoever gave it is as good as any.
    pub(crate) fn answered(&self, slot: Option<Slot>, by: &Arc<Node>, owner: &str) {
        *lock(&by.rests_until) = None;
        let Some(slot) = slot else { return };
        let named = if owner.is_empty() { None } else { self.transport.named(owner) };
        let mut learned = lock(&self.learned);
        let owner = match named {
            None => Arc::clone(by),
            Some(named) => self.known(&mut learned, named),
        };
        // One that failed a moment ago is named by those who have not noticed yet.
        if !owner.rests() {
            learned.owners.insert(slot, owner);
        }
    }

    /// The node at the same address, if it is known already; otherwise it is from now on.
    fn known(&self, learned: &mut Learned, named: Node) -> Arc<Node> {
        let known = self.given.iter().chain(&learned.nodes).find(|node| node.is_at(&named));
        if let Some(known) = known {
            return Arc::clone(known);
        }
        if learned.nodes.len() >= caps::SDK_NODES_MAX
            && let Some(oldest) = learned.nodes.pop_front()
        {
            learned.owners.retain(|_, owner| !Arc::ptr_eq(owner, &oldest));
        }
        let named = Arc::new(named);
        learned.nodes.push_back(Arc::clone(&named));
        named
    }

    /// Notes who made a decision: only that node can be told what became of the call.
    pub(crate) fn decided(&self, by: &Arc<Node>, decision_id: &str) {
        let own = origin(decision_id);
        let mut known = lock(&by.decides_as);
        if *known != own {
            own.clone_into(&mut known);
        }
    }

    /// The node that made a decision, if it is known.
    pub(crate) fn decider(&self, decision_id: &str) -> Option<Arc<Node>> {
        let own = origin(decision_id);
        let learned = lock(&self.learned);
        let mut nodes = self.given.iter().chain(&learned.nodes);
        nodes.find(|node| !own.is_empty() && *lock(&node.decides_as) == own).cloned()
    }

    /// Notes that a node failed: it owns nothing any more, and is not asked for a while where another one may be.
    pub(crate) fn failed(&self, node: &Arc<Node>) {
        *lock(&node.rests_until) = Some(Instant::now() + REST);
        lock(&self.learned).owners.retain(|_, owner| !Arc::ptr_eq(owner, node));
    }
}

/// What the ids of all decisions of one life of a node have in common: everything but the count at their end.
fn origin(decision_id: &str) -> &str {
    decision_id.rsplit_once('-').map_or("", |(origin, _count)| origin)
}

fn is_among(node: &Arc<Node>, others: &[Arc<Node>]) -> bool {
    others.iter().any(|other| Arc::ptr_eq(node, other))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while one is held, and each value is whole after each step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport(tls: bool) -> Transport {
        let tls = tls.then(ClientTlsConfig::new);
        Transport { tls, connect_timeout: Duration::from_secs(1) }
    }

    fn routes(given: &[&str]) -> Routes {
        let transport = transport(false);
        let node = |address: &&str| Arc::new(Node::new(transport.endpoint(address).unwrap()));
        let given = given.iter().map(node).collect();
        Routes::new(transport, given)
    }

    fn slot(number: u16) -> Option<Slot> {
        Slot::new(number)
    }

    fn address(node: &Node) -> String {
        node.endpoint.uri().to_string()
    }

    #[test]
    fn a_named_address_is_reached_as_well_protected_as_those_that_were_given() {
        for (tls, address, used) in [
            (false, "http://data-2:7081", true),
            (false, "https://data-2:7081", false),
            (true, "https://data-2:7081", true),
            (true, "http://data-2:7081", false),
            (true, "data-2:7081", false),
            (true, "https://user@data-2:7081", false),
            (true, "https://data-2:7081/elsewhere", false),
            (true, "https://data-2:7081?to=elsewhere", false),
            (true, "ftp://data-2:7081", false),
            (true, "not an address", false),
        ] {
            assert_eq!(transport(tls).named(address).is_some(), used, "{tls} {address}");
        }
        let long = format!("https://{}", "d".repeat(caps::ADDRESS_BYTES_MAX));
        assert!(transport(true).named(&long).is_none());
    }

    #[test]
    fn an_owner_is_asked_first_until_it_fails() {
        let routes = routes(&["http://seed:1"]);
        let seed = routes.pick(slot(5), &[]);
        routes.answered(slot(5), &seed, "http://owner:1");
        let owner = routes.pick(slot(5), &[]);
        assert_eq!(address(&owner), "http://owner:1/");
        assert_eq!(address(&routes.pick(slot(6), &[])), "http://seed:1/", "of another slot nothing is known");
        assert_eq!(address(&routes.pick(slot(5), &[Arc::clone(&owner)])), "http://seed:1/");
        routes.failed(&owner);
        assert_eq!(address(&routes.pick(slot(5), &[])), "http://seed:1/");
        routes.answered(slot(5), &seed, "http://owner:1");
        assert_eq!(address(&routes.pick(slot(5), &[])), "http://seed:1/", "the seed has not noticed yet");
        assert!(routes.has_more(&[seed]) && !routes.has_more(&routes.candidates(None)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_failed_is_asked_again_after_a_while() {
        let routes = routes(&["http://seed:1", "http://seed:2"]);
        let first = routes.pick(slot(0), &[]);
        routes.failed(&first);
        assert_eq!(address(&routes.pick(slot(0), &[])), "http://seed:2/");
        let second = routes.pick(slot(0), &[]);
        routes.failed(&second);
        assert_eq!(
            address(&routes.pick(slot(0), &[])),
            "http://seed:1/",
            "all of them failed: one has to do"
        );
        tokio::time::advance(REST).await;
        routes.answered(slot(1), &second, "http://seed:1");
        assert_eq!(address(&routes.pick(slot(1), &[])), "http://seed:1/");
    }

    #[test]
    fn as_many_nodes_are_known_as_may_be() {
        let routes = routes(&["http://seed:1"]);
        let seed = routes.pick(None, &[]);
        for number in 0..u16::try_from(caps::SDK_NODES_MAX).unwrap() + 1 {
            routes.answered(slot(number), &seed, &format!("http://owner-{number}:1"));
        }
        let learned = lock(&routes.learned);
        assert_eq!((learned.nodes.len(), learned.owners.len()), (caps::SDK_NODES_MAX, caps::SDK_NODES_MAX));
        assert!(!learned.owners.contains_key(&slot(0).unwrap()), "the oldest was forgotten");
    }

    #[test]
    fn the_node_that_decided_is_found_by_its_decisions() {
        let routes = routes(&["http://seed:1", "http://seed:2"]);
        let [first, second] = [0, 1].map(|at| Arc::clone(&routes.given[at]));
        assert!(routes.decider("d-data-1-7-1").is_none() && routes.decider("").is_none());
        routes.decided(&first, "d-data-1-7-1");
        routes.decided(&second, "d-data-2-9-1");
        assert!(Arc::ptr_eq(&routes.decider("d-data-2-9-44").unwrap(), &second));
        assert!(Arc::ptr_eq(&routes.decider("d-data-1-7-2").unwrap(), &first));
        assert!(routes.decider("d-data-1-8-1").is_none(), "another life of the node");
        routes.decided(&first, "d-data-1-8-1");
        assert!(routes.decider("d-data-1-8-2").is_some() && routes.decider("d-data-1-7-2").is_none());
    }

    #[test]
    fn a_node_that_was_given_is_not_known_twice() {
        let routes = routes(&["http://seed:1", "http://seed:2"]);
        let first = routes.pick(slot(0), &[]);
        routes.answered(slot(0), &first, "http://seed:2/");
        assert!(Arc::ptr_eq(&routes.pick(slot(0), &[]), &routes.given[1]));
        assert!(lock(&routes.learned).nodes.is_empty());
    }
}
