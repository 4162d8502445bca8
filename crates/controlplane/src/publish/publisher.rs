//! Publishing: check, compile, cut into pieces, replicate, sign.

use std::sync::Arc;
use std::time::Duration;

use aegis_identity::keys::KeyId;
use aegis_identity::manifest::{Manifest, Signed, chunks_of, digest_of};
use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_policy::diff::{self, Difference};
use aegis_proto::control::{PublishVersion, PutChunk, Version, done};
use aegis_raft_store::tables::StateView;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::watch;

use super::build::{self, Built, Content, Rejected};
use super::error::PublishError;
use super::progress::Progress;
use super::report::Report;
use super::stored;
use super::turns::{Turn, Turns};
use crate::command::actor::Actor;
use crate::command::envelope::Once;
use crate::command::{Code, Refused, Request};
use crate::control::{Control, ProposeError};
use crate::keys::{self, ClusterKeys, KeyKind};
use crate::state::page::PageQuery;
use crate::state::{chunks, versions};

/// Publishes versions at one control node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Publisher {
    control: Control,
    cluster_keys: Arc<ClusterKeys>,
    turns: Arc<Turns>,
}

/// What is to be published.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The tenant.
    pub tenant: TenantId,
    /// Sources, or a ready bundle.
    pub content: Content,
    /// What its author says of it; at most [`caps::WORDS_BYTES_MAX`].
    pub message: String,
    /// Make a new version although one with the same content is there.
    pub force: bool,
    /// Only if this is the tenant's newest version; 0: only if it has none.
    pub only_if_newest: Option<u64>,
    /// How the publication is known again when it is repeated. Its digest has to be that of the request, not of the
    /// command: a repetition is signed anew.
    pub once: Option<Once>,
}

/// What came of a publication.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// The version: the new one, or the one that is there already.
    pub version: Version,
    /// Whether nothing was published, since `version` has the same content.
    pub unchanged: bool,
    /// Whether this is an earlier answer, given again for the same idempotency key.
    pub replayed: bool,
    /// What is odd in the sources, though not wrong.
    pub warnings: Report,
}

/// A number was taken, a piece was swept, a key was retired: worth another attempt.
enum Attempt {
    Done(Box<Published>),
    Again,
}

impl Publisher {
    /// Publishes through `control`, and signs with what `cluster_keys` unwrap.
    pub fn new(control: Control, cluster_keys: Arc<ClusterKeys>) -> Self {
        let wait = Duration::from_secs(caps::PUBLICATION_WAIT_SECONDS);
        Self { control, cluster_keys, turns: Arc::new(Turns::new(wait)) }
    }

    /// Publishes as `actor`, telling `progress` where it is. Whether the actor may is judged when the commands are
    /// applied; a caller who knows earlier saves the compiling.
    ///
    /// # Errors
    /// [`PublishError`]. Nothing is published then, except that after [`ProposeError::Unknown`] it may be: the same
    /// publication once more finds it.
    pub async fn publish(
        &self,
        publication: Publication,
        actor: &Actor,
        progress: &watch::Sender<Progress>,
    ) -> Result<Published, PublishError> {
        let Publication { tenant, content, message, force, only_if_newest, once } = publication;
        progress.send_replace(Progress::Waiting);
        let turn = self.turns.take(&tenant).await?;
        let (built, _turn) = self.build(content, turn, progress.clone()).await?;
        let sending =
            Sending { publisher: self, tenant, built, message, force, only_if_newest, once, actor, progress };
        for _ in 0..caps::PUBLICATION_ATTEMPTS_MAX {
            if let Attempt::Done(published) = sending.attempt().await? {
                progress.send_replace(Progress::Replicated { version: published.version.number });
                return Ok(*published);
            }
        }
        Err(PublishError::Contended)
    }

