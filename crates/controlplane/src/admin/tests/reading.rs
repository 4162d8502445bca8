//! What is read: strict bodies, heads and queries, within bounds; and how a problem looks.

use aegis_model::caps;
use aegis_proto::status::reason_of;
use serde_json::{Value, json};
use tonic::Code;

use super::examples::examples;
use super::setting::Setting;
use crate::admin::problem::ProblemCode;

#[tokio::test]
async fn bodies_are_read_strictly() {
    let setting = Setting::new();
    let bearer = format!("Bearer {}", setting.token("root"));
    let json = ("content-type", "application/json");
    for example in examples().iter().filter(|example| example.body.is_some()) {
        let (id, path) = (example.id, format!("/admin/v1{}", example.path));
        let ask = async |headers: &[(&str, &str)], body: &[u8]| {
            let headers = [&[("authorization", bearer.as_str())], headers].concat();
            let reply = setting.ask(example.method, &path, &headers, body).await;
            (reply.code(), reply.json())
        };
        let mut unknown = example.body.clone().unwrap();
        unknown["colour"] = json!("red");
        let (code, document) = ask(&[json], unknown.to_string().as_bytes()).await;
        assert_eq!((code.as_str(), document["pointer"].as_str()), ("malformed", Some("/colour")), "{id}");
        let (code, document) = ask(&[json], br#"{"a": 1, "a": 2}"#).await;
        assert_eq!((code.as_str(), document["pointer"].as_str()), ("malformed", Some("/a")), "{id}");
        assert_eq!(
            document["facts"],
            json!([{"name": "line", "value": "1"}, {"name": "column", "value": "10"}])
        );
        let most =
            if id == "PublishVersion" { caps::ADMIN_SOURCES_BYTES_MAX } else { caps::ADMIN_BODY_BYTES_MAX };
        let large = [b"{\"x\": \"".as_slice(), &vec![b'x'; most], b"\"}"].concat();
        assert_eq!(ask(&[json], &large).await.0, "too_large", "{id}");
        let body = example.body.clone().unwrap().to_string();
        assert_eq!(
            ask(&[("content-type", "text/plain")], body.as_bytes()).await.0,
            "unsupported_media_type",
            "{id}"
        );
        let encoded = [json, ("content-encoding", "gzip")];
        assert_eq!(ask(&encoded, body.as_bytes()).await.0, "unsupported_media_type", "{id}");
        if id != "Rollback" {
            assert_ne!(ask(&[json], b"").await.0, "forbidden", "{id}");
        }
    }
}

#[tokio::test]
async fn what_takes_no_body_and_no_query_refuses_them() {
    let setting = Setting::new();
    let token = setting.token("root");
    for example in examples().iter().filter(|example| example.body.is_none()) {
        let path = example.path.clone();
        let reply = setting.call(example.method, &path, &token, Some(json!({}))).await;
        assert_eq!(reply.code(), "malformed", "{}", example.id);
        let separator = if path.contains('?') { '&' } else { '?' };
        let reply = setting.call(example.method, &format!("{path}{separator}colour=red"), &token, None).await;
        assert_eq!(reply.code(), "malformed", "{}", example.id);
    }
}

#[tokio::test]
async fn heads_that_may_be_read_in_two_ways_are_refused() {
    let setting = Setting::new();
    let token = setting.token("root");
    let bearer = format!("Bearer {token}");
    let twice = [("authorization", bearer.as_str()), ("authorization", bearer.as_str())];
    assert_eq!(setting.ask("GET", "/admin/v1/whoami", &twice, b"").await.code(), "malformed");
    for more in [("x-request-id", "a b"), ("idempotency-key", "a b"), ("idempotency-key", "")] {
        let reply = setting.call_with("GET", "/whoami", &token, &[more], None).await;
        assert_eq!(reply.code(), "malformed", "{more:?}");
    }
    let reply = setting.call_with("GET", "/whoami", &token, &[("x-request-id", "r-1")], None).await;
    assert_eq!(reply.headers["x-request-id"], "r-1");
    assert_eq!(reply.headers["cache-control"], "no-store");
}

/// The methods that list something.
#[tokio::test]
async fn lists_are_walked_page_by_page() {
    let setting = Setting::new();
    let token = setting.token("root");
    for example in examples().iter().filter(|example| example.id.starts_with("List")) {
        let whole = setting.call("GET", &example.path, &token, None).await.done();
        assert_eq!(whole["next"], "", "{}", example.id);
        let mut walked: Vec<Value> = Vec::new();
        let mut cursor = String::new();
        for _ in 0..1_000 {
            let path = format!("{}?limit=1&cursor={cursor}", example.path);
            let page = setting.call("GET", &path, &token, None).await.done();
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 1, "{}", example.id);
            walked.extend(items.iter().cloned());
            cursor = page["next"].as_str().unwrap().to_owned();
            if cursor.is_empty() {
                break;
            }
        }
        assert_eq!(whole["items"].as_array().unwrap(), &walked, "{}", example.id);
        // No data node is there that could show a decision.
        let nothing = ["ListPersonRoles", "ListDecisions"].contains(&example.id);
        assert!(!walked.is_empty() || nothing, "{} shows nothing", example.id);
        for (query, code) in [("limit=1001", "invalid"), ("limit=x", "malformed"), ("cursor=%20", "invalid")]
        {
            let reply = setting.call("GET", &format!("{}?{query}", example.path), &token, None).await;
            assert_eq!(reply.code(), code, "{} {query}", example.id);
        }
    }
}

