//! The policies of `aegis dev`: from the folder into the control plane, which keeps every good version; a broken edit
//! leaves in force what was in force.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use aegis_controlplane::command::who;
use aegis_controlplane::feed::Acks;
use aegis_controlplane::node::Parts;
use aegis_controlplane::publish::build::set_of;
use aegis_controlplane::publish::{Content, Progress, Publication, PublishError, Rejected, stored};
use aegis_controlplane::state::{activations, versions};
use aegis_model::digest::Digest;
use aegis_policy::ast::{PolicySet, SourceFile};
use aegis_policy::check::check;
use aegis_policy::enforce;
use aegis_policy::tests_file::PolicyTest;
use aegis_proto::control::{Activate, GrantRole, Version, done};
use anyhow::{Context, bail};
use futures_util::StreamExt;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use super::plane::{actor, admin};
use super::tenant;
use crate::output::{Output, Tone};
use crate::policy::{Loaded, compile, of_sources, read_tests};
use crate::problems::Problems;
use crate::sources::{self, Sources};
use crate::state::{DataDir, LastGood};

/// What stands for the folder where there is none.
const BUILT_IN: &str = "built-in demo policy";

/// How long a version that was activated may take until the data node enforces it. Longer: it is told.
const LIVE_WITHIN: Duration = Duration::from_secs(20);

/// Pause before it is looked again whether a data node follows.
const PAUSE: Duration = Duration::from_millis(50);

/// The policy folder, and the control plane that it is published to.
pub(super) struct Policies {
    /// `None`: the built-in demo.
    folder: Option<PathBuf>,
    parts: Parts,
    acks: Acks,
    data_dir: DataDir,
    /// What was seen at the last look, so that the same problems are not told twice.
    seen: Option<Result<Sources, Vec<String>>>,
}

/// What is in force at the start.
#[derive(Debug)]
pub(super) struct First {
    pub(super) place: String,
    pub(super) policy: InForce,
    pub(super) set: PolicySet,
    pub(super) tests: Vec<PolicyTest>,
}

/// A version that is in force.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct InForce {
    pub(super) version: u64,
    pub(super) digest: String,
    pub(super) activation: u64,
}

/// What became of the folder's content.
enum Look {
    /// It was put into force.
    Taken(InForce),
    /// It is in force already.
    Same(InForce),
    /// It is as it was at the last look.
    Unchanged,
    /// It is broken; why was printed.
    Broken,
}

impl Policies {
    pub(super) fn new(folder: Option<PathBuf>, parts: Parts, acks: Acks, data_dir: DataDir) -> Self {
        Self { folder, parts, acks, data_dir, seen: None }
    }

    /// Puts the folder into force, or leaves in force what came from the same folder. Nothing: both are missing or broken.
    ///
    /// # Errors
    /// The control plane does not take it.
    pub(super) async fn load_first(&mut self, output: Output) -> anyhow::Result<Option<First>> {
        match self.look(output).await? {
            Look::Taken(policy) | Look::Same(policy) => self.first(policy, output).map(Some),
            Look::Unchanged | Look::Broken => {
                let same_folder =
                    self.data_dir.last_good().is_some_and(|last| last.folder == self.identity());
                match self.in_force()? {
                    Some((policy, version)) if same_folder => {
                        output.problem(format!(
                            "policy version {}, the last good one, is in force",
                            policy.version
                        ));
                        self.last_good(policy, &version).map(Some)
                    }
                    Some(_) | None => Ok(None),
                }
            }
        }
    }

    /// Looks at the folder again, and puts it into force if it is sound.
    ///
    /// # Errors
    /// The work panicked.
    pub(super) async fn reload(&mut self, output: Output) -> anyhow::Result<()> {
        let began = Instant::now();
        match self.look(output).await {
            Ok(Look::Taken(policy)) => match self.live(&policy).await {
                Ok(()) => tell_live(&policy, began, output),
                Err(error) => output.error(&error),
            },
            Ok(Look::Same(policy)) => tell_again(&policy, output),
            Ok(Look::Unchanged) => {}
            Ok(Look::Broken) => self.tell_kept(output),
            Err(error) => {
                output.error(&error);
                // So that the next look tries again.
                self.seen = None;
                self.tell_kept(output);
            }
        }
        Ok(())
    }

