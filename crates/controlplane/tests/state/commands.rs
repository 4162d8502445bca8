//! Random commands over a small world, so that they meet each other often: many are done, many are refused.

use aegis_controlplane::command::actor::Actor;
use aegis_controlplane::command::envelope::Once;
use aegis_controlplane::command::{Command, Request};
use aegis_controlplane::state::{borrowers, data_nodes, versions};
use aegis_controlplane::testing::World;
use aegis_proto::control::grant_agent_token::Proof;
use aegis_proto::control::{
    Activate, AddAgentKey, AdjustBudget, AdvanceHistory, AgentBounds, AssertionProof, Canary, CreateTenant,
    DisableAgent, GrantAgentToken, GrantRole, IssuePersonToken, KeyKind, LabelVersion, Lend, LiftHold,
    NodeAsk, PlaceHold, PublishVersion, PutChunk, PutPerson, Rate, RegisterAgent, RegisterDataNode,
    RemoveIssuer, RetireAgentKey, RetireDataNode, RetireKey, RetireTenant, RetireVersion, Revoke,
    RevokePersonToken, RevokeRole, Role, Rollback, RotateKey, RotateTenantKey, SetAgent, SetIssuer,
    SetTenant, SettleKeys, SweepChunks, SweepExpired, SweepLimits, TakeLending, WrappedKey,
};
use aegis_proto::v1::{CostBelow, CostBeyond, LeaseReturn, LendAsk, LimitKey, LimitLevel};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

/// Tenants that commands speak of. The third is not made by [`world`], and the names share beginnings.
pub(crate) const TENANTS: [&str; 3] = ["acme", "acme.eu", "acm"];

/// A command, who wants it, and how much time passes before it.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Holds what its author fills in from the state: see [`Step::request`].
    request: Request,
    pub(crate) actor: Actor,
    pub(crate) pause_seconds: u64,
}

impl Step {
    /// The command, as its author would send it who looked at `world` before.
    pub(crate) fn request(&self, world: &World) -> Request {
        let mut request = self.request.clone();
        if let Command::PublishVersion(publish) = &mut request.command
            && publish.number == 0
        {
            let tenant = publish.tenant.parse().expect("a name");
            publish.number = versions::newest(&world.view(), &tenant).expect("memory") + 1;
        }
        // Likewise the leader: who asks, for the how manieth time, and when epochs begin.
        if let Command::Lend(lend) = &mut request.command
            && lend.history == 0
        {
            let asks = lend.asks.drain(..).map(|asked| as_it_is(world, asked)).collect();
            let (rates, term) = (std::mem::take(&mut lend.rates), lend.lender_term);
            *lend = Lend { rates, ..world.lend(asks) };
            lend.lender_term = lend.lender_term.saturating_sub(term);
        }
        request
    }
}

/// An ask of the newest incarnation, with the next number, unless it is to be an older one of the two.
fn as_it_is(world: &World, asked: NodeAsk) -> NodeAsk {
    let view = world.view();
    let node = data_nodes::data_node(&view, asked.node).expect("memory").unwrap_or_default();
    let known = borrowers::borrower(&view, asked.node).expect("memory").unwrap_or_default();
    let incarnation = node.incarnation - asked.incarnation.min(node.incarnation);
    let last = if known.incarnation == incarnation { known.number } else { 0 };
    let number = last + asked.ask.as_ref().map_or(0, |ask| ask.number);
    NodeAsk { incarnation, ask: asked.ask.map(|ask| LendAsk { number, ..ask }), ..asked }
}

/// A cluster with two tenants, some people, and pieces of bundles.
pub(crate) fn world() -> World {
    let world = World::new();
    for tenant in &TENANTS[..2] {
        world.tenant(tenant);
        for piece in 0..3 {
            world.done(put_chunk(tenant, piece), &World::root());
        }
    }
    world.data_node(1);
    world.done(TakeLending {}, &World::node());
    world.with_role("ann", "acme", Role::Admin);
    world.with_role("bob", "acme.eu", Role::Author);
    world.with_role("bob", "acme.eu", Role::Operator);
    world
}

fn put_chunk(tenant: &str, piece: u8) -> PutChunk {
    PutChunk { tenant: tenant.to_owned(), data: piece_of(tenant, piece) }
}

/// A piece that only this tenant has.
pub(crate) fn piece_of(tenant: &str, piece: u8) -> Vec<u8> {
    format!("{tenant} owns piece {piece}").into_bytes()
}

pub(crate) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..=most)
}