/// TEN-1: one tenant's cursor does not lead into another's rows.
#[tokio::test]
async fn a_cursor_of_another_tenant_shows_nothing_of_it() {
    let setting = Setting::new();
    let (root, other) = (setting.token("root"), setting.token("all@globex"));
    for list in [
        "agents",
        "versions",
        "labels",
        "activations",
        "revocations",
        "roles",
        "records",
        "budgets",
        "approvals",
    ] {
        let page = setting.call("GET", &format!("/tenants/acme/{list}?limit=1"), &root, None).await.done();
        let Some(cursor) = page["next"].as_str().filter(|it| !it.is_empty()) else { continue };
        let path = format!("/tenants/globex/{list}?cursor={cursor}");
        let page = setting.call("GET", &path, &other, None).await.done();
        assert!(!page.to_string().contains("acme"), "{list}: {page}");
    }
}

#[tokio::test]
async fn a_problem_has_this_shape() {
    let setting = Setting::new();
    let token = setting.token("root");
    let body = json!({"enforced": 1, "only_if_activation": 1});
    let reply = setting.call("PUT", "/tenants/acme/activation", &token, Some(body)).await;
    let expected = json!({
        "type": "/admin/v1/problems/precondition_failed",
        "title": "Precondition Failed",
        "status": 412,
        "code": "precondition_failed",
        "detail": "the activation is `2` by now, which is not what was expected",
        "help": "Look at what is current, decide anew, and try again with that.",
        "pointer": "",
        "facts": [{"name": "of", "value": "activation"}, {"name": "current", "value": "2"}],
        "findings": [],
        "more_findings": 0,
    });
    assert_eq!((reply.status, reply.json()), (412, expected));
}

#[tokio::test]
async fn a_policy_that_was_refused_is_explained_line_by_line() {
    let setting = Setting::new();
    let token = setting.token("root");
    let text = "agent: x\nalowed_tools: []\n";
    let body = json!({"sources": [{"path": "sub/broken.yaml", "text": text}]});
    let reply = setting.call("POST", "/tenants/acme/versions", &token, Some(body)).await;
    assert_eq!((reply.status, reply.code().as_str()), (422, "policy_rejected"));
    let document = reply.json();
    let finding =
        document["findings"].as_array().unwrap().iter().find(|it| it["code"] == "unknown-field").unwrap();
    assert_eq!(
        (&finding["file"], &finding["line"], &finding["column"]),
        (&json!("sub/broken.yaml"), &json!(2), &json!(1))
    );
    for field in ["message", "help", "excerpt"] {
        assert!(!finding[field].as_str().unwrap().is_empty(), "{field}: {finding}");
    }
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let setting = Setting::new();
    let token = setting.token("root");
    for path in ["/nothing", "/tenants/acme/nothing", "/"] {
        assert_eq!(setting.call("GET", path, &token, None).await.code(), "not_found", "{path}");
    }
}

