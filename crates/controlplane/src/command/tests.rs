//! What holds for every command: who may, that a repetition changes nothing, and that a refusal leaves only a record.

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::tree;
use aegis_model::caps;
use aegis_proto::control::grant_agent_token::Proof;
use aegis_proto::control::{
    Activate, AddAgentKey, AddKey, AdjustBudget, AdvanceHistory, AgentBounds, AssertionProof, CancelApproval,
    ChannelKind, CreateTenant, DisableAgent, GiveBackApproval, GrantAgentToken, GrantRole, IssueAgentToken,
    IssuePersonToken, KeepCosignatures, KeyKind, LabelVersion, Lend, LiftHold, NoteCheckpoints, NoteDelivery,
    NoteMembership, NoteReveal, NoteSearch, OpenApproval, OpenJournal, PlaceHold, PutChunk, PutPerson,
    RaiseLevel, RedeemApproval, RegisterAgent, RegisterDataNode, RemoveChannel, RemoveIssuer, RetireAgentKey,
    RetireDataNode, RetireKey, RetireMember, RetireTenant, RetireVersion, RevocationKind, Revoke,
    RevokePersonToken, RevokeRole, RewrapKey, RewrapKeys, RewrapTenantKeys, Role, Rollback, RotateKey,
    RotateTenantKey, SetAgent, SetAgentKeys, SetIssuer, SetMember, SetOrganizationLimits, SetShardMap,
    SetTenant, SettleKeys, SweepApprovals, SweepChunks, SweepExpired, SweepLimits, TakeLending, WrappedKey,
    done,
};
use aegis_proto::v1::LimitKey;
use aegis_raft_store::tables::StoreError;
use prost::Message;
use sha2::{Digest, Sha256};

use super::actor::Actor;
use super::envelope::Once;
use super::kind::Kind;
use super::{Code, Command, LEVEL, Request, response, rewrap_tenant_keys, set_issuer};
use crate::keys::keyring;
use crate::state::page::PageQuery;
use crate::state::{control_log, control_tree, data_nodes, idempotency, keys, meta, tenant_keys};
use crate::testing::{Dump, World};

const ROLES: [Role; 6] =
    [Role::Viewer, Role::Auditor, Role::Author, Role::Approver, Role::Operator, Role::Admin];

/// A command that can be done in [`furnished`], and who may want it, said once more and by hand.
struct Sample {
    command: Request,
    roles: &'static [Role],
    /// Whether a role in the tenant `acme` is enough.
    of_tenant: bool,
    node: bool,
}

/// A world with something for every command to work on.
fn furnished() -> World {
    let world = World::new();
    let acme = world.tenant("acme");
    world.tenant("globex");
    world.agent(&acme, "crawler");
    let bounds = Some(AgentBounds { scope: "web:*".to_owned(), ..Default::default() });
    let (tenant, name) = (acme.to_string(), "crawler".to_owned());
    world.done(SetAgent { tenant, name, bounds, ..Default::default() }, &World::root());
    let other = SetIssuer { name: "other".to_owned(), ..set_issuer::tests::ci("k-1") };
    world.done(other, &World::root());
    for bundle in [b"one".as_slice(), b"two", b"three"] {
        world.publish(&acme, &World::root(), bundle);
    }
    world.activate(&acme, 1);
    world.activate(&acme, 2);
    world.data_node(7);
    world.done(
        SetMember { id: 9, name: "control-9".to_owned(), level: 1, ..Default::default() },
        &World::node(),
    );
    world.with_role("bob", "acme", Role::Viewer);
    world.with_role("bob", "*", Role::Viewer);
    let expires_ms = world.now_ms() + 60_000;
    let issue = IssuePersonToken { person: "bob".to_owned(), token_id: "t-1".to_owned(), expires_ms };
    world.done(issue, &World::root());
    world.done(World::add_key(KeyKind::Manifest, "second"), &World::node());
    world.done(TakeLending {}, &World::node());
    world.done(lend(&world, 1), &World::node());
    let (name, reason) = ("case-7".to_owned(), "a dispute".to_owned());
    world.done(PlaceHold { tenant: "acme".to_owned(), name, reason }, &World::root());
    for name in ["#payments", "unused"] {
        world.done(World::channel("acme", name, ChannelKind::Webhook), &World::root());
    }
    for (id, digest) in [("a-1", 1), ("a-2", 2)] {
        world.open_approval(world.telling("acme", id, digest, &["#payments"]));
    }
    world
}

