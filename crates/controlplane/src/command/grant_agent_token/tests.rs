//! What is given out, and everything for which nothing is.

use aegis_model::ids::TenantId;
use aegis_proto::control::grant_agent_token::Proof;
use aegis_proto::control::{
    AgentBounds, AssertionProof, CertificateProof, DisableAgent, FixedClaim, IssuerProof, RemoveIssuer,
    RetireAgentKey, RetireTenant, RevocationKind, Revoke, SetAgent, TokenProof,
};
use sha2::{Digest, Sha256};

use super::*;
use crate::command::set_issuer::tests::ci;
use crate::state::issuers;
use crate::state::page::PageQuery;
use crate::testing::World;

/// A world with the agents `planner`, `payer` and `clerk` of `acme`, which may pay, and `idle`, which may nothing.
fn furnished() -> World {
    let world = World::new();
    let acme = world.tenant("acme");
    for name in ["planner", "payer", "clerk", "idle"] {
        world.agent(&acme, name);
    }
    for name in ["planner", "payer", "clerk"] {
        bound(&world, name, "stripe:* crm:read", &[]);
    }
    world
}

fn bound(world: &World, name: &str, scope: &str, claims: &[(&str, &str)]) {
    let claim =
        |(name, value): &(&str, &str)| FixedClaim { name: (*name).to_owned(), value: (*value).to_owned() };
    let bounds = AgentBounds {
        scope: scope.to_owned(),
        life_seconds_max: 0,
        claims: claims.iter().map(claim).collect(),
        spiffe_id: format!("spiffe://acme.example/{name}"),
        issuer: "ci".to_owned(),
        issuer_subject: format!("repo:{name}"),
    };
    let (tenant, name) = ("acme".to_owned(), name.to_owned());
    world.done(SetAgent { tenant, name, bounds: Some(bounds), ..Default::default() }, &World::root());
}

fn key_of(agent: &str) -> String {
    World::signing_key(agent).id().to_string()
}

fn by_assertion(world: &World, agent: &str, id: &str) -> Proof {
    let once = Sha256::digest(id.as_bytes()).to_vec();
    Proof::Assertion(AssertionProof { key_id: key_of(agent), once, ends_ms: world.now_ms() + 60_000 })
}

fn wanted(world: &World, agent: &str, id: &str) -> GrantAgentToken {
    GrantAgentToken {
        tenant: "acme".to_owned(),
        agent: agent.to_owned(),
        token_id: format!("t-{id}"),
        proof: Some(by_assertion(world, agent, id)),
        data_node: "data-1".to_owned(),
        ..Default::default()
    }
}

fn granted(world: &World, command: GrantAgentToken) -> AgentToken {
    match world.done(command, &World::node()).done.result {
        Some(done::Result::AgentToken(token)) => token,
        other => panic!("{other:?}"),
    }
}

fn refused(world: &World, command: GrantAgentToken) -> Code {
    world.refused(command, &World::node()).code
}

/// A token as a control node shows it once it was verified.
fn shown(token: &AgentToken) -> TokenProof {
    TokenProof {
        token_id: token.token_id.clone(),
        agent: token.agent.clone(),
        callers: token.callers.clone(),
        basis: token.basis.clone(),
        scope: token.scope.clone(),
        claims: token.claims.clone(),
        issued_seconds: token.issued_seconds,
        expires_seconds: token.expires_seconds,
    }
}

fn revoke(world: &World, kind: RevocationKind, subject: &str) {
    let (tenant, subject) = ("acme".to_owned(), subject.to_owned());
    world.done(Revoke { tenant, kind: kind.into(), subject, ..Default::default() }, &World::root());
}

#[test]
fn an_agent_gets_what_it_is_registered_for_and_it_is_recorded() {
    let world = furnished();
    bound(&world, "payer", "stripe:pay", &[("purpose", "care")]);
    let token = granted(&world, wanted(&world, "payer", "1"));
    assert_eq!((token.scope.as_str(), token.organization.as_str()), ("stripe:pay", "acme"));
    assert_eq!(token.expires_seconds - token.issued_seconds, caps::TOKEN_LIFE_SECONDS_MAX);
    assert_eq!(token.claims, [FixedClaim { name: "purpose".to_owned(), value: "care".to_owned() }]);
    assert_eq!(token.basis, [format!("key:{}", key_of("payer"))]);
    let short = granted(&world, GrantAgentToken { life_seconds: 60, ..wanted(&world, "payer", "2") });
    assert_eq!(short.expires_seconds - short.issued_seconds, 60);
    let long = granted(&world, GrantAgentToken { life_seconds: 9_999, ..wanted(&world, "payer", "3") });
    assert_eq!(long.expires_seconds - long.issued_seconds, caps::TOKEN_LIFE_SECONDS_MAX);
    let acme: TenantId = "acme".parse().expect("a name");
    let records = tokens::tokens(&world.view(), &acme, &PageQuery::first()).expect("memory").rows;
    assert_eq!(records.iter().map(|it| it.number).collect::<Vec<_>>(), [3, 2, 1]);
    let first = &records[2];
    assert_eq!((first.by.as_str(), first.proof.as_str()), ("assertion", key_of("payer").as_str()));
    assert_eq!((first.data_node.as_str(), first.token_id.as_str()), ("data-1", "t-1"));
}