#[tokio::test]
async fn every_code_has_its_page() {
    let setting = Setting::new();
    let mut pages = 0;
    for code in ProblemCode::all() {
        let path = format!("/admin/v1/problems/{}", code.as_str());
        let reply = setting.ask("GET", &path, &[], b"").await;
        assert_eq!(reply.status, 200, "docs/admin-errors.md has no section `{}`", code.as_str());
        let text = String::from_utf8(reply.body.to_vec()).unwrap();
        let retry = if code.retryable() { "Retry as it is: yes" } else { "Retry as it is: no" };
        assert!(text.contains(retry), "`{}` must say `{retry}`", code.as_str());
        let http = crate::admin::problem::status::http(code).as_u16();
        assert!(text.contains(&format!("HTTP {http},")), "`{}` must say `HTTP {http},`", code.as_str());
        let grpc = grpc_name(crate::admin::problem::status::grpc(code));
        assert!(text.contains(&format!("gRPC `{grpc}`")), "`{}` must say gRPC `{grpc}`", code.as_str());
        assert_eq!(text.matches("\n## ").count(), 0, "one section");
        pages += 1;
    }
    let headings = include_str!("../../../../../docs/admin-errors.md").matches("\n## ").count();
    assert_eq!(pages, headings, "a section without a code");
    assert_eq!(setting.ask("GET", "/admin/v1/problems/nothing", &[], b"").await.status, 404);
}

fn grpc_name(code: Code) -> &'static str {
    match code {
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::Unauthenticated => "UNAUTHENTICATED",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::Unavailable => "UNAVAILABLE",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unknown => "UNKNOWN",
        other => panic!("{other:?} has no name here"),
    }
}

/// Secrets go out once, in the answer that makes them.
#[tokio::test]
async fn no_list_shows_a_secret() {
    let setting = Setting::new();
    let token = setting.token("root");
    let body = json!({"agent": "payer", "scope": "*:*"});
    let minted = setting.call("POST", "/tenants/acme/tokens", &token, Some(body)).await.done();
    let secret = minted["token"].as_str().unwrap();
    for example in examples().iter().filter(|example| !example.writes() && example.id != "DownloadBundle") {
        let reply = setting.call("GET", &example.path, &token, None).await;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(!text.contains(secret) && !text.contains("wrapped"), "{}", example.id);
    }
}