    /// Waits until the data node enforces `policy`.
    ///
    /// # Errors
    /// It cannot, or not in time.
    async fn live(&self, policy: &InForce) -> anyhow::Result<()> {
        let deadline = Instant::now() + LIVE_WITHIN;
        while Instant::now() < deadline {
            let mut progress = pin!(self.acks.wait_for(tenant(), policy.activation, LIVE_WITHIN));
            while let Some(progress) = progress.next().await {
                if let Some(trouble) = progress.troubled.values().find(|trouble| !trouble.retrying) {
                    bail!("policy version {} is not put into force: {}", policy.version, trouble.message);
                }
                if progress.is_complete() && !progress.in_force.is_empty() {
                    return Ok(());
                }
            }
            // The data node is between two streams.
            tokio::time::sleep(PAUSE).await;
        }
        bail!("policy version {} was not put into force within {} s", policy.version, LIVE_WITHIN.as_secs())
    }

    fn place(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(|| PathBuf::from(BUILT_IN))
    }

    /// The folder without links, where it is there: the name under which it is known again.
    fn identity(&self) -> PathBuf {
        let place = self.place();
        place.canonicalize().unwrap_or(place)
    }

    async fn look(&mut self, output: Output) -> anyhow::Result<Look> {
        let (place, folder) = (self.place(), self.folder.clone());
        let read = tokio::task::spawn_blocking(move || match &folder {
            Some(folder) => sources::read(folder),
            None => Ok(built_in(&place)),
        });
        let sources = read.await.context("looking at the policy folder")?;
        if self.seen.as_ref() == Some(&sources) {
            return Ok(Look::Unchanged);
        }
        self.seen = Some(sources.clone());
        match sources {
            Ok(sources) => self.publish(sources, output).await,
            Err(unreadable) => {
                Problems::unreadable(&self.place(), unreadable).print(output);
                Ok(Look::Broken)
            }
        }
    }

    /// Publishes and activates what was read.
    async fn publish(&mut self, sources: Sources, output: Output) -> anyhow::Result<Look> {
        let policy = sources.policy.clone();
        let message = format!("reloaded from {}", self.place().display());
        let publication = Publication {
            tenant: tenant(),
            content: Content::Sources(sources.policy.clone()),
            message: message.clone(),
            force: false,
            only_if_newest: None,
            once: None,
        };
        let progress = watch::Sender::new(Progress::Waiting);
        let published = match self.parts.publisher.publish(publication, &actor(), &progress).await {
            Ok(published) => published,
            Err(PublishError::Rejected(rejected)) => {
                tokio::task::spawn_blocking(move || explain(sources, &rejected, output))
                    .await
                    .context("checking the policy folder")?;
                return Ok(Look::Broken);
            }
            Err(error) => return Err(error).context("publishing the policy folder"),
        };
        if !published.warnings.findings.is_empty() {
            let warned = tokio::task::spawn_blocking(move || of_sources(sources)).await;
            if let Ok(loaded) = warned.context("checking the policy folder")? {
                loaded.warnings.print(output);
            }
        }
        let (version, digest) = (published.version.number, shown_digest(&published.version));
        self.approve_all(policy).await;
        let look = match self.in_force()? {
            Some((policy, _)) if policy.version == version && !self.has_canary()? => Look::Same(policy),
            Some(_) | None => {
                let activation = self.activate(version, message).await?;
                Look::Taken(InForce { version, digest, activation })
            }
        };
        if let Err(error) = self.data_dir.write_last_good(&LastGood { folder: self.identity() }) {
            // It is in force all the same; only a broken folder at the next start would miss it.
            output.error(&error);
        }
        Ok(look)
    }

    /// Gives the demo's administrator every role of the tenant's own that the policies ask for approval: there is nobody else.
    async fn approve_all(&self, policy: Vec<SourceFile>) {
        let checked = tokio::task::spawn_blocking(move || check(policy).set).await;
        let Ok(Some(set)) = checked else { return };
        let entries =
            set.documents.iter().chain(&set.defaults).flat_map(|document| document.allowed.iter().flatten());
        let terms = entries.filter_map(|entry| entry.approval.as_ref());
        let names: BTreeSet<String> = terms.flat_map(|terms| terms.by.iter().cloned()).collect();
        for own in names.into_iter().filter(|name| !name.contains('@') && who::from_name(name).is_none()) {
            let (person, scope) = (admin().to_string(), tenant().to_string());
            let grant = GrantRole { person, scope, own: own.clone(), ..GrantRole::default() };
            if let Err(error) = self.parts.control.propose(grant, &actor()).await {
                tracing::warn!(%error, role = %own, "the demo's administrator cannot be given a role that a policy names");
            }
        }
    }

