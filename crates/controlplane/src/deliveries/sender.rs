//! One message to one channel: what it says is read from the state, its secrets are opened, and it is sent.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use aegis_model::clock::Clock;
use aegis_model::ids::TenantId;
use aegis_model::tenant_key::TenantKeys;
use aegis_proto::control::{ApprovalState, Channel, ChannelKind, Delivery};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::mask::Mask;
use super::out::{NoWayOut, Out, Undelivered};
use super::secrets::{Owner, Secrets};
use super::slack::{self, Place, Posted};
use super::story::Story;
use super::{teams, webhook};
use crate::control::Control;
use crate::keys::{ClusterKeys, cluster_id, unwrapped_tenant_keys};
use crate::state::{approvals, channels, deliveries, tenant_keys};

/// Sends messages. Cheap to clone.
#[derive(Clone)]
pub struct Sender {
    out: Out,
    cluster_keys: Arc<ClusterKeys>,
    clock: Clock,
    public_url: Arc<str>,
    mask: Mask,
    counters: Arc<Counters>,
}

/// What came of the attempts of this node to tell channels.
#[derive(Debug, Default)]
pub struct Counters {
    /// A receiver took the message.
    pub sent: AtomicU64,
    /// It could not be reached, or refused it.
    pub failed: AtomicU64,
}

/// What was told.
pub(super) struct Sent {
    pub(super) told: ApprovalState,
    /// The receiver's name of the message, and its place; empty: as before.
    pub(super) message: String,
    pub(super) place: String,
    pub(super) behind: u64,
}

impl Sender {
    /// Sends messages that lead to `public_url`; to private addresses only if `private`.
    ///
    /// # Errors
    /// [`NoWayOut`]: there is no TLS.
    pub fn new(
        cluster_keys: Arc<ClusterKeys>,
        clock: Clock,
        public_url: &str,
        private: bool,
    ) -> Result<Self, NoWayOut> {
        let mask = Mask::new().expect("detectors that are built in");
        Ok(Self {
            out: Out::new(private)?,
            cluster_keys,
            clock,
            public_url: public_url.into(),
            mask,
            counters: Arc::default(),
        })
    }

    /// How people reach control nodes.
    pub(crate) fn public_url(&self) -> &str {
        &self.public_url
    }

    /// What came of its attempts so far.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    pub(super) fn out(&self) -> &Out {
        &self.out
    }

    /// The secret keys of a tenant, which seal what channels need.
    ///
    /// # Errors
    /// In words: there are none, or this node cannot unwrap them.
    pub(super) fn keys(&self, state: &impl StateRead, tenant: &TenantId) -> Result<TenantKeys, Undelivered> {
        let own = |error: &dyn fmt::Display| Undelivered::Own(error.to_string());
        let rows = tenant_keys::tenant_keys(state, tenant).map_err(|error| own(&error))?;
        let cluster = cluster_id(state).map_err(|error| own(&error))?;
        let keys = unwrapped_tenant_keys(&cluster, &self.cluster_keys, tenant, &rows.keys);
        keys.map_err(|error| own(&error))?.ok_or_else(|| own(&"the tenant has no secret key yet"))
    }

    /// The secrets of a channel.
    ///
    /// # Errors
    /// In words.
    pub(super) fn secrets(
        &self,
        state: &impl StateRead,
        tenant: &TenantId,
        channel: &Channel,
    ) -> Result<Secrets, Undelivered> {
        let owner = Owner { tenant, channel: &channel.name, kind: channel.kind() };
        let sealed = channel.secrets.clone().unwrap_or_default();
        Secrets::open(&self.keys(state, tenant)?, owner, &sealed)
            .map_err(|error| Undelivered::Own(error.to_string()))
    }

    /// Tells the channel of `delivery` how its request stands now.
    ///
    /// # Errors
    /// [`Undelivered`]
    pub(super) async fn deliver(&self, control: &Control, delivery: &Delivery) -> Result<Sent, Undelivered> {
        let own = |error: StoreError| Undelivered::Own(error.to_string());
        let gone = |what: &str| Undelivered::Own(format!("{what} is not there any more"));
        let tenant: TenantId = delivery.tenant.parse().map_err(|_bad| gone("the tenant"))?;
        // Read in a block: a view pins the pages that it sees, and nothing is waited for with one in hand.
        let (channel, secrets, story) = {
            let state = control.view().map_err(own)?;
            let channel = channels::channel(&state, &tenant, &delivery.channel).map_err(own)?;
            let channel = channel.ok_or_else(|| gone("the channel"))?;
            let row = approvals::numbered(&state, &tenant, delivery.number).map_err(own)?;
            let row = row.ok_or_else(|| gone("the request"))?;
            let agent = row.call.as_ref().map_or("", |call| call.agent.as_str());
            let behind = deliveries::behind(&state, &tenant, &channel.name, agent).map_err(own)?;
            let now = *control.applied().borrow();
            let secrets = self.secrets(&state, &tenant, &channel)?;
            (channel, secrets, Story::of(&row, now, &self.public_url, behind))
        };
        let story = if channel.as_asked { story } else { self.mask.story(story) };
        let mut posted = Posted::default();
        match channel.kind() {
            ChannelKind::Webhook => {
                let now = self.clock.now().seconds();
                webhook::send(&self.out, &channel.url, &secrets, &story, now).await?;
            }
            ChannelKind::Slack => {
                let before = Posted { channel: delivery.place.clone(), ts: delivery.message.clone() };
                posted = slack::send(&self.out, &place(&channel, &secrets), &before, &story).await?;
            }
            ChannelKind::Teams if teams::is_news(delivery.told(), story.standing) => {
                teams::send(&self.out, &secrets, &story).await?;
            }
            ChannelKind::Teams => {}
            ChannelKind::Unspecified => return Err(gone("what the channel leads to")),
        }
        Ok(Sent { told: story.standing, message: posted.ts, place: posted.channel, behind: story.behind })
    }

    /// Sends a message that asks nobody for anything.
    ///
    /// # Errors
    /// [`Undelivered`]
    pub(super) async fn test(
        &self,
        channel: &Channel,
        secrets: &Secrets,
        id: &str,
    ) -> Result<(), Undelivered> {
        match channel.kind() {
            ChannelKind::Webhook => {
                let now = self.clock.now();
                webhook::test(&self.out, &channel.url, secrets, id, now).await
            }
            ChannelKind::Slack => slack::test(&self.out, &place(channel, secrets)).await,
            ChannelKind::Teams => teams::test(&self.out, secrets).await,
            ChannelKind::Unspecified => Err(Undelivered::Own("the channel leads nowhere".to_owned())),
        }
    }

    /// Says something to one user of a Slack channel.
    pub(super) async fn whisper(&self, channel: &Channel, secrets: &Secrets, user: &str, text: &str) {
        if let Err(error) = slack::whisper(&self.out, &place(channel, secrets), user, text).await {
            tracing::debug!(channel = channel.name, %error, "a user of Slack could not be answered");
        }
    }
}

fn place<'a>(channel: &'a Channel, secrets: &'a Secrets) -> Place<'a> {
    Place { base: &channel.url, target: &channel.target, secrets }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}