fn step() -> impl Strategy<Value = Step> {
    let actor = prop_oneof![
        12 => Just(World::root()),
        3 => Just(World::node()),
        2 => Just(World::person("ann")),
        2 => Just(World::person("bob")),
        1 => Just(World::person("nobody")),
        1 => Just(Actor::by_token("root".parse().expect("a name"), "first")),
    ];
    let pause = prop_oneof![20 => Just(0), 8 => 0..5_u64, 1 => Just(3_600), 1 => Just(90_000)];
    let once = prop_oneof![3 => Just(None), 1 => (0..6_u8).prop_map(Some)];
    (command(), actor, pause, once).prop_map(|(request, actor, pause_seconds, once)| {
        // Nobody but a control node lends: most of it would be refused for that alone.
        let by_itself =
            matches!(request.command, Command::Lend(_) | Command::TakeLending(_) | Command::SweepLimits(_));
        let actor = if by_itself && actor == World::root() { World::node() } else { actor };
        let once = once.map(|key| Once { key: format!("key-{key}"), request_digest: None });
        let request = once.into_iter().fold(request, Request::once);
        Step { request, actor, pause_seconds }
    })
}

fn tenant() -> impl Strategy<Value = String> {
    prop_oneof![5 => Just(TENANTS[0]), 5 => Just(TENANTS[1]), 1 => Just(TENANTS[2])].prop_map(str::to_owned)
}

fn person() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["root", "ann", "bob", "eve"]).prop_map(str::to_owned)
}

fn role() -> impl Strategy<Value = i32> {
    prop::sample::select(vec![Role::Viewer, Role::Author, Role::Operator, Role::Admin]).prop_map(i32::from)
}

fn scope() -> impl Strategy<Value = String> {
    prop_oneof![tenant(), Just("*".to_owned())]
}

fn command() -> impl Strategy<Value = Request> {
    prop_oneof![
        4 => policies(),
        2 => tenants_and_agents(),
        1 => cluster(),
        2 => people(),
        2 => limits(),
    ]
}

/// Keys of budgets whose owners share beginnings.
fn budget() -> impl Strategy<Value = LimitKey> {
    let level = prop::sample::select(vec![LimitLevel::Organization, LimitLevel::Tenant, LimitLevel::Agent]);
    (level, tenant(), 0..2_u8).prop_map(|(level, owner, number)| {
        let agent = if level == LimitLevel::Agent { format!("agent-{number}") } else { String::new() };
        LimitKey { level: level.into(), ..World::budget_key(&owner, &agent, "usd") }
    })
}

fn limits() -> impl Strategy<Value = Request> {
    let need =
        (budget(), 0..3_u64, 0..40_u64).prop_map(|(key, limit, cost)| World::need(&key, limit * 50, cost));
    let back = (1..6_u64, 1..4_u64, 0..30_u64, any::<bool>())
        .prop_map(|(ledger, lease, unspent, recovered)| LeaseReturn { ledger, lease, unspent, recovered });
    let debt = (1..6_u64, 0..20_u64).prop_map(|(ledger, amount)| CostBeyond { ledger, amount });
    let saving = (1..6_u64, 1..4_u64, 0..20_u64).prop_map(|(ledger, lease, amount)| CostBelow {
        ledger,
        lease,
        amount,
    });
    let some = |most| 0..most;
    let ask = (
        prop::collection::vec(need, some(4)),
        prop::collection::vec(back, some(3)),
        prop::collection::vec(debt, some(2)),
        prop::collection::vec(saving, some(2)),
        prop::bool::weighted(0.2),
        prop_oneof![6 => Just(1_u64), 1 => 0..3_u64],
    );
    let ask = ask.prop_map(|(budgets, returns, debts, savings, recovered, number)| LendAsk {
        number,
        budgets,
        returns,
        debts,
        savings,
        recovered,
        complete: recovered && number % 2 == 0,
    });
    let older = || prop_oneof![8 => Just(0_u64), 1 => Just(1_u64)];
    let asked = (1..3_u64, older(), ask).prop_map(|(node, incarnation, ask)| NodeAsk {
        node,
        incarnation,
        ask: Some(ask),
        epochs: Vec::new(),
    });
    let rate = (budget(), 0..50_u64).prop_map(|(key, last_number)| Rate {
        key: Some(LimitKey { unit: String::new(), ..key }),
        last_number,
        ..Rate::default()
    });
    let lend = (prop::collection::vec(asked, some(3)), prop::collection::vec(rate, some(2)), older());
    let lend = lend
        .prop_map(|(asks, rates, lender_term)| Lend { asks, rates, lender_term, ..Lend::default() }.into());
    let adjust = (budget(), prop::option::of(0..100_u64), any::<bool>());
    let adjust = adjust.prop_map(|(key, limit, reset_spent)| {
        let clear_limit = limit.is_none() && !reset_spent;
        AdjustBudget { key: Some(key), limit, clear_limit, reset_spent, ..Default::default() }.into()
    });
    let take = Just(TakeLending {}.into());
    let sweep = Just(SweepLimits {}.into());
    prop_oneof![12 => lend, 3 => adjust, 1 => take, 2 => sweep]
}

