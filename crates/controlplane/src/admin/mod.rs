//! The admin API: what people and their tools ask of the control plane, over REST and over gRPC.
//!
//! | part | what it does |
//! |---|---|
//! | [`caller`] | who asks, what they may read, and how a write becomes a command |
//! | [`service`] | what each operation does: plain functions from message to message |
//! | [`rest`] | HTTP: paths, headers, strict JSON, problem documents, the OpenAPI document |
//! | [`grpc`] | `aegis.v1.Admin`: metadata and statuses |
//! | [`problem`] | why there is no answer: stable codes, and what each is over HTTP and gRPC |
//! | [`bootstrap`] | the first cluster, its first keys, and the first person's token |
//!
//! Both surfaces give the same messages, of `aegis_proto::admin`, to the same functions; neither decides anything. What a
//! person may change is judged when the command is applied, wherever it came in; what they may read, in one table
//! ([`access`]).

pub mod bootstrap;

pub mod rest;

pub mod grpc;

pub mod problem;

pub mod backups;
pub mod membership;
pub mod object_store;
pub mod progress;

pub(crate) mod access;
pub(crate) mod caller;
pub(crate) mod form;
pub(crate) mod service;

mod randomness;
mod room;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::sync::Arc;

use aegis_model::clock::Clock;
use rand::rngs::StdRng;

use crate::control::Control;
use crate::deliveries::Sender;
use crate::keys::ClusterKeys;
use crate::publish::Publisher;
use crate::readiness::Readiness;
use crate::search::SearchNode;
use backups::Backups;
use membership::Membership;
use object_store::ObjectStore;
use progress::Acknowledgements;
pub(crate) use randomness::Randomness;
use room::Rooms;

pub use problem::Problem;
pub(crate) use service::approvals as approval_service;
pub(crate) use service::approvals::document as approval_document;

/// What the admin API needs.
pub struct Setup {
    /// Changes and reads the state.
    pub control: Control,
    /// Unwrap the keys that sign tokens.
    pub cluster_keys: Arc<ClusterKeys>,
    /// Publishes versions; one per control node, since it bounds what is compiled at once.
    pub publisher: Publisher,
    /// Until when tokens count.
    pub clock: Clock,
    /// Where ids of tokens and new keys come from.
    pub randomness: StdRng,
    /// Who belongs to the cluster, as Raft knows it.
    pub membership: Arc<dyn Membership>,
    /// What data nodes have put into force.
    pub acknowledgements: Arc<dyn Acknowledgements>,
    /// Takes backups.
    pub backups: Arc<dyn Backups>,
    /// How far the object store is.
    pub object_store: Arc<dyn ObjectStore>,
    /// Whether the node should be sent requests.
    pub readiness: Readiness,
    /// Sends messages through channels.
    pub sender: Sender,
    /// Asks data nodes what was decided.
    pub search: SearchNode,
}

/// The admin API of one control node. Cheap to clone.
#[derive(Clone)]
pub struct Admin {
    inner: Arc<Inner>,
}

struct Inner {
    control: Control,
    cluster_keys: Arc<ClusterKeys>,
    publisher: Publisher,
    clock: Clock,
    randomness: Randomness,
    membership: Arc<dyn Membership>,
    acknowledgements: Arc<dyn Acknowledgements>,
    backups: Arc<dyn Backups>,
    object_store: Arc<dyn ObjectStore>,
    readiness: Readiness,
    sender: Sender,
    search: SearchNode,
    rooms: Rooms,
}

impl Admin {
    /// The admin API over `setup`.
    pub fn new(setup: Setup) -> Self {
        let Setup {
            control,
            cluster_keys,
            publisher,
            clock,
            randomness,
            membership,
            acknowledgements,
            backups,
            object_store,
            readiness,
            sender,
            search,
        } = setup;
        let inner = Inner {
            control,
            cluster_keys,
            publisher,
            clock,
            randomness: Randomness::new(randomness),
            membership,
            acknowledgements,
            backups,
            object_store,
            readiness,
            sender,
            search,
            rooms: Rooms::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn control(&self) -> &Control {
        &self.inner.control
    }

    pub(crate) fn cluster_keys(&self) -> &ClusterKeys {
        &self.inner.cluster_keys
    }

    pub(crate) fn publisher(&self) -> &Publisher {
        &self.inner.publisher
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    pub(crate) fn randomness(&self) -> StdRng {
        self.inner.randomness.fork()
    }

    pub(crate) fn membership(&self) -> &dyn Membership {
        self.inner.membership.as_ref()
    }

    pub(crate) fn acknowledgements(&self) -> &Arc<dyn Acknowledgements> {
        &self.inner.acknowledgements
    }

    pub(crate) fn backups(&self) -> &dyn Backups {
        self.inner.backups.as_ref()
    }

    pub(crate) fn object_store(&self) -> &dyn ObjectStore {
        self.inner.object_store.as_ref()
    }

    pub(crate) fn readiness(&self) -> &Readiness {
        &self.inner.readiness
    }

    pub(crate) fn sender(&self) -> &Sender {
        &self.inner.sender
    }

    pub(crate) fn search(&self) -> &SearchNode {
        &self.inner.search
    }

    pub(crate) fn rooms(&self) -> &Rooms {
        &self.inner.rooms
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}
