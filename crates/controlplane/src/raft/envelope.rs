//! Who speaks to whom: the stamp on every message between control nodes, and its check.
//!
//! Checked before a request has any effect, in this order: the protocol, the cluster, that it is meant for this node,
//! the certificate, and whether the sender belongs to the cluster. The last check knows one exception: a node may be so
//! far behind that it has not heard of a member yet. It then takes entries from a leader whose vote a quorum granted, and
//! votes for a candidate whose log goes beyond its own. Without that it could never learn of the member.

use aegis_model::ids::ClusterId;
use aegis_proto::v1;
use aegis_raft_store::types::{NodeId, Peer};
use openraft::Membership;
use tonic::{Code, Status};

use super::listen::Caller;
use super::tls::ControlNames;
use super::wire::Malformed;

/// The version of the protocol between control nodes. Changed when an old node would misunderstand a new one.
pub const PROTOCOL: u32 = 1;

/// The trailing metadata in which a refused request finds the code of its refusal.
pub const REFUSED: &str = "aegis-raft-refused";

/// Why a message from another node was refused. It had no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The sender speaks another version of the protocol.
    #[error(
        "node `{node}` speaks version {theirs} of the protocol between control nodes, this node version {PROTOCOL}: upgrade the older one"
    )]
    WrongProtocol {
        /// The sender's name.
        node: String,
        /// What it speaks.
        theirs: u32,
    },
    /// The sender belongs to another cluster.
    #[error(
        "node `{node}` belongs to cluster `{theirs}`, this node to `{ours}`: check the addresses of the peers"
    )]
    WrongCluster {
        /// The sender's name.
        node: String,
        /// Its cluster.
        theirs: String,
        /// This node's.
        ours: ClusterId,
    },
    /// The message was meant for another node.
    #[error(
        "this is node {ours:016x}, the message is meant for {theirs:016x}: the node at this address was replaced"
    )]
    WrongNode {
        /// Whom it was meant for.
        theirs: NodeId,
        /// This node.
        ours: NodeId,
    },
    /// The connection does not prove the sender's name.
    #[error(
        "the connection of `{node}` shows no certificate for `{node}.control.{cluster}` and `control.{cluster}`"
    )]
    WrongCertificate {
        /// The sender's name.
        node: String,
        /// This node's cluster.
        cluster: ClusterId,
    },
    /// The sender is no member.
    #[error("node {node:016x} (`{name}`) is no member of the cluster: let it join first")]
    UnknownNode {
        /// The sender.
        node: NodeId,
        /// Its name.
        name: String,
    },
    /// The sender was a member once.
    #[error(
        "node {node:016x} (`{name}`) was removed from the cluster for good: it comes back with an empty data folder and a new id"
    )]
    RemovedNode {
        /// The sender.
        node: NodeId,
        /// Its name.
        name: String,
    },
    /// The message makes no sense.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Too much of the kind is under way.
    #[error("too much is under way with node `{0}`")]
    Busy(String),
    /// This node stops, or has failed.
    #[error("this node is stopping")]
    Stopped,
}

impl Refused {
    /// The code that stands in the metadata.
    pub fn code(&self) -> &'static str {
        match self {
            Self::WrongProtocol { .. } => "wrong_protocol",
            Self::WrongCluster { .. } => "wrong_cluster",
            Self::WrongNode { .. } => "wrong_node",
            Self::WrongCertificate { .. } => "wrong_certificate",
            Self::UnknownNode { .. } => "unknown_node",
            Self::RemovedNode { .. } => "removed_node",
            Self::Malformed(_) => "malformed",
            Self::Busy(_) => "busy",
            Self::Stopped => "stopped",
        }
    }

    fn grpc(&self) -> Code {
        match self {
            Self::WrongProtocol { .. } | Self::WrongCluster { .. } | Self::WrongNode { .. } => {
                Code::FailedPrecondition
            }
            Self::WrongCertificate { .. } | Self::UnknownNode { .. } | Self::RemovedNode { .. } => {
                Code::PermissionDenied
            }
            Self::Malformed(_) => Code::InvalidArgument,
            Self::Busy(_) => Code::ResourceExhausted,
            Self::Stopped => Code::Unavailable,
        }
    }
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        let mut status = Status::new(refused.grpc(), refused.to_string());
        let code = tonic::metadata::MetadataValue::from_static(refused.code());
        status.metadata_mut().insert(REFUSED, code);
        status
    }
}

/// Whether `status` says that the request had no effect.
pub(super) fn is_refusal(status: &Status) -> bool {
    status.metadata().contains_key(REFUSED)
}

/// What a node that is not in the membership is allowed to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strangers {
    /// Nothing.
    Refused,
    /// Somebody whom this node has not heard of yet.
    Welcome,
}

/// This node, as it signs and checks messages.
#[derive(Debug, Clone)]
pub(super) struct Envelope {
    pub(super) cluster: ClusterId,
    pub(super) node: NodeId,
    pub(super) name: String,
    pub(super) names: ControlNames,
}

impl Envelope {
    /// The stamp for a message of this node.
    pub(super) fn sender(&self) -> v1::RaftSender {
        v1::RaftSender {
            cluster: self.cluster.as_str().to_owned(),
            node: self.node,
            name: self.name.clone(),
            protocol: PROTOCOL,
        }
    }

    /// Checks everything about a request but membership.
    pub(super) fn check(
        &self,
        sender: Option<&v1::RaftSender>,
        target: NodeId,
        caller: Option<&Caller>,
    ) -> Result<(), Refused> {
        let sender = sender.ok_or(Malformed("sender"))?;
        self.check_sender(sender)?;
        if target != self.node {
            return Err(Refused::WrongNode { theirs: target, ours: self.node });
        }
        let certificate = caller.and_then(|caller| caller.certificate.as_ref());
        if !certificate.is_some_and(|shown| self.names.proves(shown, &sender.name)) {
            return Err(Refused::WrongCertificate {
                node: sender.name.clone(),
                cluster: self.cluster.clone(),
            });
        }
        Ok(())
    }

