//! Where calls and agents ask the control plane about approvals.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_model::metric::Family;
use aegis_model::trace::TraceContext;
use aegis_proto::v1;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit, mpsc};
use tokio::time::{Instant, timeout_at};
use tonic::Request;

use super::counts::{Counts, Question};
use super::link::{ApprovalLink, Unanswered};
use super::redemption::Redemption;
use crate::limits::{Book, Identity};
use crate::peers::pass_on;

/// Approvals, as far as this node has a control plane. Shared by all calls.
#[derive(Debug)]
pub(crate) struct Approvals {
    desk: OnceLock<Desk>,
    /// Places for clients that wait for people.
    waits: Semaphore,
    counts: Counts,
}

#[derive(Debug)]
struct Desk {
    link: ApprovalLink,
    book: Arc<Book>,
    returns: mpsc::Sender<v1::ApprovalReturn>,
    /// Counts redemptions of this process.
    redemptions: AtomicU64,
    /// Whose turn it is to redeem which approval.
    turns: std::sync::Mutex<HashMap<String, Weak<Mutex<()>>>>,
}

/// The control plane could not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreachable {
    /// This node has none, or has not met it yet.
    None,
    /// It did not answer in time.
    Late,
    /// It does not take the question.
    Refused,
}

/// A request to be opened: everything of the message but who asks.
pub(crate) type Opening = v1::ApprovalOpening;

/// What came of a redemption.
#[derive(Debug)]
pub(crate) enum Redeemed {
    /// The approval is used by it: the guard gives it back unless it is kept. Who agreed.
    Yes(Redemption, Vec<String>),
    /// It is not: why, in the words of the protocol.
    No(String),
}

/// How long a control node may take to answer one that waits, beyond the wait.
const GRACE: Duration = Duration::from_secs(2);

/// Longest wait in one question.
const POLL: Duration = Duration::from_secs(10);

impl Approvals {
    /// Those of a node that has met no control plane yet.
    pub(crate) fn new() -> Self {
        Self {
            desk: OnceLock::new(),
            waits: Semaphore::new(caps::APPROVAL_WAITS_MAX),
            counts: Counts::default(),
        }
    }

    /// Asks over `link` from now on, as who `book` says; what is to be given back is done until the node ends.
    pub(crate) fn begin(&self, link: ApprovalLink, book: Arc<Book>) -> Option<Returns> {
        let (returns, waiting) = mpsc::channel(caps::APPROVAL_RETURNS_MAX);
        self.desk
            .set(Desk { link, book, returns, redemptions: AtomicU64::new(0), turns: Default::default() })
            .ok()?;
        Some(Returns(waiting))
    }