    /// Checks and compiles without publishing anything.
    ///
    /// # Errors
    /// [`PublishError::Rejected`], with every problem that was found.
    pub async fn check(&self, tenant: &TenantId, content: Content) -> Result<Built, PublishError> {
        let turn = self.turns.take(tenant).await?;
        let (built, _turn) = self.build(content, turn, watch::Sender::new(Progress::Waiting)).await?;
        Ok(built)
    }

    /// What changes for callers from the tenant's version `old` to its version `new`.
    ///
    /// # Errors
    /// [`PublishError`], among them that a version no longer compiles under the rules of this software.
    pub async fn diff(&self, tenant: &TenantId, old: u64, new: u64) -> Result<Difference, PublishError> {
        let turn = self.turns.take(tenant).await?;
        let permit = self.turns.compile().await?;
        let (before, after) = (self.bundle(tenant, old).await?, self.bundle(tenant, new).await?);
        let compared = tokio::task::spawn_blocking(move || {
            let _held = (permit, turn);
            let (before, after) = (build::set_of(&before)?, build::set_of(&after)?);
            diff::diff(&before, &after, Vec::new())
                .map_err(|problems| Rejected::Policy(Report::of(&problems, &after.files, 0)))
        });
        Ok(compared.await.map_err(|_panicked| PublishError::Compiler)??)
    }

    /// The bundle of the tenant's version, as it was published.
    ///
    /// # Errors
    /// [`PublishError`]
    pub async fn bundle(&self, tenant: &TenantId, number: u64) -> Result<Bytes, PublishError> {
        let view = self.control.read().await?;
        stored::bundle(&view, &stored::version(&view, tenant, number)?)
    }

    /// Builds on a thread of its own. The turn goes along, so that a caller who gave up does not let a second
    /// publication of the tenant compile beside the first.
    async fn build(
        &self,
        content: Content,
        turn: Turn,
        progress: watch::Sender<Progress>,
    ) -> Result<(Built, Turn), PublishError> {
        let permit = self.turns.compile().await?;
        let built = tokio::task::spawn_blocking(move || {
            let tell = |step| {
                progress.send_replace(step);
            };
            let built = build::build_telling(content, &tell);
            drop(permit);
            (built, turn)
        });
        let (built, turn) = built.await.map_err(|_panicked| PublishError::Compiler)?;
        Ok((built?, turn))
    }
}

/// A publication whose bundle is made.
struct Sending<'a> {
    publisher: &'a Publisher,
    tenant: TenantId,
    built: Built,
    message: String,
    force: bool,
    only_if_newest: Option<u64>,
    once: Option<Once>,
    actor: &'a Actor,
    progress: &'a watch::Sender<Progress>,
}