/// Data node 7 asks for a little of a budget, for the `number`th time.
fn lend(world: &World, number: u64) -> Lend {
    let incarnation = data_nodes::data_node(&world.view(), 7).expect("memory").expect("a node").incarnation;
    world.lend(vec![World::ask(7, incarnation, number, vec![World::need(&budget_key(), 1_000_000, 10)])])
}

fn open_journal(world: &World) -> OpenJournal {
    let node = data_nodes::data_node(&world.view(), 7).expect("memory").expect("a node");
    world.open_journal(&node, "a journal")
}

/// The first checkpoint of the control log, with a second signature of the cluster in the place of a witness's.
fn cosigned(world: &World) -> KeepCosignatures {
    let view = world.view();
    let key = keyring::control_log_key(&view, &World::cluster_keys(), 1).expect("a key");
    let nodes = control_tree::Subtrees::new(&view, 1);
    let root = tree::root_at(&nodes, 1).expect("memory");
    let first = Checkpoint { origin: key.verifying_key().name().clone(), size: 1, root };
    KeepCosignatures { history: 1, note: first.sign(&key).sign(&key).to_bytes() }
}

fn budget_key() -> LimitKey {
    World::budget_key("acme", "crawler", "usd")
}

fn samples(world: &World) -> Vec<Sample> {
    use Role::{Admin, Approver, Auditor, Author, Operator};
    let sample = |command: Request, roles, of_tenant, node| Sample { command, roles, of_tenant, node };
    let acme = || "acme".to_owned();
    let acme_id = "acme".parse().expect("a name");
    let manifest_key = World::signing_key("manifest").id().to_string();
    let wrapped =
        keys::key(&world.view(), &manifest_key).expect("memory").expect("a key").wrapped_private_key;
    vec![
        sample(AdvanceHistory { from: 1, to: 0 }.into(), &[], false, true),
        sample(
            SetMember { id: 10, name: "control-10".into(), level: 1, ..Default::default() }.into(),
            &[Admin],
            false,
            true,
        ),
        sample(RetireMember { id: 9 }.into(), &[Admin], false, true),
        sample(
            NoteMembership { change: "remove".into(), id: 9, ..Default::default() }.into(),
            &[Admin],
            false,
            false,
        ),
        sample(
            IssueAgentToken {
                tenant: acme(),
                agent: "crawler".into(),
                token_id: "t-1".into(),
                scope: "web:get".into(),
                life_seconds: 60,
            }
            .into(),
            &[Operator, Admin],
            true,
            false,
        ),
        sample(
            GrantAgentToken {
                tenant: acme(),
                agent: "crawler".into(),
                token_id: "t-2".into(),
                proof: Some(Proof::Assertion(AssertionProof {
                    key_id: World::signing_key("crawler").id().to_string(),
                    once: vec![1; 32],
                    ends_ms: world.now_ms() + 60_000,
                })),
                ..Default::default()
            }
            .into(),
            &[],
            true,
            true,
        ),
        sample(
            SetAgent { tenant: acme(), name: "crawler".into(), disabled: Some(true), ..Default::default() }
                .into(),
            &[Operator, Admin],
            true,
            false,
        ),
        sample(set_issuer::tests::ci("new").into(), &[Operator, Admin], true, false),
        sample(RemoveIssuer { tenant: acme(), name: "other".into() }.into(), &[Operator, Admin], true, false),
        sample(
            AddAgentKey {
                tenant: acme(),
                name: "crawler".into(),
                public_key: World::signing_key("one more").verifying_key().as_bytes().to_vec(),
                ..Default::default()
            }
            .into(),
            &[Operator, Admin],
            true,
            false,
        ),
        sample(
            RetireAgentKey {
                tenant: acme(),
                name: "crawler".into(),
                id: World::signing_key("crawler").id().to_string(),
                overlap_seconds: 60,
            }
            .into(),
            &[Operator, Admin],
            true,
            false,
        ),
        sample(SettleKeys::default().into(), &[Admin], false, true),
        sample(CreateTenant { name: "initech".into(), ..Default::default() }.into(), &[Admin], false, false),
        sample(
            SetTenant { tenant: acme(), four_eyes: Some(true), ..Default::default() }.into(),
            &[Admin],
            true,
            false,
        ),
        sample(RetireTenant { tenant: acme() }.into(), &[Admin], true, false),
        sample(
            RotateTenantKey {
                tenant: acme(),
                version: 2,
                key: Some(WrappedKey { wrapped: b"KEEP-OUT".to_vec() }),
            }
            .into(),
            &[Admin],
            true,
            true,
        ),
        sample(
            PlaceHold { tenant: acme(), name: "case-8".into(), reason: "a dispute".into() }.into(),
            &[Admin],
            true,
            false,
        ),
        sample(
            LiftHold { tenant: acme(), name: "case-7".into(), reason: "settled".into() }.into(),
            &[Admin],
            true,
            false,
        ),
        sample(
            NoteReveal { tenant: acme(), token: "<us_ssn:v1:00>".into(), reason: "ticket 7".into() }.into(),
            &[Admin],
            true,
            false,
        ),
        sample(
            NoteSearch { tenant: acme(), question: "00112233445566ff".into(), ..Default::default() }.into(),
            &[Auditor, Admin],
            true,
            false,
        ),
        sample(
            RewrapTenantKeys {
                tenant: acme(),
                replaces: rewrap_tenant_keys::digest(
                    &tenant_keys::tenant_keys(&world.view(), &acme_id).expect("memory"),
                )
                .to_vec(),
                keys: vec![WrappedKey { wrapped: vec![1] }],
            }
            .into(),
            &[Admin],
            false,
            true,
        ),
        sample(
            RegisterAgent { tenant: acme(), name: "new".into(), ..Default::default() }.into(),
            &[Operator, Admin],
            true,
            false,
        ),
        sample(
            SetAgentKeys { tenant: acme(), name: "crawler".into(), ..Default::default() }.into(),
            &[Operator, Admin],
            true,
            false,
        ),
        sample(
            DisableAgent { tenant: acme(), name: "crawler".into(), disabled: true }.into(),
            &[Operator, Admin],
            true,
            false,
        ),
        sample(PutChunk { tenant: acme(), data: b"a piece".to_vec() }.into(), &[Author, Admin], true, false),
        sample(world.publication(&acme_id, &World::root(), b"four").into(), &[Author, Admin], true, false),
        sample(
            LabelVersion { tenant: acme(), label: "good".into(), version: 1, ..Default::default() }.into(),
            &[Author, Operator, Admin],
            true,
            false,
        ),
        sample(RetireVersion { tenant: acme(), version: 3 }.into(), &[Admin], true, false),
        sample(
            Activate { tenant: acme(), enforced: 3, ..Default::default() }.into(),
            &[Operator, Admin],
            true,
            false,
        ),
        sample(Rollback { tenant: acme(), ..Default::default() }.into(), &[Operator, Admin], true, false),
        sample(
            RegisterDataNode { id: 8, name: "data-8".into(), ..Default::default() }.into(),
            &[],
            false,
            true,
        ),
        sample(RetireDataNode { id: 7 }.into(), &[Admin], false, false),
        sample(World::add_key(KeyKind::AgentToken, "another").into(), &[Admin], false, true),
        sample(
            RotateKey { key: Some(World::add_key(KeyKind::PersonToken, "the next")) }.into(),
            &[Admin],
            false,
            true,
        ),
        sample(RetireKey { id: manifest_key.clone(), revoke: true }.into(), &[Admin], false, true),
        sample(
            RewrapKeys {
                keys: vec![RewrapKey {
                    id: manifest_key,
                    wrapped_private_key: vec![1],
                    replaces: Sha256::digest(&wrapped).to_vec(),
                }],
            }
            .into(),
            &[Admin],
            false,
            true,
        ),
        sample(PutPerson { name: "eve".into(), ..Default::default() }.into(), &[Admin], false, false),
        sample(
            GrantRole { person: "bob".into(), scope: acme(), role: Author.into(), own: String::new() }.into(),
            &[Admin],
            true,
            false,
        ),
        sample(
            GrantRole { person: "bob".into(), scope: "*".into(), role: Author.into(), own: String::new() }
                .into(),
            &[Admin],
            false,
            false,
        ),
        sample(
            RevokeRole { person: "bob".into(), scope: acme(), role: Role::Viewer.into(), own: String::new() }
                .into(),
            &[Admin],
            true,
            false,
        ),
        sample(
            RevokeRole {
                person: "bob".into(),
                scope: "*".into(),
                role: Role::Viewer.into(),
                own: String::new(),
            }
            .into(),
            &[Admin],
            false,
            false,
        ),
        sample(
            IssuePersonToken {
                person: "bob".into(),
                token_id: "t-2".into(),
                expires_ms: world.now_ms() + 1_000,
            }
            .into(),
            &[Admin],
            false,
            true,
        ),
        sample(
            RevokePersonToken { person: "bob".into(), token_id: "t-1".into() }.into(),
            &[Admin],
            false,
            false,
        ),
        sample(
            Revoke {
                tenant: acme(),
                kind: RevocationKind::Agent.into(),
                subject: "crawler".into(),
                ..Default::default()
            }
            .into(),
            &[Operator, Admin],
            true,
            false,
        ),
        sample(
            SetOrganizationLimits { organization: "initech".into(), ..Default::default() }.into(),
            &[Admin],
            false,
            false,
        ),
        sample(SetShardMap { nodes: vec![7], replaces: 0 }.into(), &[], false, true),
        sample(open_journal(world).into(), &[], false, true),
        sample(NoteCheckpoints::default().into(), &[], false, true),
        sample(cosigned(world).into(), &[], false, true),
        sample(SweepChunks { tenant: acme() }.into(), &[], true, true),
        sample(SweepExpired { tenant: acme() }.into(), &[], true, true),
        sample(SweepExpired::default().into(), &[], false, true),
        sample(lend(world, 2).into(), &[], false, true),
        sample(TakeLending {}.into(), &[], false, true),
        sample(SweepLimits {}.into(), &[], false, true),
        sample(
            AdjustBudget { key: Some(budget_key()), limit: Some(5), ..Default::default() }.into(),
            &[Operator, Admin],
            true,
            false,
        ),
        sample(world.opening("acme", "a-3", 3, &[], 1).into(), &[], true, true),
        sample(World::vote("acme", "a-1", true).into(), &[Approver, Admin], true, false),
        sample(
            CancelApproval { tenant: acme(), id: "a-2".into(), ..Default::default() }.into(),
            &[Approver, Operator, Admin],
            true,
            false,
        ),
        sample(world.redemption("acme", "a-1", 1, 1).into(), &[], true, true),
        sample(
            GiveBackApproval { tenant: acme(), id: "a-1".into(), redemption: vec![1; 16], node: 7 }.into(),
            &[],
            true,
            true,
        ),
        sample(SweepApprovals {}.into(), &[], false, true),
        sample(World::channel("acme", "new", ChannelKind::Slack).into(), &[Admin], true, false),
        sample(RemoveChannel { tenant: acme(), name: "unused".into() }.into(), &[Admin], true, false),
        sample(
            NoteDelivery { tenant: acme(), number: 1, channel: "#payments".into(), ..Default::default() }
                .into(),
            &[],
            true,
            true,
        ),
    ]
}

