//! Which calls have spans, and what stands in them: nothing secret, and nothing that a client made up (AUD-2).

use aegis_proto::admin::admin_client::AdminClient;
use aegis_proto::admin::{CreateTenantRequest, TenantRequest};
use aegis_proto::v1;
use aegis_proto::v1::tokens_client::TokensClient;
use rand::SeedableRng;
use serde_json::json;
use tonic::body::Body;
use tower::Service;

use super::*;
use crate::admin::grpc;
use crate::admin::tests::setting::{Setting, admin_over};
use crate::feed::Admission;
use crate::testing::World;
use crate::tokens::{TokensConfig, TokensNode};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

struct Watched {
    setting: Setting,
    sink: CallSink,
    queue: mpsc::Receiver<Box<CallSpan>>,
}

impl Watched {
    fn new() -> Self {
        let mut setting = Setting::new();
        let (sink, queue) = CallSink::new(setting.world.clock.clone(), StdRng::seed_from_u64(3));
        setting.rest = setting.rest.with_spans(Some(sink.clone()));
        Self { setting, sink, queue }
    }

    fn grpc(&self) -> AdminClient<Traced<grpc::AdminDoor>> {
        let door = grpc::server(admin_over(&self.setting.world));
        AdminClient::new(Traced::new(door, Some(self.sink.clone())))
    }

    #[track_caller]
    fn one(&mut self) -> CallSpan {
        let span = self.queue.try_recv().expect("a span");
        assert!(self.queue.try_recv().is_err(), "one for each call");
        *span
    }
}

