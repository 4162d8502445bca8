//! Outside witnesses of the control log (C2SP tlog-witness): the leader shows each the newest checkpoint, with a proof that it goes
//! on from the last one that the witness has seen, and keeps what they cosign.
//!
//! A witness that does not answer costs nothing but its cosignature. One that has seen a larger log than there is, or another one,
//! is an alarm: then this cluster lost what it had shown, or somebody forked it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::keys::{KeyName, SigningKey, VerifyingKey};
use aegis_audit::note::{Note, Signature};
use aegis_audit::tree;
use aegis_audit::witness::{Request, cosigned_at};
use aegis_model::caps;
use aegis_proto::control::KeepCosignatures;
use aegis_raft_store::tables::{StateView, StoreError};
use futures_util::future::join_all;
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::command::actor::Actor;
use crate::control::{Control, ProposeError};
use crate::keys::{ClusterKeys, KeysError, keyring};
use crate::state::{control_tree, meta};

/// A witness that a cluster asks.
#[derive(Debug, Clone)]
pub struct Witness {
    /// Where it answers: `add-checkpoint` is below this address.
    pub url: String,
    /// Its public key, of the kind of cosignatures.
    pub key: VerifyingKey,
}

/// What asks witnesses.
pub struct Witnesses {
    control: Control,
    me: Actor,
    cluster_keys: Arc<ClusterKeys>,
    witnesses: Vec<Witness>,
    every: Duration,
    http: reqwest::Client,
    /// How much of the log each has seen, as far as this process knows; of the history that stands beside it.
    seen: BTreeMap<KeyName, u64>,
    seen_history: u64,
}