#[test]
fn exactly_those_with_a_role_may() {
    for number in 0..samples(&furnished()).len() {
        let world = furnished();
        let Sample { command, roles, of_tenant, node } = samples(&world).swap_remove(number);
        let mut who = vec![(World::node(), node), (World::person("nobody"), false)];
        for role in ROLES {
            let name = super::who::name(role);
            let may = roles.contains(&role);
            who.push((world.with_role(&format!("{name}-acme"), "acme", role), of_tenant && may));
            who.push((world.with_role(&format!("{name}-globex"), "globex", role), false));
            who.push((world.with_role(&format!("{name}-all"), "*", role), may));
        }
        // Those who may not come first: they must not have changed anything for those who may.
        who.sort_by_key(|(_, may)| *may);
        for (actor, may) in &who {
            if *may {
                let alone = furnished();
                copy_roles(&alone);
                let again = samples(&alone).swap_remove(number).command;
                alone.done(again, actor);
            } else {
                let code = world.refused(command.clone(), actor).code;
                let expected =
                    if actor == &World::person("nobody") { Code::Unauthenticated } else { Code::Forbidden };
                assert_eq!(code, expected, "{actor} {command:?}");
            }
        }
    }
}

/// The people of the test above, in a world where the command was not done yet.
fn copy_roles(world: &World) {
    for role in ROLES {
        let name = super::who::name(role);
        world.with_role(&format!("{name}-acme"), "acme", role);
        world.with_role(&format!("{name}-all"), "*", role);
    }
}

