//! `POST /v1/decide` and the paths around it.

use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::json;

use crate::support::{TestNode, body, request};

#[tokio::test]
async fn the_policy_of_the_documentation() {
    let node = TestNode::start().await;
    for (amount, outcome, code) in [
        (json!(0), "allow", None),
        (json!(5000), "allow", None),
        (json!(5001), "approval_required", Some("ParameterOutOfRange")),
        (json!(50000), "approval_required", Some("ParameterOutOfRange")),
        (json!(-1), "deny", Some("ParameterOutOfRange")),
        (json!("5000"), "deny", Some("ParameterType")),
    ] {
        let reply = node.post("/v1/decide", body(amount.clone())).await;
        assert_eq!(reply.status, 200, "{amount}: {reply:?}");
        assert_eq!(reply.header("content-type"), "application/json");
        let decision = reply.json();
        assert_eq!(decision["outcome"], outcome, "{amount}: {decision}");
        let codes: Vec<_> =
            decision["reasons"].as_array().unwrap().iter().map(|reason| &reason["code"]).collect();
        match code {
            None => assert_eq!(decision["params"], json!({ "amount": amount })),
            Some(code) => {
                assert!(codes.contains(&&json!(code)), "{amount}: {decision}");
                assert_eq!(decision.get("params"), None, "{decision}");
            }
        }
        assert!(decision["decision_id"].as_str().unwrap().starts_with("d-n1-7-"), "{decision}");
        assert!(decision["policy"]["digest"].as_str().unwrap().starts_with("sha256:"), "{decision}");
        assert_eq!(decision["policy"]["version"], 1);
    }
    let other_tool = node.post("/v1/decide", r#"{"tool":"shell"}"#).await.json();
    assert_eq!(
        (&other_tool["outcome"], &other_tool["reasons"][0]["code"]),
        (&json!("deny"), &json!("ToolNotAllowed"))
    );
    let other_agent = node.token_of("hr-agent", "*:*");
    let decision = node.post_as(&other_agent, "/v1/decide", body(1)).await.json();
    assert_eq!(decision["reasons"][0]["code"], "UnknownAgent", "{decision}");
    let narrow = node.token_of("finance-agent", "github:*");
    let decision = node.post_as(&narrow, "/v1/decide", body(1)).await.json();
    assert_eq!(decision["reasons"][0]["code"], "ScopeExceeded", "{decision}");
    assert_eq!(node.lines().len(), 9, "every decision has its record");
}

#[tokio::test]
async fn a_request_id_is_answered_again() {
    let node = TestNode::start().await;
    let with_id = |amount: u32| {
        let mut call: serde_json::Value = serde_json::from_str(&body(amount)).unwrap();
        call["request_id"] = json!("r-1");
        call.to_string()
    };
    let first = node.post("/v1/decide", with_id(1)).await.json();
    let again = node.post("/v1/decide", with_id(1)).await.json();
    assert_eq!(first.get("replayed"), None);
    assert_eq!(again["replayed"], true);
    assert_eq!(again["decision_id"], first["decision_id"]);
    assert_eq!(again["params"], first["params"]);
    node.post("/v1/decide", with_id(2)).await.expect_problem(400, "InvalidRequest");
}

#[tokio::test]
async fn an_explanation_tells_the_steps() {
    let node = TestNode::start().await;
    let mut call: serde_json::Value = serde_json::from_str(&body(6000)).unwrap();
    call["explain"] = json!(true);
    let denied = node.post("/v1/decide", call.to_string()).await.json();
    assert_eq!(denied["reasons"][0]["code"], "ScopeExceeded");
    let token = node.token_of("finance-agent", "*:* aegis:explain");
    let decision = node.post_as(&token, "/v1/decide", call.to_string()).await.json();
    assert_eq!(decision["outcome"], "approval_required");
    assert!(decision["explanation"]["steps"].as_array().unwrap().len() > 1, "{decision}");
}

#[tokio::test]
async fn without_a_valid_token_nothing_is_decided() {
    let node = TestNode::start().await;
    let json = (CONTENT_TYPE, "application/json".to_owned());
    let bearer = |token: &str| (AUTHORIZATION, format!("Bearer {token}"));
    let token = node.token();
    let cases = [
        vec![],
        vec![bearer("nonsense")],
        vec![(AUTHORIZATION, format!("Basic {token}"))],
        vec![bearer(&token[..token.len() - 3])],
    ];
    for mut headers in cases {
        headers.push(json.clone());
        let reply = request(node.http(), "POST", "/v1/decide", &headers, body(1)).await;
        reply.expect_problem(401, "Unauthenticated");
        assert!(reply.header("www-authenticate").starts_with("Bearer realm="), "{reply:?}");
    }
    let twice = [bearer(&token), bearer(&token), json];
    let reply = request(node.http(), "POST", "/v1/decide", &twice, body(1)).await;
    reply.expect_problem(400, "InvalidRequest");
    assert!(node.lines().iter().all(|line| line["kind"] == "refusals"), "{:?}", node.lines());
}

#[tokio::test]
async fn what_is_malformed_says_where() {
    let node = TestNode::start().await;
    for (text, path) in [
        ("", ""),
        ("[]", ""),
        (r#"{"tool":"a","tool":"a"}"#, "/tool"),
        (r#"{"tool":1}"#, "/tool"),
        (r#"{"tool":"a b"}"#, "/tool"),
        (r#"{"tool":"a","params":null}"#, "/params"),
        (r#"{"tool":"a","parms":{}}"#, ""),
        (r#"{"tool":"a","cost":"-1"}"#, "/cost"),
        (r#"{"tool":"a","params":{"n":9007199254740993}}"#, "/params/n"),
        ("{\"tool\":\"a\"}\u{feff}", ""),
    ] {
        let problem = node.post("/v1/decide", text).await.expect_problem(400, "InvalidRequest");
        assert_eq!(
            problem.get("path").and_then(|path| path.as_str()).unwrap_or_default(),
            path,
            "{text}: {problem}"
        );
        assert!(!problem["next"].as_str().unwrap().is_empty());
    }
    assert_eq!(node.lines(), Vec::<serde_json::Value>::new(), "counted, never decided");
}

#[tokio::test]
async fn paths_methods_and_types_are_exact() {
    let node = TestNode::start().await;
    let token = node.token();
    let bearer = (AUTHORIZATION, format!("Bearer {token}"));
    for path in
        ["/", "/v1/decide/", "//v1/decide", "/v1/%64ecide", "/V1/decide", "/v1/../v1/decide", "/healthz/"]
    {
        request(node.http(), "POST", path, &[], "").await.expect_problem(404, "InvalidRequest");
    }
    let reply = request(node.http(), "GET", "/v1/decide", &[], "").await;
    reply.expect_problem(405, "InvalidRequest");
    assert_eq!(reply.header("allow"), "POST");
    let reply = request(node.http(), "DELETE", "/healthz", &[], "").await;
    reply.expect_problem(405, "InvalidRequest");
    assert_eq!(reply.header("allow"), "GET, HEAD");
    node.post("/v1/decide?a=b", body(1)).await.expect_problem(400, "InvalidRequest");
    for content_type in
        ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16"]
    {
        let headers = [bearer.clone(), (CONTENT_TYPE, content_type.to_owned())];
        let reply = request(node.http(), "POST", "/v1/decide", &headers, body(1)).await;
        reply.expect_problem(415, "InvalidRequest");
    }
    let reply = request(node.http(), "POST", "/v1/decide", std::slice::from_ref(&bearer), body(1)).await;
    reply.expect_problem(415, "InvalidRequest");
    let encoded = [
        bearer,
        (CONTENT_TYPE, "application/json".into()),
        ("content-encoding".parse().unwrap(), "gzip".into()),
    ];
    request(node.http(), "POST", "/v1/decide", &encoded, body(1)).await.expect_problem(415, "InvalidRequest");
}

#[tokio::test]
async fn health_and_readiness() {
    let node = TestNode::start().await;
    assert_eq!(node.get("/healthz").await.status, 200);
    let ready = node.get("/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.json()), (200, json!({"status": "ready"})));
    let head = request(node.http(), "HEAD", "/readyz", &[], "").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
}

#[tokio::test]
async fn http_2_in_the_clear_is_spoken_too() {
    let node = TestNode::start().await;
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .http2_only(true)
        .build_http::<http_body_util::Full<bytes::Bytes>>();
    let request = hyper::Request::post(format!("http://{}/v1/decide", node.http()))
        .header(AUTHORIZATION, format!("Bearer {}", node.token()))
        .header(CONTENT_TYPE, "application/json")
        .body(body(1).into())
        .unwrap();
    let response = client.request(request).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, hyper::Version::HTTP_2));
}

#[tokio::test]
async fn what_became_of_a_call_is_taken_strictly_and_once() {
    let node = TestNode::start().await;
    let decision = node.post("/v1/decide", body(1)).await.json();
    let told = |change: fn(&mut serde_json::Value)| {
        let mut told =
            json!({"decision_id": decision["decision_id"], "status": "succeeded", "result": {"id": 7}});
        change(&mut told);
        told.to_string()
    };
    for (change, path) in [
        ((|told| told["status"] = json!("done")) as fn(&mut serde_json::Value), "/status"),
        (|told| told["decision_id"] = json!(7), "/decision_id"),
        (|told| told["decision_id"] = json!("d-n9-7-1"), "/decision_id"),
        (|told| told["cost"] = json!(0.25), "/cost"),
        (|told| told["cost"] = json!("-1"), "/cost"),
        (|told| told["costs"] = json!("1"), ""),
    ] {
        let problem = node.post("/v1/complete", told(change)).await.expect_problem(400, "InvalidRequest");
        assert_eq!(problem.get("path").and_then(|path| path.as_str()).unwrap_or_default(), path, "{problem}");
    }
    let other = node.post_as(&node.token_of("hr-agent", "*:*"), "/v1/complete", told(|_| {})).await;
    other.expect_problem(400, "InvalidRequest");
    let not_run = node.post("/v1/complete", told(|told| told["status"] = json!("not_run"))).await;
    not_run.expect_problem(403, "ScopeExceeded");
    let reply = node.post("/v1/complete", told(|_| {})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let completed = reply.json();
    assert_eq!(completed["result"], json!({"id": 7}));
    assert_eq!(
        completed["receipt"]["index"], 1,
        "a record of its own, behind that of the decision: {completed}"
    );
    let mut members: Vec<_> = completed.as_object().unwrap().keys().collect();
    members.sort();
    assert_eq!(members, ["receipt", "result"]);
    node.post("/v1/complete", told(|_| {})).await.expect_problem(400, "InvalidRequest");
    let get = node.get("/v1/complete").await;
    assert_eq!(get.status, 405);
    let lines = node.lines();
    let completion = lines.iter().find(|line| line["kind"] == "completion").unwrap();
    assert_eq!(completion["decision_id"], decision["decision_id"]);
}