    /// Who this node is to the control plane, and in which cluster.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.desk.get().and_then(|desk| desk.book.known_identity())
    }

    /// Asks for approval of a call, or joins the request that does.
    pub(crate) async fn open(
        &self,
        opening: Opening,
        trace: Option<&TraceContext>,
    ) -> Result<v1::ApprovalStanding, Unreachable> {
        let (desk, node) = self.desk()?;
        let opening = v1::ApprovalOpening { node: Some(node), ..opening };
        let deadline = Instant::now() + Duration::from_millis(caps::APPROVAL_LINK_MS);
        let asked = desk.link.ask(deadline, ATTEMPT, |mut client| {
            let opening = traced(opening.clone(), trace);
            async move { client.open_approval(opening).await }
        });
        let answer = asked.await.map_err(Unreachable::from);
        self.counts.note(Question::Open, &answer);
        answer
    }

    /// Redeems an approval for a call, once. Whatever happens, dropping what comes of it gives it back.
    pub(crate) async fn redeem(
        &self,
        tenant: &TenantId,
        id: &str,
        digest: &[u8; 32],
        entry_digest: &[u8; 32],
        trace: Option<&TraceContext>,
    ) -> Result<Redeemed, Unreachable> {
        let (desk, node) = self.desk()?;
        let deadline = Instant::now() + Duration::from_millis(caps::APPROVAL_LINK_MS);
        // One attempt of this node at a time: what many clients present at once is one question after the other, and an outage leaves
        // one attempt to be given back instead of one per client.
        let turn = desk.turn(tenant, id);
        let _turn = timeout_at(deadline, turn.lock()).await.map_err(|_late| Unreachable::Late)?;
        let name = desk.next_name(&node);
        let question = v1::ApprovalRedemption {
            node: Some(node.clone()),
            tenant: tenant.to_string(),
            id: id.to_owned(),
            digest: digest.to_vec(),
            entry_digest: entry_digest.to_vec(),
            redemption: name.to_vec(),
        };
        let back = v1::ApprovalReturn {
            node: Some(node),
            tenant: tenant.to_string(),
            id: id.to_owned(),
            redemption: name.to_vec(),
        };
        // Before it is asked for: a client that goes away, or an answer that never comes, must not use it up.
        let redemption = Redemption::new(back, desk.returns.clone());
        let asked = desk.link.ask(deadline, ATTEMPT, |mut client| {
            let question = traced(question.clone(), trace);
            async move { client.redeem_approval(question).await }
        });
        let answer = asked.await.map_err(Unreachable::from);
        self.counts.note(Question::Redeem, &answer);
        let v1::ApprovalRedeeming { refused, approvers } = answer?;
        if refused.is_empty() {
            return Ok(Redeemed::Yes(redemption, approvers));
        }
        redemption.never_happened();
        Ok(Redeemed::No(refused))
    }

    /// How a request stands, once it is decided or has ended, or as it is when the wait is over.
    pub(crate) async fn watch(
        &self,
        tenant: &TenantId,
        id: &str,
        wait: Duration,
    ) -> Result<v1::ApprovalStanding, Unreachable> {
        let until = Instant::now() + wait;
        loop {
            let (desk, node) = self.desk()?;
            let poll = until.saturating_duration_since(Instant::now()).min(POLL);
            let question = v1::ApprovalWatch {
                node: Some(node),
                tenant: tenant.to_string(),
                id: id.to_owned(),
                wait_ms: u32::try_from(poll.as_millis()).unwrap_or(u32::MAX),
            };
            let deadline = Instant::now() + poll + GRACE;
            let asked = desk.link.ask(deadline, poll + GRACE, |mut client| {
                let question = question.clone();
                async move { client.watch_approval(question).await }
            });
            let asked = asked.await;
            let over = Instant::now() >= until;
            match asked {
                Ok(standing) if standing.state != "pending" || over => return Ok(standing),
                // Who waits for people can wait for a control node as well.
                Err(Unanswered::Refused(status)) => return Err(Unanswered::Refused(status).into()),
                Err(error) if over => return Err(error.into()),
                Ok(_) | Err(Unanswered::Late) => {}
            }
        }
    }

    /// A place to wait, if there is one.
    pub(crate) fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.waits.try_acquire().ok()
    }

    /// How many clients wait for people, and how the control plane has answered.
    pub(crate) fn families(&self) -> [Family; 2] {
        let waits = caps::APPROVAL_WAITS_MAX.saturating_sub(self.waits.available_permits());
        let help = "Clients that wait for people.";
        [Family::gauge("aegis_approval_waits", help).with(&[], waits as f64), self.counts.family()]
    }

    fn desk(&self) -> Result<(&Desk, v1::ApprovalNode), Unreachable> {
        let desk = self.desk.get().ok_or(Unreachable::None)?;
        let identity = desk.book.known_identity().ok_or(Unreachable::None)?;
        let node = desk.link.node(&identity);
        Ok((desk, node))
    }

    /// Gives back what is to be given back, until nothing can come any more.
    pub(crate) async fn give_back(&self, returns: &mut Returns) {
        while let Some(back) = returns.0.recv().await {
            let Some(desk) = self.desk.get() else { return };
            let deadline = Instant::now() + RETURN;
            let asked = desk.link.ask(deadline, ATTEMPT, |mut client| {
                let back = back.clone();
                async move { client.give_back_approval(back).await }
            });
            if let Err(error) = asked.await {
                tracing::warn!(?error, approval = %back.id, "an approval of which nothing was released could not be given back");
            }
        }
    }
}

impl Desk {
    /// The turn at an approval: held by whoever redeems it.
    fn turn(&self, tenant: &TenantId, id: &str) -> Arc<Mutex<()>> {
        let key = format!("{tenant}\0{id}");
        let mut turns = self.turns.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(turn) = turns.get(&key).and_then(Weak::upgrade) {
            return turn;
        }
        // Those that nobody waits for are forgotten, so that there are never more than calls under way.
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Mutex::new(()));
        turns.insert(key, Arc::downgrade(&turn));
        turn
    }

    /// A name that no redemption of any node and life has: each life has a number of its own.
    fn next_name(&self, node: &v1::ApprovalNode) -> [u8; 16] {
        let count = self.redemptions.fetch_add(1, Ordering::Relaxed);
        let mut hash = Sha256::new();
        [node.id, node.incarnation, count].iter().for_each(|part| hash.update(part.to_be_bytes()));
        let digest: [u8; 32] = hash.finalize().into();
        let mut name = [0; 16];
        name.copy_from_slice(&digest[..16]);
        name
    }
}

/// A question that belongs to a trace.
fn traced<T>(question: T, trace: Option<&TraceContext>) -> Request<T> {
    let mut request = Request::new(question);
    pass_on(trace, request.metadata_mut());
    request
}

const ATTEMPT: Duration = Duration::from_millis(caps::APPROVAL_ATTEMPT_MS);

/// Longest that it is tried to give one back.
const RETURN: Duration = Duration::from_secs(30);

/// Redemptions that are to be given back.
#[derive(Debug)]
pub(crate) struct Returns(mpsc::Receiver<v1::ApprovalReturn>);

impl From<Unanswered> for Unreachable {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Late => Self::Late,
            Unanswered::Refused(status) => {
                tracing::warn!(code = %status.code(), reason = status.message(), "the control plane refuses a question about an approval");
                Self::Refused
            }
        }
    }
}