#[test]
fn a_repetition_gets_the_first_answer_and_changes_nothing() {
    let once = |key: &str| Once { key: key.to_owned(), request_digest: None };
    for number in 0..samples(&furnished()).len() {
        let world = furnished();
        let sample = samples(&world).swap_remove(number);
        let actor = if sample.node { World::node() } else { World::root() };
        let request = sample.command.once(once("k"));
        let first = world.done(request.clone(), &actor);
        assert!(!first.replayed);
        let before = world.direct.digest();
        world.pass_seconds(60);
        let again = world.done(request.clone(), &actor);
        assert!(again.replayed, "{request:?}");
        assert_eq!(again.done, first.done);
        assert_eq!(world.direct.digest(), before, "not even a record: {request:?}");
        let other = Request::from(SetTenant { tenant: "globex".to_owned(), ..Default::default() });
        let other = world.apply(other.once(once("k")), &actor).expect_err("the key was used");
        assert_eq!(other.code, Code::IdempotencyConflict);
        assert_eq!(world.direct.digest(), before);
    }
}

#[test]
fn a_refusal_is_remembered_too() {
    let world = furnished();
    let once = Once { key: "k".to_owned(), request_digest: Some([7; 32]) };
    let request = |enforced| {
        let command = Activate { tenant: "acme".to_owned(), enforced, ..Default::default() };
        Request::from(command).once(once.clone())
    };
    let first = world.refused(request(9), &World::root());
    world.publish(&"acme".parse().expect("a name"), &World::root(), b"four");
    let before = world.direct.digest();
    assert_eq!(world.apply(request(9), &World::root()), Err(first.clone()), "not done late");
    // The digest of the request counts, not the command that was made of it.
    assert_eq!(world.apply(request(3), &World::root()), Err(first));
    assert_eq!(world.direct.digest(), before);
}

