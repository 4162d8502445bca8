//! Unary gRPC: `Decide`, and the echo of the same messages.

use std::future::Future;
use std::sync::Arc;

use aegis_model::decision::Outcome;
use aegis_proto::loadtest::echo_client::EchoClient;
use aegis_proto::v1::decision_client::DecisionClient;
use aegis_proto::v1::{self, DecideRequest, DecideResponse};
use anyhow::Context;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::Ask;
use crate::calls::Calls;
use crate::pump::Link;
use crate::tally::Failure;

/// A connection that asks `Decide`.
pub struct DecideLink {
    client: DecisionClient<Channel>,
    messages: Messages,
}

/// A connection that asks the echo.
pub struct EchoLink {
    client: EchoClient<Channel>,
    messages: Messages,
}

/// The requests, ready to be sent.
struct Messages {
    calls: Arc<Calls>,
    messages: Vec<DecideRequest>,
    authorization: MetadataValue<Ascii>,
    /// The first half of every `request_id`, if there are any.
    run: Option<u32>,
}

impl DecideLink {
    /// Connects. `request_ids`: whether each call carries one.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn connect(ask: &Ask, request_ids: bool) -> anyhow::Result<Self> {
        let client = DecisionClient::new(channel(ask).await?);
        Ok(Self { client, messages: Messages::new(ask, request_ids)? })
    }

    /// The answer to call `number`, whole.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn answer(&self, number: u64) -> Result<DecideResponse, Status> {
        let mut client = self.client.clone();
        client.decide(self.messages.request(number)).await.map(tonic::Response::into_inner)
    }
}

impl Link for DecideLink {
    fn call(&self, number: u64) -> impl Future<Output = Result<&'static str, Failure>> + Send {
        // The calls of an open loop are many at a time; each has a client of its own, over the one connection.
        let mut client = self.client.clone();
        let request = self.messages.request(number);
        async move { self.messages.check(number, client.decide(request).await) }
    }
}

impl EchoLink {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn connect(ask: &Ask) -> anyhow::Result<Self> {
        let client = EchoClient::new(channel(ask).await?);
        Ok(Self { client, messages: Messages::new(ask, false)? })
    }
}

impl Link for EchoLink {
    fn call(&self, number: u64) -> impl Future<Output = Result<&'static str, Failure>> + Send {
        let mut client = self.client.clone();
        let request = self.messages.request(number);
        async move {
            match client.echo(request).await {
                Ok(response) if response.get_ref().outcome() != v1::Outcome::Unspecified => Ok("echo"),
                Ok(_) => Err(Failure("the echo was empty".to_owned())),
                Err(status) => Err(failure(&status)),
            }
        }
    }
}

impl Messages {
    fn new(ask: &Ask, request_ids: bool) -> anyhow::Result<Self> {
        let mut authorization: MetadataValue<Ascii> =
            format!("Bearer {}", ask.token).parse().context("the token cannot stand in a header")?;
        authorization.set_sensitive(false);
        let run = request_ids.then_some(ask.run);
        Ok(Self { calls: Arc::clone(&ask.calls), messages: ask.calls.messages(), authorization, run })
    }

    fn request(&self, number: u64) -> Request<DecideRequest> {
        let mut message = self.messages[self.calls.turn(number)].clone();
        if let Some(run) = self.run {
            message.request_id = format!("{run:08x}{number:024x}");
        }
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.authorization.clone());
        request
    }

    fn check(
        &self,
        number: u64,
        response: Result<tonic::Response<DecideResponse>, Status>,
    ) -> Result<&'static str, Failure> {
        match response {
            Ok(response) => check(&self.calls, number, response.get_ref()),
            Err(status) => Err(failure(&status)),
        }
    }
}

/// Whether a decision is the right one.
pub(super) fn check(calls: &Calls, number: u64, decision: &DecideResponse) -> Result<&'static str, Failure> {
    let outcome = match decision.outcome() {
        v1::Outcome::Allow => Outcome::Allow,
        v1::Outcome::Deny => Outcome::Deny,
        v1::Outcome::Sanitize => Outcome::Sanitize,
        v1::Outcome::ApprovalRequired => Outcome::ApprovalRequired,
        v1::Outcome::Unspecified => return Err(Failure("a decision without an outcome".to_owned())),
    };
    if decision.replayed {
        return Err(Failure("an earlier answer was given again: a `request_id` stood twice".to_owned()));
    }
    calls.check(number, outcome)
}

pub(super) fn failure(status: &Status) -> Failure {
    Failure(format!("{:?}: {}", status.code(), status.message()))
}

pub(super) async fn channel(ask: &Ask) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", ask.address))?;
    endpoint.connect().await.with_context(|| format!("connecting to {}", ask.address))
}