/// Witnesses cannot be asked at all.
#[derive(Debug, thiserror::Error)]
#[error("witnesses cannot be asked: {0}")]
pub struct NoClient(#[from] reqwest::Error);

/// Why nothing could be shown to the witnesses.
#[derive(Debug, thiserror::Error)]
enum NotShown {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Propose(#[from] ProposeError),
}

/// Why a witness did not cosign.
#[derive(Debug, thiserror::Error)]
enum NotCosigned {
    #[error("it cannot be reached: {0}")]
    Unreachable(reqwest::Error),
    #[error("it answers with status {0}")]
    Status(StatusCode),
    #[error("it has seen {0} entries, and there are only {1}")]
    RolledBack(u64, u64),
    #[error("it has seen another log (status {0})")]
    Forked(StatusCode),
    #[error("its answer is no cosignature of its key")]
    Answer,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NotCosigned {
    /// Whether the log itself is in question.
    fn is_alarm(&self) -> bool {
        match self {
            Self::RolledBack(..) | Self::Forked(_) => true,
            Self::Unreachable(_) | Self::Status(_) | Self::Answer | Self::Store(_) => false,
        }
    }
}

impl Witnesses {
    /// Asks `witnesses` in the name of the control node `id`, every so often.
    ///
    /// # Errors
    /// [`NoClient`]: there is no TLS.
    pub fn new(
        control: Control,
        id: u64,
        cluster_keys: Arc<ClusterKeys>,
        witnesses: Vec<Witness>,
        every: Duration,
    ) -> Result<Self, NoClient> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(caps::WITNESS_ANSWER_SECONDS))
            // Whoever answers elsewhere is somebody else.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let me = Actor::ControlNode(id);
        let (seen, seen_history) = (BTreeMap::new(), 0);
        Ok(Self { control, me, cluster_keys, witnesses, every, http, seen, seen_history })
    }

    /// Asks while `leads`, until `stopping`.
    pub async fn run(mut self, leads: watch::Receiver<bool>, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(self.every) => {}
            }
            let leading = *leads.borrow();
            if leading && let Err(error) = self.round().await {
                tracing::warn!(%error, "the control log could not be shown to witnesses");
            }
        }
    }

    /// Shows the log as it is to every witness, and keeps what they cosign. Without anything new, nobody is asked.
    async fn round(&mut self) -> Result<(), NotShown> {
        let view = self.control.view()?;
        let Some(cluster) = meta::cluster(&view)? else { return Ok(()) };
        let history = cluster.history;
        let checkpoint = control_tree::checkpoint(&view, &keyring::cluster_id(&view)?, history)?;
        let kept = control_tree::cosigned(&view, history)?.and_then(|bytes| Note::read(&bytes).ok());
        let kept_size =
            kept.as_ref().and_then(|note| Checkpoint::read_text(note.text()).ok()).map_or(0, |it| it.size);
        let has_cosigned =
            |witness: &Witness| kept.as_ref().is_some_and(|note| cosigned_at(note, &witness.key).is_ok());
        if checkpoint.size == 0 || (checkpoint.size == kept_size && self.witnesses.iter().all(has_cosigned)) {
            return Ok(());
        }
        if self.seen_history != history {
            (self.seen, self.seen_history) = (BTreeMap::new(), history);
        }
        for witness in self.witnesses.iter().filter(|witness| has_cosigned(witness)) {
            let seen = self.seen.entry(witness.key.name().clone()).or_default();
            *seen = (*seen).max(kept_size);
        }
        let key = keyring::control_log_key(&view, &self.cluster_keys, history)?;
        let mut note = checkpoint.sign(&key);
        let asked = self.witnesses.iter().map(|witness| {
            let seen = self.seen.get(witness.key.name()).copied().unwrap_or(0);
            self.ask(&view, history, &checkpoint, &key, witness, seen)
        });
        let answers = join_all(asked).await;
        let mut cosigned = 0;
        for (witness, answer) in self.witnesses.iter().zip(answers) {
            let name = witness.key.name();
            match answer {
                Ok(signature) => {
                    cosigned += 1;
                    note.add(signature);
                    self.seen.insert(name.clone(), checkpoint.size);
                }
                Err(error) if error.is_alarm() => tracing::error!(
                    witness = %name, %error,
                    "an outside witness has seen another control log than this one: it was rolled back or forked"
                ),
                Err(error) => {
                    tracing::warn!(witness = %name, %error, "a witness has not cosigned the control log")
                }
            }
        }
        if cosigned > 0 {
            let command = KeepCosignatures { history, note: note.to_bytes() };
            self.control.propose(command, &self.me).await?;
        }
        Ok(())
    }

    /// Asks one witness, and once more from the size that it names.
    async fn ask(
        &self,
        view: &StateView,
        history: u64,
        checkpoint: &Checkpoint,
        key: &SigningKey,
        witness: &Witness,
        seen: u64,
    ) -> Result<Signature, NotCosigned> {
        let mut old_size = seen.min(checkpoint.size);
        for last in [false, true] {
            let nodes = control_tree::Subtrees::new(view, history);
            let proof = tree::consistency(&nodes, old_size, checkpoint.size)?;
            let request = Request { old_size, proof, note: checkpoint.sign(key) };
            match self.post(witness, &request).await? {
                Answer::Cosigned(signature) => return Ok(signature),
                Answer::Seen(size) if size > checkpoint.size => {
                    return Err(NotCosigned::RolledBack(size, checkpoint.size));
                }
                Answer::Seen(_) if last => return Err(NotCosigned::Status(StatusCode::CONFLICT)),
                Answer::Seen(size) => old_size = size,
            }
        }
        Err(NotCosigned::Answer)
    }

    async fn post(&self, witness: &Witness, request: &Request) -> Result<Answer, NotCosigned> {
        let url = format!("{}/add-checkpoint", witness.url.trim_end_matches('/'));
        let sent = self.http.post(url).body(request.to_bytes()).send().await;
        let mut response = sent.map_err(NotCosigned::Unreachable)?;
        let status = response.status();
        let is_size =
            response.headers().get(CONTENT_TYPE).is_some_and(|it| it.as_bytes() == b"text/x.tlog.size");
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(NotCosigned::Unreachable)? {
            body.extend_from_slice(&piece);
            if body.len() > caps::AUDIT_NOTE_BYTES_MAX {
                return Err(NotCosigned::Answer);
            }
        }
        match status {
            StatusCode::OK => cosignature(&request.note, &body, &witness.key)
                .ok_or(NotCosigned::Answer)
                .map(Answer::Cosigned),
            StatusCode::CONFLICT if is_size => {
                let size =
                    std::str::from_utf8(&body).ok().and_then(|text| text.trim_end_matches('\n').parse().ok());
                size.map(Answer::Seen).ok_or(NotCosigned::Answer)
            }
            StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => Err(NotCosigned::Forked(status)),
            status => Err(NotCosigned::Status(status)),
        }
    }
}

/// What a witness answers.
enum Answer {
    /// It cosigned.
    Cosigned(Signature),
    /// It knows another size: it is asked again from there.
    Seen(u64),
}

/// The cosignature of `key` among the lines of an answer, if there is one and it is right.
fn cosignature(note: &Note, lines: &[u8], key: &VerifyingKey) -> Option<Signature> {
    let text = std::str::from_utf8(lines).ok()?.strip_suffix('\n')?;
    let signatures = text.split('\n').filter_map(|line| Signature::read(line).ok());
    let signature = { signatures }.find(|it| it.name == *key.name() && it.id == key.id())?;
    let mut cosigned = note.clone();
    cosigned.add(signature.clone());
    cosigned_at(&cosigned, key).ok().map(|_seconds| signature)
}

impl fmt::Debug for Witnesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witnesses").field("witnesses", &self.witnesses).finish_non_exhaustive()
    }
}