#[test]
fn a_key_is_somebodys_own_and_lasts_a_day() {
    let world = furnished();
    let once = Once { key: "k".to_owned(), request_digest: None };
    let request =
        || Request::from(SetTenant { tenant: "acme".into(), ..Default::default() }).once(once.clone());
    let admin = world.with_role("ann", "acme", Role::Admin);
    assert!(!world.done(request(), &World::root()).replayed);
    assert!(!world.done(request(), &admin).replayed, "another person, another key");
    world.pass_seconds(caps::IDEMPOTENCY_SECONDS - 1);
    assert!(world.done(request(), &admin).replayed);
    world.pass_seconds(1);
    assert!(!world.done(request(), &admin).replayed, "a day has passed");
    let view = world.view();
    assert_eq!(meta::counters(&view).expect("memory").remembered, 1, "what ended was forgotten");
    assert_eq!(idempotency::count(&view, "root").expect("memory"), 0);
    assert_eq!(idempotency::count(&view, "ann").expect("memory"), 1);
}

#[test]
fn forms_of_the_envelope_are_checked() {
    let world = furnished();
    let request = || Request::from(SetTenant { tenant: "acme".into(), ..Default::default() });
    let long = "k".repeat(caps::IDEMPOTENCY_KEY_BYTES_MAX + 1);
    for key in ["with space", long.as_str()] {
        let once = Once { key: key.to_owned(), request_digest: None };
        let refused = world.refused(request().once(once), &World::root());
        assert_eq!((refused.code, refused.detail("field")), (Code::Invalid, Some("idempotency_key")));
    }
    let before = world.direct.digest();
    for bytes in [vec![0xff; 9], Vec::new(), vec![0; caps::COMMAND_BYTES_MAX + 1]] {
        let answers = world.direct.apply_entry(&[bytes]).expect("never an error");
        response::read(&answers[0]).expect("a known form").expect_err("refused");
    }
    assert_eq!(world.direct.digest(), before, "no trace of what is no command");
}

#[test]
fn a_command_of_newer_software_is_refused_without_a_trace() {
    let world = furnished();
    let before = world.direct.digest();
    let known =
        Request::from(SetTenant { tenant: "acme".into(), ..Default::default() }).encode(&World::root());
    // A kind of command with the field number 900, and a new field of the envelope beside a known command.
    let new_kind = {
        let actor =
            aegis_proto::control::Envelope { actor: Some((&World::root()).into()), ..Default::default() };
        [actor.encode_to_vec(), vec![0xa2, 0x38, 0x00]].concat()
    };
    let new_field = [known.clone(), vec![0xa0, 0x38, 0x01]].concat();
    for bytes in [new_kind, new_field] {
        let answers = world.direct.apply_entry(&[bytes]).expect("never an error");
        let refused = response::read(&answers[0]).expect("a known form").expect_err("refused");
        assert_eq!(refused.code, Code::UnknownCommand);
    }
    assert_eq!(world.direct.digest(), before);
    let answers = world.direct.apply_entry(&[known]).expect("never an error");
    response::read(&answers[0]).expect("a known form").expect("the same without the new field");
}