impl Sending<'_> {
    async fn attempt(&self) -> Result<Attempt, PublishError> {
        let control = &self.publisher.control;
        let view = control.read().await?;
        self.check_newest(&view)?;
        if !self.force
            && let Some(version) = self.same_content(&view)?
        {
            return Ok(self.done(version, true, false));
        }
        let number = versions::newest(&view, &self.tenant)? + 1;
        let missing = self.missing(&view)?;
        let (signed, key_id) = self.sign(&view, number)?;
        // A view pins the pages that it sees; nothing is waited for with one in hand.
        drop(view);
        self.upload(missing).await?;
        self.progress.send_replace(Progress::Publishing { version: number });
        let mut request = Request::from(self.command(number, &signed, key_id));
        if let Some(once) = &self.once {
            request = request.once(once.clone());
        }
        match control.propose(request, self.actor).await {
            Ok(answer) => match answer.done.result {
                Some(done::Result::Version(version)) => Ok(self.done(version, false, answer.replayed)),
                Some(_) | None => Err(ProposeError::Unknown("the answer holds no version".to_owned()).into()),
            },
            Err(ProposeError::Refused(refused)) if worth_another_attempt(refused.code) => Ok(Attempt::Again),
            Err(ProposeError::Unknown(why)) => self.find(number, &signed, why).await,
            Err(error) => Err(error.into()),
        }
    }

    /// What the author relies on. That it still holds when the version is made follows from the number, which is the next.
    fn check_newest(&self, view: &StateView) -> Result<(), PublishError> {
        let newest = versions::newest(view, &self.tenant)?;
        match self.only_if_newest {
            Some(expected) if expected != newest => {
                Err(ProposeError::from(Refused::stale("newest version", newest)).into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The newest version with the same content, among the newest that one page holds.
    fn same_content(&self, view: &StateView) -> Result<Option<Version>, PublishError> {
        let digest = self.built.digest.as_bytes().as_slice();
        let page = versions::versions(view, &self.tenant, &PageQuery::first())?;
        Ok(page.rows.into_iter().find(|row| row.bundle_digest == digest && row.retired_ms == 0))
    }

    /// The pieces that nobody has put yet.
    fn missing(&self, view: &StateView) -> Result<Vec<Bytes>, PublishError> {
        let mut missing = Vec::new();
        for piece in chunks_of(&self.built.bytes) {
            if chunks::chunk(view, &self.tenant, digest_of(piece).as_bytes())?.is_none() {
                missing.push(self.built.bytes.slice_ref(piece));
            }
        }
        Ok(missing)
    }

    fn sign(&self, view: &StateView, number: u64) -> Result<(Signed, KeyId), PublishError> {
        let key = keys::signing_key(view, &self.publisher.cluster_keys, KeyKind::Manifest)?;
        let created_ms = self.publisher.control.applied().borrow().log_time_ms;
        let cluster = keys::cluster_id(view)?;
        let bundle = &self.built.bytes;
        let manifest = Manifest::describe(cluster, self.tenant.clone(), number, bundle, created_ms, &key)?;
        Ok((manifest.sign(&key), key.id()))
    }

    async fn upload(&self, missing: Vec<Bytes>) -> Result<(), PublishError> {
        let of = missing.len();
        self.progress.send_replace(Progress::Uploading { done: 0, of });
        let put = |piece: Bytes| async move {
            let command = PutChunk { tenant: self.tenant.to_string(), data: piece.to_vec() };
            self.publisher.control.propose(command, self.actor).await
        };
        let mut done = 0;
        let mut putting = stream::iter(missing).map(put).buffer_unordered(caps::PUBLICATION_CHUNKS_IN_FLIGHT);
        while putting.try_next().await?.is_some() {
            done += 1;
            self.progress.send_replace(Progress::Uploading { done, of });
        }
        Ok(())
    }

    fn command(&self, number: u64, signed: &Signed, key_id: KeyId) -> PublishVersion {
        let bundle = &self.built.bytes;
        PublishVersion {
            tenant: self.tenant.to_string(),
            number,
            bundle_digest: self.built.digest.as_bytes().to_vec(),
            bundle_bytes: bundle.len() as u64,
            chunks: chunks_of(bundle).map(|piece| digest_of(piece).as_bytes().to_vec()).collect(),
            manifest: signed.bytes.clone(),
            signature: signed.signature.to_vec(),
            key_id: key_id.to_string(),
            message: self.message.clone(),
            notify: self.built.notify.clone(),
        }
    }

    /// The outcome is unknown: if the very manifest is there, it was done.
    async fn find(&self, number: u64, signed: &Signed, why: String) -> Result<Attempt, PublishError> {
        let view = self.publisher.control.read().await?;
        match versions::version(&view, &self.tenant, number)? {
            Some(version) if version.manifest == signed.bytes => Ok(self.done(version, false, false)),
            // It may still come: to try again now could publish twice.
            Some(_) | None => Err(ProposeError::Unknown(why).into()),
        }
    }

    fn done(&self, version: Version, unchanged: bool, replayed: bool) -> Attempt {
        let warnings = self.built.warnings.clone();
        Attempt::Done(Box::new(Published { version, unchanged, replayed, warnings }))
    }
}

/// The number was taken, a piece was swept, or the key was retired since the state was read.
fn worth_another_attempt(code: Code) -> bool {
    matches!(code, Code::PreconditionFailed | Code::MissingChunks | Code::KeyRetired)
}
