//! Whose forms count, where a token is read, and that what an agent says stays text.

use axum::extract::Request;

use super::*;

fn parts(headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().uri("/approvals/acme/a-1");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn a_form_comes_from_the_host_that_was_asked() {
    let host = ("host", "aegis.example.com");
    let is = |more: &[(&str, &str)]| is_from_here(&parts(&[&[host], more].concat()));
    assert!(is(&[("origin", "https://aegis.example.com")]));
    assert!(is(&[("origin", "https://aegis.example.com"), ("sec-fetch-site", "same-origin")]));
    for bad in [
        &[][..],
        &[("origin", "null")],
        &[("origin", "https://evil.example")],
        &[("origin", "https://aegis.example.com.evil.example")],
        &[("origin", "https://aegis.example.com:8443")],
        &[("origin", "https://aegis.example.com"), ("origin", "https://evil.example")],
        &[("origin", "https://aegis.example.com"), ("sec-fetch-site", "cross-site")],
        &[("origin", "https://aegis.example.com"), ("sec-fetch-site", "same-site")],
    ] {
        assert!(!is(bad), "{bad:?}");
    }
    assert!(!is_from_here(&parts(&[("origin", "https://aegis.example.com")])), "no host");
}

#[test]
fn a_token_is_taken_from_one_cookie() {
    let read =
        |values: &[&str]| cookie(&parts(&values.iter().map(|value| ("cookie", *value)).collect::<Vec<_>>()));
    assert_eq!(read(&["a=b; aegis_person=x.y-z_1; c=d"]).as_deref(), Some("x.y-z_1"));
    assert_eq!(read(&["a=b", "aegis_person=x.y"]).as_deref(), Some("x.y"));
    for bad in [
        &["aegis_person="][..],
        &["aegis_person=x; aegis_person=y"],
        &["aegis_person=x\"y"],
        &["Aegis_person=x"],
    ] {
        assert_eq!(read(bad), None, "{bad:?}");
    }
}

#[test]
fn each_token_has_a_code_of_its_own() {
    assert_eq!(code("a.b.c"), code("a.b.c"));
    assert_ne!(code("a.b.c"), code("a.b.d"));
    assert!(!code("a.b.c").contains("a.b.c"));
}

#[test]
fn what_an_agent_says_stays_text() {
    let hostile = "<img src=x onerror=alert(1)>'\"&\u{202e}";
    let approval = Approval {
        tenant: hostile.to_owned(),
        agent: hostile.to_owned(),
        callers: vec![hostile.to_owned()],
        tool: hostile.to_owned(),
        action: hostile.to_owned(),
        params: format!("{{\"a\":{hostile:?}}}"),
        context: hostile.to_owned(),
        cost: hostile.to_owned(),
        state: "pending".to_owned(),
        similar: 3,
        cancelled_because: hostile.to_owned(),
        reasons: vec![aegis_proto::admin::ApprovalReason {
            message: hostile.to_owned(),
            ..Default::default()
        }],
        votes: vec![aegis_proto::admin::ApprovalVote { reason: hostile.to_owned(), ..Default::default() }],
        ..Approval::default()
    };
    let html = described(&approval);
    assert!(
        !html.contains("<img") && !html.contains('\u{202e}') && !html.contains("onerror=alert(1)>"),
        "{html}"
    );
    assert!(html.contains("&lt;img src=x onerror=alert(1)&gt;&#39;&quot;&amp;\\u{202e}"), "{html}");
    assert!(html.contains("asked 3 times"));
}

#[test]
fn a_document_runs_and_loads_nothing() {
    let response = document(StatusCode::OK, "t", "");
    let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.contains("form-action 'self'") && !policy.contains("unsafe"));
    assert_eq!(response.headers()[REFERRER_POLICY], "same-origin");
}