#[test]
fn an_assertion_counts_once() {
    let world = furnished();
    granted(&world, wanted(&world, "payer", "1"));
    assert_eq!(refused(&world, wanted(&world, "payer", "1")), Code::ProofRefused);
    granted(&world, wanted(&world, "clerk", "1"));
    world.pass_seconds(caps::ASSERTION_LIFE_SECONDS_MAX);
    assert_eq!(refused(&world, wanted(&world, "payer", "1")), Code::ProofRefused, "a clock may be behind");
    world.pass_seconds(caps::ASSERTION_LIFE_SECONDS_MAX);
    // Its own time is over by any clock: whoever verifies it refuses it, so it need not be remembered.
    for number in 2..6 {
        granted(&world, wanted(&world, "payer", &number.to_string()));
    }
    let counters = crate::state::meta::counters(&world.view()).expect("memory");
    assert_eq!(counters.assertions, 4, "those that ended were forgotten");
}

#[test]
fn nothing_is_given_out_for_what_does_not_count() {
    let world = furnished();
    let good = || wanted(&world, "payer", "1");
    let with = |proof: Option<Proof>| GrantAgentToken { proof, ..good() };
    assert_eq!(refused(&world, GrantAgentToken { agent: "nobody".into(), ..good() }), Code::UnknownAgent);
    assert_eq!(refused(&world, GrantAgentToken { tenant: "globex".into(), ..good() }), Code::UnknownTenant);
    assert_eq!(refused(&world, with(None)), Code::Invalid);
    assert_eq!(refused(&world, with(Some(by_assertion(&world, "clerk", "1")))), Code::ProofRefused);
    assert_eq!(
        refused(&world, wanted(&world, "idle", "1")),
        Code::ScopeExceeded,
        "it is registered for nothing"
    );
    let wide = GrantAgentToken { scope: "stripe:pay github:read".into(), ..good() };
    assert_eq!(refused(&world, wide), Code::ScopeExceeded);
    assert_eq!(
        refused(&world, GrantAgentToken { scope: "aegis:explain".into(), ..good() }),
        Code::ScopeExceeded
    );
    let spiffe = |id: &str| Proof::Certificate(CertificateProof { spiffe_id: id.to_owned() });
    assert_eq!(refused(&world, with(Some(spiffe("spiffe://acme.example/clerk")))), Code::ProofRefused);
    assert_eq!(refused(&world, with(Some(spiffe("")))), Code::ProofRefused);
    let by_certificate = granted(&world, with(Some(spiffe("spiffe://acme.example/payer"))));
    let own = Some(Proof::Token(shown(&by_certificate)));
    assert_eq!(refused(&world, with(own)), Code::ProofRefused, "no token renews itself");
    world.done(DisableAgent { tenant: "acme".into(), name: "payer".into(), disabled: true }, &World::root());
    assert_eq!(refused(&world, good()), Code::AgentDisabled);
    assert_eq!(world.refused(good(), &World::root()).code, Code::Forbidden, "only control nodes");
    world.done(RetireTenant { tenant: "acme".into() }, &World::root());
    assert_eq!(refused(&world, good()), Code::TenantRetired);
}

#[test]
fn a_key_that_was_retired_or_revoked_proves_nothing() {
    let world = furnished();
    let (tenant, name) = ("acme".to_owned(), "payer".to_owned());
    let retire = RetireAgentKey { tenant, name, id: key_of("payer"), overlap_seconds: 30 };
    world.done(retire, &World::root());
    granted(&world, wanted(&world, "payer", "1"));
    world.pass_seconds(30);
    assert_eq!(refused(&world, wanted(&world, "payer", "2")), Code::ProofRefused);
    granted(&world, wanted(&world, "clerk", "1"));
    revoke(&world, RevocationKind::Key, &key_of("clerk"));
    assert_eq!(refused(&world, wanted(&world, "clerk", "2")), Code::ProofRefused);
}