#[tokio::test]
async fn the_limits_of_fields_are_told() {
    let setting = Setting::new();
    let token = setting.token("root");
    let cases = [
        ("POST", "/tenants", json!({"name": ""}), "invalid"),
        ("POST", "/tenants", json!({"name": "acme"}), "already_exists"),
        ("POST", "/tenants", json!({"name": "a b"}), "invalid"),
        ("POST", "/tenants/acme/agents", json!({"name": "payer"}), "already_exists"),
        ("POST", "/tenants/acme/agents", json!({"name": "x", "public_keys": ["x"]}), "invalid"),
        ("PATCH", "/tenants/acme/agents/payer", json!({}), "invalid"),
        ("POST", "/tenants/acme/tokens", json!({"agent": "none", "scope": "*:*"}), "unknown_agent"),
        (
            "POST",
            "/tenants/acme/tokens",
            json!({"agent": "payer", "scope": "*:*", "life_seconds": 901}),
            "invalid",
        ),
        (
            "POST",
            "/tenants/acme/tokens",
            json!({"agent": "payer", "scope": "*:*", "claims": [{"name": "exp", "value": "9"}]}),
            "invalid",
        ),
        ("POST", "/tenants/acme/revocations", json!({"kind": "all", "subject": "x"}), "invalid"),
        ("POST", "/tenants/acme/versions", json!({}), "invalid"),
        (
            "POST",
            "/tenants/acme/versions",
            json!({"sources": [{"path": "../x.yaml", "text": ""}]}),
            "policy_rejected",
        ),
        ("PUT", "/tenants/acme/activation", json!({"enforced": 9}), "unknown_version"),
        (
            "PUT",
            "/tenants/acme/activation",
            json!({"enforced": 1, "canary": {"version": 2, "percent": 101}}),
            "invalid",
        ),
        ("POST", "/tenants/acme/rollback", json!({"to": 9}), "unknown_version"),
        ("PUT", "/tenants/acme/labels/good", json!({"version": 0}), "invalid"),
        ("PUT", "/tenants/acme/labels/good", json!({"version": 9}), "unknown_version"),
        ("POST", "/people/none/tokens", json!({}), "unknown_person"),
        ("POST", "/people/nobody/tokens", json!({"life_seconds": 43_201}), "invalid"),
        ("POST", "/keys/rotate", json!({"kind": "all"}), "invalid"),
        ("POST", "/cluster/members", json!({"name": "", "address": ""}), "invalid"),
    ];
    for (method, path, body, code) in cases {
        let reply = setting.call(method, path, &token, Some(body.clone())).await;
        assert_eq!(reply.code(), code, "{method} {path} {body}");
    }
    let cases = [
        ("GET", "/tenants/acme/agents/none", "unknown_agent"),
        ("GET", "/tenants/acme/versions/9", "unknown_version"),
        ("GET", "/tenants/acme/versions/x", "invalid"),
        ("GET", "/tenants/acme/versions/9/diff/1", "unknown_version"),
        ("GET", "/tenants/acme/versions/9/bundle.tar.gz", "unknown_version"),
        ("DELETE", "/tenants/acme/versions/2", "version_in_force"),
        ("DELETE", "/tenants/acme/labels/none", "unknown_label"),
        ("GET", "/tenants/acme/activation/progress?activation=9", "precondition_failed"),
        ("GET", "/tenants/acme/activation/progress?seconds=601", "invalid"),
        ("GET", "/people/none", "unknown_person"),
        ("DELETE", "/people/nobody/tokens/none", "unknown_token"),
        ("PUT", "/roles/nobody/king", "invalid"),
        ("DELETE", "/roles/nobody/admin", "unknown_role"),
        ("GET", "/data-nodes/00000000000000ff", "unknown_data_node"),
        ("GET", "/data-nodes/17", "invalid"),
        ("DELETE", "/cluster/members/0000000000000001", "membership_refused"),
        ("DELETE", "/keys/none", "unknown_key"),
    ];
    for (method, path, code) in cases {
        let reply = setting.call(method, path, &token, None).await;
        assert_eq!(reply.code(), code, "{method} {path}");
    }
}

#[tokio::test]
async fn a_message_with_a_field_that_is_unknown_here_is_refused_over_grpc() {
    use prost::Message as _;
    use tonic::codec::Codec as _;

    let request =
        aegis_proto::admin::ActivateRequest { tenant: "acme".into(), enforced: 1, ..Default::default() };
    let mut bytes = request.encode_to_vec();
    // Field 60, a number: a precondition of newer software, perhaps.
    bytes.extend([0xe0, 0x03, 0x01]);
    let body = [&[0_u8][..], &u32::try_from(bytes.len()).unwrap().to_be_bytes(), &bytes].concat();
    let mut codec = aegis_proto::codec::ExactCodec::<
        aegis_proto::admin::InForce,
        aegis_proto::admin::ActivateRequest,
    >::default();
    let decoder = codec.decoder();
    let body = http_body_util::Full::new(bytes::Bytes::from(body));
    let mut stream = tonic::Streaming::new_request(decoder, body, None, None);
    let status = stream.message().await.unwrap_err();
    assert_eq!(reason_of(&status), Some("malformed"));
}
