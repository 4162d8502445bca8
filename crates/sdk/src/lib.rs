//! The client: asks a data-plane node, retries safely, gives a typed outcome.
//!
//! What this crate does not do: it judges nothing and holds no policy. Whatever it does not understand in an
//! answer is an error, never an allowance.
//! Start at [`Client`], then [`Call`] and [`Outcome`].
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use aegis_sdk::{Call, Client, Outcome};
//! use serde_json::json;
//!
//! # async fn example(endpoint: String) -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder(endpoint)
//!     .token("an agent's token")
//!     .deadline(Duration::from_secs(2))
//!     .build()?;
//!
//! let call = Call::new("stripe-payments")
//!     .action("create_payment")
//!     .params(json!({"amount": 50_000, "vendor": "acme"}));
//! match client.decide(call).await? {
//!     // Use the parameters of the answer: they are the ones that were judged.
//!     Outcome::Allowed { params, .. } | Outcome::Sanitized { params, .. } => println!("pay {params:?}"),
//!     Outcome::ApprovalRequired { reasons, .. } => println!("held: {reasons:?}"),
//!     // `PolicyViolation: ParameterOutOfRange: …`, made for people and models.
//!     refused @ Outcome::Denied { .. } => println!("{refused}"),
//! }
//! # Ok(())
//! # }
//! # // A node for this example: denies everything.
//! # use aegis_proto::v1::{self, decision_server::{Decision, DecisionServer}};
//! # use tonic::{Request, Response, Status, Streaming};
//! # struct Node;
//! # #[tonic::async_trait]
//! # impl Decision for Node {
//! #     async fn decide(&self, _: Request<v1::DecideRequest>) -> Result<Response<v1::DecideResponse>, Status> {
//! #         let outcome = v1::Outcome::Deny.into();
//! #         Ok(Response::new(v1::DecideResponse { decision_id: "d".into(), outcome, ..Default::default() }))
//! #     }
//! #     async fn complete(
//! #         &self, _: Request<v1::CompleteRequest>,
//! #     ) -> Result<Response<v1::CompleteResponse>, Status> {
//! #         Ok(Response::new(v1::CompleteResponse::default()))
//! #     }
//! #     async fn get_approval(
//! #         &self, _: Request<v1::GetApprovalRequest>,
//! #     ) -> Result<Response<v1::GetApprovalResponse>, Status> {
//! #         Ok(Response::new(v1::GetApprovalResponse::default()))
//! #     }
//! #     type DecideStreamStream = tokio_stream::Empty<Result<v1::DecideStreamResponse, Status>>;
//! #     async fn decide_stream(
//! #         &self, _: Request<Streaming<v1::DecideStreamRequest>>,
//! #     ) -> Result<Response<Self::DecideStreamStream>, Status> {
//! #         Ok(Response::new(tokio_stream::empty()))
//! #     }
//! # }
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! #     let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! #     let endpoint = format!("http://{}", listener.local_addr()?);
//! #     let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
//! #     let mut tasks = tokio::task::JoinSet::new();
//! #     tasks.spawn(tonic::transport::Server::builder().add_service(DecisionServer::new(Node)).serve_with_incoming(incoming));
//! #     example(endpoint).await
//! # }
//! ```
//!
//! # Retries
//!
//! Each call carries a `request_id`, a random one if the caller gives none, and every attempt carries the same.
//! A node that has judged the call already answers what it answered before (`replayed`), so a lost answer is
//! neither judged nor charged twice. Only connection errors, `UNAVAILABLE` and `RESOURCE_EXHAUSTED` are
//! retried, after a random pause that grows, and never beyond the deadline.
//!
//! # Tokens
//!
//! [`AgentTokens`] gets an agent's token by itself, by an assertion that the agent's key signs, and gets the next one before it ends.
//! [`TokenSource`] is for tokens that come from elsewhere.
//!
//! # Several nodes
//!
//! Any node judges any call, but one of them owns the agent, and needs no grants from others to do so. A client learns from
//! answers which one that is, and sends later calls there, always with the TLS settings that it was built with. It is given one
//! node or more to begin with ([`ClientBuilder::endpoint`]); when one fails, the next one is asked at once. A call that two nodes
//! have judged, since the first one's answer was lost together with that node, may be charged twice: limits err on the strict side.
//!
//! # Evidence
//!
//! Each answer says where its record stands in the audit log ([`Decided::receipt`], [`Completed::receipt`]). Where the tenant wants it, or
//! the call asks ([`Call::sign_receipt`]), the log signs that: [`verify_receipt`] checks it without asking anybody, and whoever holds
//! it can prove that the node said so. [`InclusionProof`] checks that the record is really in the log, under a signed checkpoint.
//!
//! Both need the log's key, from somewhere else than the node that is to be checked: the control log knows the key of each life of
//! each node. `aegis audit control verify DIR --key KEY --write-keys FILE` writes them once the control log itself holds, and
//! [`LogKeys`] reads that file.

mod assertion;
mod builder;
mod call;
mod client;
mod complete;
mod error;
mod outcome;
mod proof;
mod retry;
mod route;
mod stream;
mod token;

pub use aegis_proto::v1::{Approval, Limits, Receipt, Redaction};
pub use assertion::{AgentTokens, AgentTokensBuilder, NoAgentToken};
pub use builder::ClientBuilder;
pub use call::Call;
pub use client::Client;
pub use complete::{Completed, Completion};
pub use error::{NodeStatus, SdkError};
pub use outcome::{Decided, Outcome, Refused};
pub use proof::{BadKeys, BadReceipt, InclusionProof, LogKey, LogKeys, ProofError, verify_receipt};
pub use stream::DecisionStream;
pub use token::{TokenError, TokenFuture, TokenProvider, TokenSource};
