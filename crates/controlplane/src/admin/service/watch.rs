//! Watching an activation: which data nodes have put it into force, told as it happens.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::admin::{ActivationProgress, NodeProgress, WatchActivationRequest};
use aegis_proto::control::DataNode;
use futures_util::{Stream, stream};
use tokio::time::Instant;

use super::tenants;
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::progress::{Acknowledged, Acknowledgements};
use crate::admin::room::Place;
use crate::admin::{Problem, form};
use crate::command::Refused;
use crate::control::Control;
use crate::state::page::PageQuery;
use crate::state::{activations, data_nodes};

/// The steps of an activation: one at once, one whenever something changes, and a last one that says how it ended.
pub(crate) async fn watch(
    caller: &Caller,
    request: WatchActivationRequest,
) -> Result<impl Stream<Item = Result<ActivationProgress, Problem>> + Send + 'static, Problem> {
    let tenant = form::tenant(&request.tenant)?;
    let seconds = match request.seconds {
        0 => caps::ACTIVATION_WAIT_SECONDS_DEFAULT,
        wanted => u64::from(wanted),
    };
    if seconds > caps::ACTIVATION_WAIT_SECONDS_MAX {
        let most = caps::ACTIVATION_WAIT_SECONDS_MAX;
        return Err(Problem::invalid("seconds", format!("at most {most}")));
    }
    let state = caller.reads(Read::Tenant(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    let newest = activations::in_force(&state, &tenant)?.map_or(0, |it| it.number);
    let activation = if request.activation == 0 { newest } else { request.activation };
    if activation == 0 || activation > newest {
        return Err(Refused::stale("activation", newest).into());
    }
    let place = caller.admin().rooms().watch()?;
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let watched = Watched {
        control: caller.admin().control().clone(),
        acknowledgements: Arc::clone(caller.admin().acknowledgements()),
        tenant,
        activation,
        deadline,
        told: None,
        _place: place,
    };
    Ok(steps(watched))
}

/// An activation that somebody waits for.
struct Watched {
    control: Control,
    acknowledgements: Arc<dyn Acknowledgements>,
    tenant: TenantId,
    activation: u64,
    deadline: Instant,
    /// The step that was told last; steps are told when they differ.
    told: Option<ActivationProgress>,
    _place: Place,
}

const WAITING: &str = "waiting";

fn steps(watched: Watched) -> impl Stream<Item = Result<ActivationProgress, Problem>> + Send + 'static {
    stream::try_unfold(Some(watched), |watched| async move {
        let Some(mut watched) = watched else { return Ok(None) };
        let step = watched.next().await?;
        let goes_on = step.state == WAITING;
        Ok(Some((step, goes_on.then_some(watched))))
    })
}

impl Watched {
    /// Waits for a step that differs from the last one.
    async fn next(&mut self) -> Result<ActivationProgress, Problem> {
        let (mut acknowledged, mut applied) = (self.acknowledgements.changes(), self.control.applied());
        loop {
            // Seen before the look, so that what changes during it is not missed.
            acknowledged.borrow_and_update();
            applied.borrow_and_update();
            let step = self.look().await?;
            if step.state != WAITING || self.told.as_ref() != Some(&step) {
                self.told = Some(step.clone());
                return Ok(step);
            }
            let changed = async {
                tokio::select! {
                    changed = acknowledged.changed() => changed,
                    changed = applied.changed() => changed,
                }
            };
            let pause = self.acknowledgements.pause().map(|pause| Instant::now() + pause);
            let until = pause.map_or(self.deadline, |look_again| look_again.min(self.deadline));
            let over = match tokio::time::timeout_at(until, changed).await {
                Ok(Ok(())) => false,
                // Nobody will ever tell: the node stops.
                Ok(Err(_closed)) => true,
                Err(_elapsed) => Instant::now() >= self.deadline,
            };
            if over {
                return Ok(ActivationProgress { state: "timeout".to_owned(), ..step });
            }
        }
    }

    /// How far it is now.
    async fn look(&self) -> Result<ActivationProgress, Problem> {
        let mut said: HashMap<u64, Acknowledged> = HashMap::new();
        for one in self.acknowledgements.of(&self.tenant).await {
            let known = said.entry(one.node).or_default();
            if one.activation >= known.activation {
                *known = one;
            }
        }
        let state = self.control.view()?;
        let newest = activations::in_force(&state, &self.tenant)?.map_or(0, |it| it.number);
        let mut nodes = Vec::new();
        let mut query = PageQuery::first();
        loop {
            let page = data_nodes::data_nodes(&state, &query)?;
            let concerned = page.rows.into_iter().filter(|node| self.concerns(node));
            nodes.extend(concerned.map(|node| standing(self.activation, said.remove(&node.id), node)));
            match page.next {
                Some(cursor) => query = query.after(cursor),
                None => break,
            }
        }
        nodes.sort_by(|left, right| (&left.name, &left.id).cmp(&(&right.name, &right.id)));
        let count = |state| nodes.iter().filter(|node| node.state == state).count();
        let (in_force, failed) = (count("in_force"), count("failed"));
        let state = if in_force == nodes.len() {
            "done"
        } else if newest > self.activation {
            "replaced"
        } else if failed > 0 && in_force + failed == nodes.len() {
            "failed"
        } else {
            WAITING
        };
        Ok(ActivationProgress {
            activation: self.activation,
            nodes: u32::try_from(nodes.len()).unwrap_or(u32::MAX),
            in_force: u32::try_from(in_force).unwrap_or(u32::MAX),
            state: state.to_owned(),
            data_nodes: nodes,
        })
    }

    fn concerns(&self, node: &DataNode) -> bool {
        node.retired_ms == 0 && (node.tenant.is_empty() || node.tenant == self.tenant.as_str())
    }
}

fn standing(activation: u64, said: Option<Acknowledged>, node: DataNode) -> NodeProgress {
    let said = said.unwrap_or_default();
    let failure = said.failure.filter(|it| it.activation >= activation && !it.retrying);
    let (state, code, message) = match failure {
        _ if said.activation >= activation => ("in_force", String::new(), String::new()),
        Some(failure) => ("failed", failure.code, failure.message),
        None => (WAITING, String::new(), String::new()),
    };
    NodeProgress {
        id: form::node_id(node.id),
        name: node.name,
        region: node.region,
        state: state.to_owned(),
        code,
        message,
    }
}