    async fn activate(&self, version: u64, message: String) -> anyhow::Result<u64> {
        let command =
            Activate { tenant: tenant().to_string(), enforced: version, message, ..Activate::default() };
        let answer = self.parts.control.propose(command, &actor()).await;
        match answer.context("activating the policy folder")?.done.result {
            Some(done::Result::Activation(activation)) => Ok(activation.number),
            Some(_) | None => bail!("the activation was answered with something else"),
        }
    }

    /// What is in force for the demo tenant.
    fn in_force(&self) -> anyhow::Result<Option<(InForce, Version)>> {
        let view = self.parts.control.view()?;
        let Some(activation) = activations::in_force(&view, &tenant())? else { return Ok(None) };
        let version = versions::version(&view, &tenant(), activation.enforced)?;
        Ok(version.map(|version| {
            let (number, digest) = (activation.number, shown_digest(&version));
            (InForce { version: version.number, digest, activation: number }, version)
        }))
    }

    /// Whether somebody has activated more than one version by hand: the folder stands for all agents.
    fn has_canary(&self) -> anyhow::Result<bool> {
        let activation = activations::in_force(&self.parts.control.view()?, &tenant())?;
        Ok(activation.is_some_and(|activation| activation.canary.is_some() || !activation.shadow.is_empty()))
    }

    /// What the welcome needs to know of the folder, which was found sound.
    fn first(&self, policy: InForce, output: Output) -> anyhow::Result<First> {
        let place = self.place();
        let Some(Ok(sources)) = self.seen.clone() else { bail!("the policy folder was not read") };
        let Ok(Loaded { set, tests, .. }) = of_sources(sources) else {
            bail!("the control plane took a policy that is broken here");
        };
        let tests = match read_tests(&place, tests) {
            Ok(tests) => tests.tests,
            // They only serve to find calls to show.
            Err(problems) => {
                problems.print(output);
                Vec::new()
            }
        };
        Ok(First { place: place.display().to_string(), policy, set, tests })
    }

    /// The same from what was published earlier; the tests were not.
    fn last_good(&self, policy: InForce, version: &Version) -> anyhow::Result<First> {
        let bundle = stored::bundle(&self.parts.control.view()?, version)?;
        let place = self.place().display().to_string();
        Ok(First { place, policy, set: set_of(&bundle)?, tests: Vec::new() })
    }

    fn tell_kept(&self, output: Output) {
        let version = self.in_force().ok().flatten().map_or(0, |(policy, _)| policy.version);
        if output.is_json() {
            output.line(json!({"event": "policy_kept", "version": version}));
        }
        output.problem(format!("policy version {version} stays in force"));
    }
}

/// The folder holds again what is in force.
fn tell_again(policy: &InForce, output: Output) {
    let version = policy.version;
    output.result(&json!({"event": "policy_same", "version": version}), || {
        format!("policy version {version} is what the folder holds again")
    });
}

fn tell_live(policy: &InForce, began: Instant, output: Output) {
    let millis = began.elapsed().as_millis();
    let told = json!({"event": "policy_live", "policy": policy, "load_ms": u64::try_from(millis).unwrap_or(u64::MAX)});
    output.result(&told, || {
        let head = output.paint(&format!("policy version {} is live", policy.version), Tone::Good);
        format!("{head} (activation {}, loaded in {millis} ms)", policy.activation)
    });
}

/// Prints why the control plane rejected what was read, with places in the folder.
fn explain(sources: Sources, rejected: &Rejected, output: Output) {
    let place = sources.place.clone();
    let problems = match of_sources(sources) {
        Err(problems) => Some(problems),
        Ok(Loaded { set, .. }) => {
            let unenforced = enforce::unenforced(&set);
            match unenforced.is_empty() {
                false => Some(Problems::found(&place, &set.files, unenforced, 0)),
                true => compile(&place, &set).err(),
            }
        }
    };
    match problems {
        Some(problems) => problems.print(output),
        None => output.problem(format!("error: {rejected}\n1 error in {}", place.display())),
    }
}

fn shown_digest(version: &Version) -> String {
    let bytes: Option<[u8; 32]> = version.bundle_digest.as_slice().try_into().ok();
    bytes.map(|bytes| Digest::from_bytes(bytes).to_string()).unwrap_or_default()
}

/// The policy that the documentation begins with, and its tests.
fn built_in(place: &Path) -> Sources {
    let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.into() };
    Sources {
        place: place.to_path_buf(),
        policy: vec![file("policy.yaml", include_str!("demo/policy.yaml"))],
        tests: vec![file("policy_test.yaml", include_str!("demo/policy_test.yaml"))],
    }
}