    /// Checks an answer: the connection proved the name already.
    pub(super) fn check_answer(
        &self,
        sender: Option<&v1::RaftSender>,
        expected: NodeId,
    ) -> Result<(), Refused> {
        let sender = sender.ok_or(Malformed("sender"))?;
        self.check_sender(sender)?;
        match sender.node == expected {
            true => Ok(()),
            false => Err(Refused::WrongNode { theirs: expected, ours: sender.node }),
        }
    }

    fn check_sender(&self, sender: &v1::RaftSender) -> Result<(), Refused> {
        let node = || sender.name.clone();
        if sender.protocol != PROTOCOL {
            return Err(Refused::WrongProtocol { node: node(), theirs: sender.protocol });
        }
        if sender.cluster != self.cluster.as_str() {
            let theirs = sender.cluster.clone();
            return Err(Refused::WrongCluster { node: node(), theirs, ours: self.cluster.clone() });
        }
        Ok(())
    }
}

/// Whether `sender` belongs to the cluster. `removed` says whether its id was retired; only asked about strangers.
pub(super) fn check_member(
    sender: &v1::RaftSender,
    members: &Membership<NodeId, Peer>,
    removed: impl FnOnce() -> bool,
    strangers: Strangers,
) -> Result<(), Refused> {
    let (node, name) = (sender.node, sender.name.clone());
    match members.get_node(&node) {
        Some(member) if member.name == sender.name => Ok(()),
        // A name belongs to one id at a time, and the certificate proves the name.
        Some(_other) => Err(Refused::UnknownNode { node, name }),
        None if removed() => Err(Refused::RemovedNode { node, name }),
        // A node that has joined nothing yet knows nobody.
        None if members.nodes().next().is_none() => Ok(()),
        None if strangers == Strangers::Welcome => Ok(()),
        None => Err(Refused::UnknownNode { node, name }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use aegis_model::caps;

    use super::*;

    fn sender(node: NodeId, name: &str) -> v1::RaftSender {
        v1::RaftSender { cluster: "c".to_owned(), node, name: name.to_owned(), protocol: PROTOCOL }
    }

    fn envelope() -> Envelope {
        let cluster: ClusterId = "c".parse().unwrap();
        let names = ControlNames::new(&cluster).unwrap();
        Envelope { cluster, node: 1, name: "one".to_owned(), names }
    }

    fn members() -> Membership<NodeId, Peer> {
        let peer = |name: &str| Peer { name: name.to_owned(), address: String::new() };
        Membership::new(vec![BTreeSet::from([1, 2])], BTreeMap::from([(1, peer("one")), (2, peer("two"))]))
    }

    #[test]
    fn answers_of_others_are_refused() {
        let check =
            |sender: v1::RaftSender| envelope().check_answer(Some(&sender), 2).map_err(|it| it.code());
        assert_eq!(check(sender(2, "two")), Ok(()));
        assert_eq!(check(sender(3, "two")), Err("wrong_node"));
        assert_eq!(
            check(v1::RaftSender { cluster: "d".to_owned(), ..sender(2, "two") }),
            Err("wrong_cluster")
        );
        assert_eq!(check(v1::RaftSender { protocol: 2, ..sender(2, "two") }), Err("wrong_protocol"));
        assert_eq!(envelope().check_answer(None, 2).unwrap_err().code(), "malformed");
    }

    #[test]
    fn requests_without_a_certificate_are_refused() {
        let check = |sender: v1::RaftSender, target| {
            let refused = envelope().check(Some(&sender), target, None).unwrap_err();
            assert!(is_refusal(&Status::from(refused.clone())));
            refused.code()
        };
        assert_eq!(check(sender(2, "two"), 1), "wrong_certificate");
        assert_eq!(check(sender(2, "two"), 9), "wrong_node");
    }

    #[test]
    fn members_are_known_by_id_and_name() {
        let check = |node, name, removed, strangers| {
            check_member(&sender(node, name), &members(), || removed, strangers).map_err(|it| it.code())
        };
        assert_eq!(check(2, "two", false, Strangers::Refused), Ok(()));
        assert_eq!(check(2, "two", true, Strangers::Refused), Ok(()), "its removal has not come through yet");
        assert_eq!(check(2, "one", false, Strangers::Welcome), Err("unknown_node"));
        assert_eq!(check(3, "three", false, Strangers::Refused), Err("unknown_node"));
        assert_eq!(check(3, "three", false, Strangers::Welcome), Ok(()));
        assert_eq!(check(3, "three", true, Strangers::Welcome), Err("removed_node"));
        let nobody = Membership::new(vec![], BTreeMap::new());
        assert_eq!(check_member(&sender(3, "three"), &nobody, || false, Strangers::Refused), Ok(()));
    }

    #[test]
    fn names_that_fit_no_certificate_are_refused() {
        let names = |cluster: &str| ControlNames::new(&cluster.parse().unwrap());
        // Whatever is the id of a cluster can stand in a certificate.
        let longest = format!("{}.c", "c".repeat(caps::CLUSTER_ID_BYTES_MAX - 2));
        for cluster in ["c", "prod.eu-1", "1.a-2", "0x1.c0", &longest] {
            assert!(names(cluster).is_ok(), "{cluster}");
        }
        let names = names("c").unwrap();
        assert!(names.node("control-1").is_ok());
        assert!(names.node("a.b").is_err() && names.node("A").is_err() && names.node("").is_err());
    }
}