#[test]
fn a_level_is_raised_when_every_member_understands_it_and_an_old_node_stops() {
    let world = furnished();
    let raise = |to| RaiseLevel { to };
    let refused = world.refused(raise(LEVEL + 1), &World::root());
    assert_eq!((refused.code, refused.detail("members")), (Code::MembersBehind, Some("control-9")));
    assert_eq!(world.refused(raise(LEVEL), &World::root()).code, Code::PreconditionFailed);
    assert_eq!(world.refused(raise(LEVEL + 2), &World::root()).code, Code::PreconditionFailed);
    assert_eq!(
        world.refused(raise(LEVEL + 1), &world.with_role("ann", "acme", Role::Admin)).code,
        Code::Forbidden
    );
    world.done(RetireMember { id: 9 }, &World::root());
    world.done(raise(LEVEL + 1), &World::root());
    let command = Request::from(raise(LEVEL + 2)).encode(&World::root());
    let error = world.direct.apply_entry(&[command]).expect_err("this software does not understand it");
    assert!(matches!(error, StoreError::Newer { level, own } if level == LEVEL + 1 && own == LEVEL));
    assert!(matches!(crate::machine::supported(&world.view()), Err(StoreError::Newer { .. })));
}

#[test]
fn a_person_or_token_that_no_longer_counts_may_nothing() {
    let world = furnished();
    let admin = "ann".parse::<aegis_model::ids::PersonId>().expect("a name");
    world.with_role("ann", "*", Role::Admin);
    let issue = |id: &str| {
        let expires_ms = world.now_ms() + 60_000;
        world
            .done(IssuePersonToken { person: "ann".into(), token_id: id.into(), expires_ms }, &World::root());
        Actor::by_token(admin.clone(), id)
    };
    let command = || SetTenant { tenant: "acme".into(), four_eyes: Some(true), ..Default::default() };
    let (revoked, ended, voided) = (issue("revoked"), issue("ended"), issue("voided"));
    world.done(command(), &revoked);
    world.done(RevokePersonToken { person: "ann".into(), token_id: "revoked".into() }, &revoked);
    assert_eq!(world.refused(command(), &revoked).code, Code::Unauthenticated);
    assert_eq!(
        world.refused(command(), &Actor::by_token(admin.clone(), "unknown")).code,
        Code::Unauthenticated
    );
    let of_root = Actor::by_token(admin.clone(), "first");
    assert_eq!(world.refused(command(), &of_root).code, Code::Unauthenticated, "a token of somebody else");
    world.done(AdvanceHistory { from: 1, to: 0 }, &World::node());
    assert_eq!(world.refused(command(), &voided).code, Code::Unauthenticated, "of an older history");
    let fresh = issue("fresh");
    world.done(command(), &fresh);
    world.pass_seconds(60);
    assert_eq!(world.refused(command(), &fresh).code, Code::Unauthenticated, "it ended");
    assert_eq!(world.refused(command(), &ended).code, Code::Unauthenticated);
    let anyhow = Actor::person(admin);
    world.done(command(), &anyhow);
    world.done(PutPerson { name: "ann".into(), disabled: true, ..Default::default() }, &World::root());
    assert_eq!(world.refused(command(), &anyhow).code, Code::Unauthenticated, "disabled");
}