fn policies() -> impl Strategy<Value = Request> {
    let version = || prop_oneof![1 => Just(0), 6 => 1..3_u64, 2 => 3..5_u64];
    let number = prop_oneof![6 => Just(0), 1 => 1..5_u64];
    let publish = (tenant(), number, 0..3_u8).prop_map(|(tenant, number, piece)| {
        let data = piece_of(&tenant, piece);
        let command = PublishVersion {
            number,
            bundle_digest: Sha256::digest(&data).to_vec(),
            bundle_bytes: data.len() as u64,
            chunks: vec![Sha256::digest(&data).to_vec()],
            manifest: vec![1],
            signature: vec![1; 64],
            key_id: World::signing_key("manifest").id().to_string(),
            message: String::new(),
            notify: Vec::new(),
            tenant,
        };
        Request::from(command)
    });
    let activate = (
        tenant(),
        version(),
        prop::option::weighted(0.3, (version(), 0..101_u32)),
        prop::option::weighted(0.1, 0..4_u64),
    );
    let activate = activate.prop_map(|(tenant, enforced, canary, only_if_activation)| {
        let canary = canary.map(|(version, percent)| Canary { version, percent });
        Request::from(Activate { tenant, enforced, canary, only_if_activation, ..Default::default() })
    });
    let chunk = (tenant(), 0..3_u8).prop_map(|(tenant, piece)| put_chunk(&tenant, piece).into());
    let rollback =
        (tenant(), version()).prop_map(|(tenant, to)| Rollback { tenant, to, ..Default::default() }.into());
    let label = (tenant(), version(), 0..2_u8).prop_map(|(tenant, version, name)| {
        LabelVersion { tenant, label: format!("label-{name}"), version, only_if_version: None }.into()
    });
    let retire = (tenant(), version()).prop_map(|(tenant, version)| RetireVersion { tenant, version }.into());
    prop_oneof![3 => chunk, 8 => publish, 6 => activate, 2 => rollback, 1 => label, 4 => retire]
}

fn tenants_and_agents() -> impl Strategy<Value = Request> {
    let agent = || (0..2_u8).prop_map(|number| format!("agent-{number}"));
    let create = tenant().prop_map(|name| CreateTenant { name, ..Default::default() }.into());
    let set = (tenant(), any::<bool>()).prop_map(|(tenant, four_eyes)| {
        SetTenant { tenant, four_eyes: Some(four_eyes), ..Default::default() }.into()
    });
    let keep = (tenant(), 0..400_u32).prop_map(|(tenant, days)| {
        SetTenant { tenant, retention_days: Some(days), ..Default::default() }.into()
    });
    let hold = (tenant(), agent())
        .prop_map(|(tenant, name)| PlaceHold { tenant, name, reason: "a".to_owned() }.into());
    let lift = (tenant(), agent())
        .prop_map(|(tenant, name)| LiftHold { tenant, name, reason: "b".to_owned() }.into());
    let retire = tenant().prop_map(|tenant| RetireTenant { tenant }.into());
    let register = (tenant(), agent())
        .prop_map(|(tenant, name)| RegisterAgent { tenant, name, ..Default::default() }.into());
    let disable = (tenant(), agent(), any::<bool>())
        .prop_map(|(tenant, name, disabled)| DisableAgent { tenant, name, disabled }.into());
    let revoke = (tenant(), 0..4_i32, agent())
        .prop_map(|(tenant, kind, subject)| Revoke { tenant, kind, subject, ..Default::default() }.into());
    let sweep = tenant().prop_map(|tenant| SweepChunks { tenant }.into());
    let rotate = (tenant(), 1..4_u32).prop_map(|(tenant, version)| {
        let key = Some(WrappedKey { wrapped: vec![version as u8] });
        RotateTenantKey { tenant, version, key }.into()
    });
    let expired = tenant().prop_map(|tenant| SweepExpired { tenant }.into());
    let bound = (tenant(), agent()).prop_map(|(tenant, name)| {
        let bounds = Some(AgentBounds { scope: "a:b".to_owned(), ..Default::default() });
        SetAgent { tenant, name, bounds, ..Default::default() }.into()
    });
    let add = (tenant(), agent()).prop_map(|(tenant, name)| {
        let public_key = World::signing_key("an agent's").verifying_key().as_bytes().to_vec();
        AddAgentKey { tenant, name, public_key, ..Default::default() }.into()
    });
    let end = (tenant(), agent(), 0..2_u32).prop_map(|(tenant, name, overlap_seconds)| {
        let id = World::signing_key("an agent's").id().to_string();
        RetireAgentKey { tenant, name, id, overlap_seconds }.into()
    });
    let grant = (tenant(), agent(), any::<u8>()).prop_map(|(tenant, agent, once)| {
        let key_id = World::signing_key("an agent's").id().to_string();
        let proof = AssertionProof { key_id, once: vec![once; 32], ends_ms: 1_800_000_060_000 };
        let (token_id, proof) = (format!("t-{once}"), Some(Proof::Assertion(proof)));
        GrantAgentToken { tenant, agent, token_id, proof, ..Default::default() }.into()
    });
    let pin = (tenant(), 0..3_u8).prop_map(|(tenant, number)| issuer(&tenant, number).into());
    let unpin = (tenant(), 0..3_u8).prop_map(|(tenant, number)| {
        let name = issuer(&tenant, number).name;
        RemoveIssuer { tenant, name }.into()
    });
    prop_oneof![
        2 => create, 3 => set, 1 => retire, 6 => register, 6 => disable, 4 => revoke, 4 => sweep, 3 => expired,
        3 => rotate, 4 => bound, 4 => add, 1 => end, 8 => grant, 2 => keep, 3 => hold, 3 => lift, 4 => pin, 2 => unpin
    ]
}