#[test]
fn an_agent_asks_only_so_often() {
    let world = furnished();
    let spiffe_id = "spiffe://acme.example/payer".to_owned();
    let ask = |number: u32| GrantAgentToken {
        token_id: format!("t-{number}"),
        proof: Some(Proof::Certificate(CertificateProof { spiffe_id: spiffe_id.clone() })),
        ..wanted(&world, "payer", "x")
    };
    for number in 0..caps::AGENT_TOKENS_PER_MINUTE_MAX {
        granted(&world, ask(number));
    }
    world.pass_seconds(10);
    let refused = world.refused(ask(9_999), &World::node());
    assert_eq!((refused.code, refused.detail("retry_after_ms")), (Code::TooFast, Some("50000")));
    granted(&world, wanted(&world, "clerk", "1"));
    world.pass_seconds(50);
    granted(&world, ask(9_999));
}

#[test]
fn a_delegated_token_is_never_more_than_its_callers() {
    let world = furnished();
    bound(&world, "planner", "stripe:* crm:*", &[("purpose", "care")]);
    bound(&world, "payer", "stripe:pay github:*", &[("environment", "prod")]);
    let parent = GrantAgentToken { life_seconds: 120, ..wanted(&world, "planner", "1") };
    let parent = granted(&world, parent);
    world.pass_seconds(20);
    let ask = |id: &str| GrantAgentToken { caller: Some(shown(&parent)), ..wanted(&world, "payer", id) };
    let child = granted(&world, ask("1"));
    assert_eq!(child.callers, ["planner"]);
    assert_eq!(child.scope, "stripe:pay", "what both permit");
    assert_eq!(child.expires_seconds, parent.expires_seconds);
    let claims: Vec<(&str, &str)> =
        child.claims.iter().map(|it| (it.name.as_str(), it.value.as_str())).collect();
    assert_eq!(claims, [("purpose", "care"), ("environment", "prod")]);
    let (own, planners) = (format!("key:{}", key_of("payer")), format!("key:{}", key_of("planner")));
    assert_eq!(child.basis, [own, "token:t-1".to_owned(), planners]);
    for wide in ["github:read", "crm:read", "stripe:*"] {
        let wide = GrantAgentToken { scope: wide.to_owned(), ..ask("2") };
        assert_eq!(refused(&world, wide), Code::ScopeExceeded);
    }
    bound(&world, "payer", "stripe:pay", &[("purpose", "marketing")]);
    assert_eq!(refused(&world, ask("3")), Code::ProofRefused, "they act for different things");
    bound(&world, "payer", "stripe:pay", &[("purpose", "care")]);
    granted(&world, ask("4"));
    world.pass_seconds(100);
    assert_eq!(refused(&world, ask("5")), Code::ProofRefused, "the caller's token has ended");
}

#[test]
fn a_chain_has_five_members() {
    let world = furnished();
    let agents = ["planner", "payer", "clerk"];
    let mut token = granted(&world, wanted(&world, "planner", "0"));
    for depth in 1..=caps::CHAIN_MEMBERS_MAX + 1 {
        let agent = agents[depth % agents.len()];
        let ask =
            GrantAgentToken { caller: Some(shown(&token)), ..wanted(&world, agent, &format!("{depth}")) };
        if depth > caps::CHAIN_MEMBERS_MAX {
            assert_eq!(refused(&world, ask), Code::ChainTooDeep);
            break;
        }
        let next = granted(&world, ask);
        let expected: Vec<String> =
            std::iter::once(token.agent.clone()).chain(token.callers.iter().cloned()).collect();
        assert_eq!(next.callers, expected, "nearest first");
        token = next;
    }
    assert_eq!(token.callers.len(), caps::CHAIN_MEMBERS_MAX);
}

#[test]
fn whatever_is_revoked_in_a_chain_ends_it() {
    type Ending = fn(&World, &AgentToken);
    let cases: [(&str, Ending); 6] = [
        ("the caller's token", |world, parent| revoke(world, RevocationKind::Token, &parent.token_id)),
        ("a token behind it", |world, _| revoke(world, RevocationKind::Token, "t-root")),
        ("a key behind it", |world, _| revoke(world, RevocationKind::Key, &key_of("planner"))),
        ("an agent behind it", |world, _| revoke(world, RevocationKind::Agent, "planner")),
        ("the calling agent", |world, _| revoke(world, RevocationKind::Agent, "clerk")),
        ("an agent that was disabled", |world, _| {
            let (tenant, name) = ("acme".to_owned(), "planner".to_owned());
            drop(world.done(DisableAgent { tenant, name, disabled: true }, &World::root()));
        }),
    ];
    for (what, end) in cases {
        let world = furnished();
        let root = granted(&world, wanted(&world, "planner", "root"));
        let parent = GrantAgentToken { caller: Some(shown(&root)), ..wanted(&world, "clerk", "parent") };
        let parent = granted(&world, parent);
        let ask = |id: &str| GrantAgentToken { caller: Some(shown(&parent)), ..wanted(&world, "payer", id) };
        granted(&world, ask("1"));
        end(&world, &parent);
        assert_eq!(refused(&world, ask("2")), Code::ProofRefused, "{what}");
    }
}