#[test]
fn every_act_is_recorded_refusals_included() {
    for number in 0..samples(&furnished()).len() {
        let world = furnished();
        let Sample { command, node, of_tenant, .. } = samples(&world).swap_remove(number);
        let actor = if node { World::node() } else { World::root() };
        let before = records(&world);
        let refused = world.refused(command.clone(), &World::person("nobody"));
        world.done(command.clone(), &actor);
        let new = records(&world).len() - before.len();
        if !is_logged(&command.command) {
            assert_eq!(new, 0, "{command:?}");
            continue;
        }
        assert_eq!(new, 2, "{command:?}");
        let [done, denied] = &records(&world)[..2] else { unreachable!("two records") };
        assert_eq!((done.refused.as_str(), denied.refused.as_str()), ("", refused.code.as_str()));
        assert_eq!((done.actor.clone(), denied.actor.as_str()), (actor.to_string(), "nobody"));
        assert_eq!(done.scope, if of_tenant { "acme" } else { "*" }, "{command:?}");
        // What came of it follows, where the summary does not say all.
        assert!(done.summary.starts_with(&denied.summary), "{done:?}");
        assert!(!denied.summary.is_empty() && done.sequence == denied.sequence + 1);
    }
}

fn is_logged(command: &Command) -> bool {
    match command {
        Command::PutChunk(_) => PutChunk::LOGGED,
        Command::GrantAgentToken(_) => GrantAgentToken::LOGGED,
        Command::SweepChunks(_) => SweepChunks::LOGGED,
        Command::SweepExpired(_) => SweepExpired::LOGGED,
        Command::Lend(_) => Lend::LOGGED,
        Command::TakeLending(_) => TakeLending::LOGGED,
        Command::SweepLimits(_) => SweepLimits::LOGGED,
        Command::SetShardMap(_) => SetShardMap::LOGGED,
        Command::OpenApproval(_) => OpenApproval::LOGGED,
        Command::RedeemApproval(_) => RedeemApproval::LOGGED,
        Command::GiveBackApproval(_) => GiveBackApproval::LOGGED,
        Command::SweepApprovals(_) => SweepApprovals::LOGGED,
        Command::OpenJournal(_) => OpenJournal::LOGGED,
        Command::NoteCheckpoints(_) => NoteCheckpoints::LOGGED,
        Command::KeepCosignatures(_) => KeepCosignatures::LOGGED,
        Command::NoteDelivery(_) => NoteDelivery::LOGGED,
        _ => true,
    }
}

fn records(world: &World) -> Vec<aegis_proto::control::ControlRecord> {
    control_log::everything(&world.view(), &PageQuery::first()).expect("memory").rows
}

#[test]
fn names_that_nobody_has_do_not_make_logs_of_their_own() {
    let world = furnished();
    let invented = |name: &str| Activate { tenant: name.to_owned(), enforced: 1, ..Default::default() };
    for (name, code) in [("unheard-of", Code::UnknownTenant), ("a\0b", Code::Invalid), ("", Code::Invalid)] {
        assert_eq!(world.refused(invented(name), &World::root()).code, code);
        assert_eq!(records(&world)[0].scope, "*");
    }
    // Without a role, it cannot be told which tenants there are.
    let bob = World::person("bob");
    let one = world.refused(invented("globex"), &bob);
    let none = world.refused(invented("unheard-of"), &bob);
    assert_eq!((one.code, one.details), (none.code, none.details));
    assert_eq!(one.message.replace("globex", "unheard-of"), none.message);
}

#[test]
fn commands_of_one_entry_see_each_other() {
    let world = furnished();
    let commands: Vec<Vec<u8>> = [
        Request::from(CreateTenant { name: "initech".into(), ..Default::default() }),
        Request::from(RegisterAgent { tenant: "initech".into(), name: "a".into(), ..Default::default() }),
        Request::from(RegisterAgent { tenant: "initech".into(), name: "a".into(), ..Default::default() }),
    ]
    .iter()
    .map(|request| request.encode(&World::root()))
    .collect();
    let answers = world.direct.apply_entry(&commands).expect("memory");
    let codes: Vec<Option<Code>> =
        answers.iter().map(|it| response::read(it).expect("a form").err().map(|it| it.code)).collect();
    assert_eq!(codes, [None, None, Some(Code::AlreadyExists)]);
}

#[test]
fn no_answer_and_no_record_shows_a_private_key() {
    let world = furnished();
    let command =
        AddKey { wrapped_private_key: b"KEEP-OUT".to_vec(), ..World::add_key(KeyKind::Manifest, "third") };
    let answer = world.done(command, &World::root());
    let Some(done::Result::Key(key)) = answer.result() else { unreachable!("a key: {answer:?}") };
    assert!(key.wrapped_private_key.is_empty());
    let records = format!("{:?}", records(&world));
    assert!(!records.contains("KEEP-OUT"));
    assert!(!format!("{:?}", Dump::of(&world.view())).is_empty());
}