/// An issuer outside that a tenant pins.
pub(crate) fn issuer(tenant: &str, number: u8) -> SetIssuer {
    let key = World::signing_key("an issuer's").verifying_key().to_jwk();
    SetIssuer {
        tenant: tenant.to_owned(),
        name: format!("issuer-{number}"),
        issuer: "https://ci.example".to_owned(),
        audience: "aegis".to_owned(),
        algorithm: "EdDSA".to_owned(),
        key_set: serde_json::json!({ "keys": [key] }).to_string().into_bytes(),
        ..Default::default()
    }
}

fn cluster() -> impl Strategy<Value = Request> {
    let node = (1..4_u64)
        .prop_map(|id| RegisterDataNode { id, name: format!("data-{id}"), ..Default::default() }.into());
    let retire_node = (1..4_u64).prop_map(|id| RetireDataNode { id }.into());
    let seed = || prop::sample::select(vec!["manifest", "agent token", "second", "third"]);
    let add = seed().prop_map(|seed| World::add_key(KeyKind::Manifest, seed).into());
    let rotate =
        seed().prop_map(|seed| RotateKey { key: Some(World::add_key(KeyKind::Manifest, seed)) }.into());
    let retire_key = (seed(), any::<bool>()).prop_map(|(seed, revoke)| {
        RetireKey { id: World::signing_key(seed).id().to_string(), revoke }.into()
    });
    let rotate_tokens =
        seed().prop_map(|seed| RotateKey { key: Some(World::add_key(KeyKind::AgentToken, seed)) }.into());
    let settle =
        prop_oneof![Just(String::new()), seed().prop_map(|seed| World::signing_key(seed).id().to_string())]
            .prop_map(|known| SettleKeys { known }.into());
    let history = (1..3_u64).prop_map(|from| AdvanceHistory { from, to: 0 }.into());
    prop_oneof![4 => node, 1 => retire_node, 2 => add, 1 => rotate, 1 => retire_key, 1 => history,
        2 => rotate_tokens, 2 => settle]
}

fn people() -> impl Strategy<Value = Request> {
    let token = || (0..2_u8).prop_map(|number| format!("token-{number}"));
    let put = (person(), prop::bool::weighted(0.2))
        .prop_map(|(name, disabled)| PutPerson { name, disabled, ..Default::default() }.into());
    let grant = (person(), scope(), role())
        .prop_map(|(person, scope, role)| GrantRole { person, scope, role, own: String::new() }.into());
    let revoke = (person(), scope(), role())
        .prop_map(|(person, scope, role)| RevokeRole { person, scope, role, own: String::new() }.into());
    let issue = (person(), token()).prop_map(|(person, token_id)| {
        IssuePersonToken { person, token_id, expires_ms: 1_800_000_000_000 + 20_000_000 }.into()
    });
    let end =
        (person(), token()).prop_map(|(person, token_id)| RevokePersonToken { person, token_id }.into());
    prop_oneof![2 => put, 4 => grant, 4 => revoke, 3 => issue, 4 => end]
}