fn asked<T>(message: T, token: &str, more: &[(&'static str, &str)]) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    for (name, value) in more {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn a_call_is_told_alike_over_both_surfaces() {
    let mut watched = Watched::new();
    let token = watched.setting.token("root");
    let new = |name: &str| json!({"name": name, "organization": "holding"});
    let traced = [("traceparent", PARENT), ("tracestate", "vendor=1")];
    watched.setting.call_with("POST", "/tenants", &token, &traced, Some(new("first"))).await.done();
    let over_http = watched.one();
    let create =
        CreateTenantRequest { name: "second".into(), organization: "holding".into(), ..Default::default() };
    watched.grpc().create_tenant(asked(create, &token, &traced)).await.unwrap();
    let over_grpc = watched.one();
    for (span, tenant, surface) in
        [(&over_http, "first", Surface::Http), (&over_grpc, "second", Surface::Grpc)]
    {
        assert_eq!(span.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span.parent.unwrap().to_string(), "00f067aa0ba902b7");
        assert_eq!(
            (span.operation, span.state.as_str(), span.surface),
            ("CreateTenant", "vendor=1", surface)
        );
        assert_eq!((span.outcome, &span.code), (Outcome::Done, &None));
        assert_eq!(span.tenant.as_ref().unwrap().as_str(), tenant);
        assert!(span.person_token.as_ref().unwrap().starts_with("root-"), "the id of a token, and no token");
        let steps: Vec<_> = span.steps.iter().map(|step| step.name).collect();
        assert!(steps.starts_with(&["identify"]) && steps.contains(&"propose"), "{steps:?}");
    }
    assert_ne!(over_http.span, over_grpc.span);
    let text = format!("{over_http:?} {over_grpc:?}");
    assert!(!text.contains(&token) && !text.contains("holding"), "neither token nor body: {text}");
}

#[tokio::test]
async fn what_is_refused_is_told_with_its_code() {
    let mut watched = Watched::new();
    let (root, nobody) = (watched.setting.token("root"), watched.setting.token("nobody"));
    let acme = || TenantRequest { tenant: "acme".into() };
    for (token, path, code, tenant) in [
        (nobody.as_str(), "acme", "forbidden", Some("acme")),
        (root.as_str(), "gone", "unknown_tenant", Some("gone")),
        ("forged", "acme", "unauthenticated", None),
    ] {
        watched.setting.call("GET", &format!("/tenants/{path}"), token, None).await;
        let span = watched.one();
        assert_eq!((span.operation, span.outcome), ("GetTenant", Outcome::Refused));
        assert_eq!(span.code.as_deref(), Some(code));
        assert_eq!(span.tenant.as_ref().map(|tenant| tenant.as_str()), tenant);
    }
    for (token, code) in [(nobody.as_str(), "forbidden"), ("forged", "unauthenticated")] {
        watched.grpc().get_tenant(asked(acme(), token, &[])).await.unwrap_err();
        let span = watched.one();
        assert_eq!((span.operation, span.outcome), ("GetTenant", Outcome::Refused));
        assert_eq!(span.code.as_deref(), Some(code));
        assert_eq!(span.person_token.is_some(), token != "forged");
    }
}

#[tokio::test]
async fn an_answer_given_again_is_told_as_one() {
    let mut watched = Watched::new();
    let token = watched.setting.token("root");
    let body = json!({"name": "first", "organization": "holding"});
    for replayed in [false, true] {
        let key = [("idempotency-key", "k-1")];
        watched.setting.call_with("POST", "/tenants", &token, &key, Some(body.clone())).await.done();
        assert_eq!(watched.one().replayed, replayed);
    }
}

/// Names that a client makes up are not told, and a probe each second is nobody's call.
#[tokio::test]
async fn what_is_no_operation_has_no_span() {
    let mut watched = Watched::new();
    for path in ["/healthz", "/readyz", "/.well-known/jwks.json", "/admin/v1/made-up", "/made-up"] {
        watched.setting.ask("GET", path, &[], b"").await;
    }
    watched.setting.ask("PUT", "/admin/v1/whoami", &[], b"").await;
    let mut door = Traced::new(grpc::server(admin_over(&watched.setting.world)), Some(watched.sink.clone()));
    let made_up = http::Request::post("/aegis.v1.Admin/MadeUp").body(Body::empty()).unwrap();
    door.call(made_up).await.unwrap();
    assert!(watched.queue.try_recv().is_err());
    watched.setting.ask("GET", "/approvals/acme/a-1", &[], b"").await;
    assert_eq!(watched.one().operation, "ShowApprovalPage");
}

#[tokio::test]
async fn who_goes_away_is_told_too() {
    let mut watched = Watched::new();
    let never = tower::service_fn(|_: http::Request<Body>| {
        std::future::pending::<Result<http::Response<Body>, std::convert::Infallible>>()
    });
    let mut door = Traced::new(never, Some(watched.sink.clone()));
    let request = http::Request::post("/aegis.v1.Admin/WhoAmI").body(Body::empty()).unwrap();
    let mut call = door.call(request);
    assert!(futures_util::poll!(&mut call).is_pending());
    assert!(watched.queue.try_recv().is_err(), "it is under way");
    drop(call);
    assert_eq!(watched.one().outcome, Outcome::Gone);
}

/// A refusal that is an answer like any other is told as one.
#[tokio::test]
async fn a_token_that_an_agent_does_not_get_is_told_as_refused() {
    let mut watched = Watched::new();
    let config = TokensConfig {
        id: 1,
        cluster: "fresh".parse().unwrap(),
        admission: Admission::SameProcess,
        clock: watched.setting.world.clock.clone(),
        cluster_keys: Arc::new(World::cluster_keys()),
        randomness: StdRng::seed_from_u64(5),
    };
    let tokens = TokensNode::new(config, watched.setting.world.direct.control());
    let mut client = TokensClient::new(Traced::new(tokens.service(), Some(watched.sink.clone())));
    let asked = v1::IssueTokenRequest { node_name: "edge-1".into(), ..Default::default() };
    client.issue(asked).await.unwrap();
    let span = watched.one();
    assert_eq!((span.operation, span.outcome), ("IssueAgentToken", Outcome::Refused));
    assert_eq!((span.code.as_deref(), span.data_node.as_deref()), (Some("invalid_request"), Some("edge-1")));
}

/// What is counted is counted without an exporter as well.
#[tokio::test]
async fn calls_are_counted_by_what_became_of_them() {
    let mut watched = Watched::new();
    let sink = CallSink::counting(watched.setting.world.clock.clone());
    watched.setting.rest = watched.setting.rest.with_spans(Some(sink.clone()));
    let token = watched.setting.token("root");
    for (path, token) in [("/whoami", token.as_str()), ("/whoami", token.as_str()), ("/whoami", "forged")] {
        watched.setting.call("GET", path, token, None).await;
    }
    watched.setting.call("GET", "/made-up", &token, None).await;
    drop(sink.open(Surface::Http, &HeaderMap::new()));
    let page = aegis_proto::exposition::Format::Text.page(&sink.families());
    let line = |outcome: &str, count: u64| {
        format!("aegis_control_calls_total{{operation=\"WhoAmI\",outcome=\"{outcome}\"}} {count}\n")
    };
    assert!(page.contains(&line("done", 2)) && page.contains(&line("refused", 1)), "{page}");
    assert!(page.contains("aegis_control_call_seconds_count 3"), "{page}");
    assert!(!page.contains("made-up") && sink.dropped() == 0 && watched.queue.try_recv().is_err(), "{page}");
}

/// A call does not wait for the exporter, and what finds no room is counted.
#[tokio::test]
async fn what_finds_no_room_is_counted() {
    let watched = Watched::new();
    for _ in 0..=caps::CALL_SPAN_QUEUE_MAX {
        let call = watched.sink.open(Surface::Http, &HeaderMap::new());
        call.notes().operation("WhoAmI");
        call.close(Answered { outcome: Outcome::Done, code: None, replayed: false });
    }
    assert_eq!((watched.queue.len(), watched.sink.dropped()), (caps::CALL_SPAN_QUEUE_MAX, 1));
}