/// What the issuer `ci` said of an agent, as it is pinned now.
fn by_issuer(world: &World, agent: &str) -> IssuerProof {
    let acme: TenantId = "acme".parse().expect("a name");
    let pinned = issuers::issuer(&world.view(), &acme, "ci").expect("memory").expect("an issuer");
    IssuerProof {
        issuer: "ci".to_owned(),
        subject: format!("repo:{agent}"),
        revision: pinned.revision,
        issued_seconds: world.now_ms() / 1_000,
        expires_seconds: world.now_ms() / 1_000 + 120,
    }
}

#[test]
fn an_issuer_proves_whom_it_is_registered_for_until_it_is_changed() {
    let world = furnished();
    world.done(ci("k-1"), &World::root());
    let ask = |proof: IssuerProof, id: &str| GrantAgentToken {
        proof: Some(Proof::Issuer(proof)),
        ..wanted(&world, "payer", id)
    };
    let shown = by_issuer(&world, "payer");
    let token = granted(&world, ask(shown.clone(), "1"));
    assert_eq!(token.basis, ["issuer:ci"]);
    assert_eq!(token.expires_seconds, shown.expires_seconds, "never longer than what it rests on");
    let late = IssuerProof { expires_seconds: world.now_ms() / 1_000, ..shown.clone() };
    for bad in [
        by_issuer(&world, "clerk"),
        IssuerProof { issuer: "other".to_owned(), ..shown.clone() },
        IssuerProof { issuer: String::new(), subject: String::new(), ..shown.clone() },
        late,
    ] {
        assert_eq!(refused(&world, ask(bad.clone(), "2")), Code::ProofRefused, "{bad:?}");
    }
    // Verified by keys that are not pinned any more, also where the same ones are pinned anew.
    world.done(ci("k-1"), &World::root());
    assert_eq!(refused(&world, ask(shown.clone(), "3")), Code::ProofRefused);
    granted(&world, ask(by_issuer(&world, "payer"), "4"));
    let gone = by_issuer(&world, "payer");
    world.done(RemoveIssuer { tenant: "acme".to_owned(), name: "ci".to_owned() }, &World::root());
    assert_eq!(refused(&world, ask(gone.clone(), "5")), Code::ProofRefused);
    world.done(ci("k-1"), &World::root());
    assert_eq!(refused(&world, ask(gone, "6")), Code::ProofRefused, "it is another one of the same name");
}

#[test]
fn a_revoked_issuer_ends_what_it_proved_before_and_no_more() {
    let world = furnished();
    world.done(ci("k-1"), &World::root());
    let ask = |agent: &str, id: &str| GrantAgentToken {
        proof: Some(Proof::Issuer(by_issuer(&world, agent))),
        ..wanted(&world, agent, id)
    };
    let parent = granted(&world, ask("planner", "1"));
    let child = |id: &str, parent: &AgentToken| GrantAgentToken {
        caller: Some(self::shown(parent)),
        ..wanted(&world, "payer", id)
    };
    granted(&world, child("2", &parent));
    let before = by_issuer(&world, "planner");
    revoke(&world, RevocationKind::Issuer, "ci");
    assert_eq!(refused(&world, child("3", &parent)), Code::ProofRefused);
    world.pass_seconds(caps::CLOCK_SKEW_SECONDS_MAX + 1);
    // The same token of the issuer does not bring back what was ended.
    let again = GrantAgentToken { proof: Some(Proof::Issuer(before)), ..wanted(&world, "planner", "4") };
    assert_eq!(refused(&world, again), Code::ProofRefused);
    let later = granted(&world, ask("planner", "4"));
    granted(&world, child("5", &later));
}

#[test]
fn the_agent_that_is_called_may_show_its_own_token() {
    let world = furnished();
    let caller = granted(&world, wanted(&world, "planner", "1"));
    let own = granted(&world, wanted(&world, "payer", "own"));
    let ask = |proof: Proof, id: &str| GrantAgentToken {
        proof: Some(proof),
        caller: Some(shown(&caller)),
        ..wanted(&world, "payer", id)
    };
    let child = granted(&world, ask(Proof::Token(shown(&own)), "2"));
    assert!(child.basis.contains(&"token:t-own".to_owned()) && child.basis.contains(&"token:t-1".to_owned()));
    let of_another = granted(&world, wanted(&world, "clerk", "3"));
    assert_eq!(refused(&world, ask(Proof::Token(shown(&of_another)), "4")), Code::ProofRefused);
    assert_eq!(refused(&world, ask(Proof::Token(shown(&child)), "5")), Code::ProofRefused, "a delegated one");
    revoke(&world, RevocationKind::Token, "t-own");
    assert_eq!(refused(&world, ask(Proof::Token(shown(&own)), "6")), Code::ProofRefused);
}
