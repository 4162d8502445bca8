//! The server's side by itself: what a follower is sent, of which tenant (TEN-1), and what it may not do.

use std::time::Duration;

use aegis_controlplane::keys::tenant_key_rotation;
use aegis_controlplane::testing::{Dump, World};
use aegis_identity::manifest::digest_of;
use aegis_proto::control::{KeyKind, RetireKey, SetOrganizationLimits, SetTenant};
use aegis_proto::v1;
use aegis_proto::v1::follow_request::Message as Up;
use aegis_proto::v1::follow_response::Message as Down;
use futures_util::StreamExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};
use tonic::Code;

use crate::support::{ControlNode, bundle, hello, soon, tenant};

fn tenants(messages: &[Down]) -> Vec<&str> {
    let states = messages.iter().filter_map(|message| match message {
        Down::Tenant(state) => Some(state.tenant.as_str()),
        _ => None,
    });
    states.collect()
}

fn trust(messages: &[Down]) -> Option<&v1::Trust> {
    messages.iter().find_map(|message| match message {
        Down::Trust(trust) => Some(trust),
        _ => None,
    })
}

#[tokio::test]
async fn a_new_follower_gets_everything_and_then_what_changes() {
    let world = World::new();
    let (acme, other) = (tenant(&world, "acme", 2), tenant(&world, "other", 1));
    world.activate(&acme, 1);
    let control = ControlNode::start(&world).await;
    let mut follower = control.follow(hello("data-1", 11)).await.unwrap();
    let welcome = follower.welcome().await;
    assert_eq!((welcome.cluster_id.as_str(), welcome.control_node.as_str()), ("test-cluster", "control-1"));
    let (full, messages) = follower.round().await;
    assert!(full);
    assert_eq!(tenants(&messages), ["acme", "other"]);
    let trusted = trust(&messages).unwrap();
    assert_eq!((trusted.token_keys.len(), trusted.manifest_keys.len()), (1, 1), "people's keys are not told");
    assert_eq!(trusted.token_keys[0].issuer, crate::support::ISSUER);
    let Down::Tenant(state) = &messages[1] else { panic!("{messages:?}") };
    assert_eq!((state.manifests.len(), state.activation.as_ref().unwrap().enforced), (1, 1));

    world.activate(&acme, 2);
    let (full, messages) = follower.round().await;
    assert_eq!((full, tenants(&messages)), (false, vec!["acme"]), "only what changed");
    let command = SetTenant {
        tenant: other.to_string(),
        staleness_seconds_max: Some(30),
        serve_stale: Some("we asked for it".into()),
        sync_write: Some("so did we".into()),
        ..Default::default()
    };
    world.done(command, &World::root());
    let (_, messages) = follower.round().await;
    let Down::Tenant(state) = &messages[0] else { panic!("{messages:?}") };
    assert_eq!((state.staleness_max_seconds, state.serve_stale, state.sync_write), (30, true, true));
    assert!(!state.signed_receipts, "that was not asked for");
    world.done(World::add_key(KeyKind::AgentToken, "next"), &World::root());
    let (_, messages) = follower.round().await;
    assert_eq!(trust(&messages).unwrap().token_keys.len(), 2);
    let first = World::signing_key("agent token").id().to_string();
    world.done(RetireKey { id: first, revoke: true }, &World::root());
    let (_, messages) = follower.round().await;
    assert_eq!(trust(&messages).unwrap().token_keys.len(), 1, "what a revoked key signed does not count");
}

/// The secret keys of a tenant reach its data nodes, and nobody sees them on the way: not in `Debug`, not in what is kept.
#[tokio::test]
async fn secret_keys_are_told_unwrapped_and_only_to_the_tenants_nodes() {
    let world = World::new();
    let (acme, _) = (tenant(&world, "acme", 1), tenant(&world, "other", 1));
    let control = ControlNode::start(&world).await;
    let mut follower =
        control.follow(v1::Hello { tenant: acme.to_string(), ..hello("data-1", 11) }).await.unwrap();
    follower.welcome().await;
    let (_, messages) = follower.round().await;
    assert_eq!(tenants(&messages), ["acme"]);
    let told = |messages: &[Down]| -> Vec<(u32, Vec<u8>)> {
        let states = messages.iter().filter_map(|message| match message {
            Down::Tenant(state) => Some(&state.secret_keys),
            _ => None,
        });
        states.flatten().map(|key| (key.version, key.key.clone())).collect()
    };
    let first = Sha256::digest("acme").to_vec();
    assert_eq!(told(&messages), [(1, first.clone())]);
    assert!(!format!("{messages:?}").contains(&format!("{first:?}")[1..20]), "no log shows it");
    let stored = Dump::of(&world.view());
    assert!(!format!("{stored:?}").contains(&format!("{first:?}")[1..20]), "the state holds it wrapped only");

    let (view, mut random) = (world.view(), StdRng::seed_from_u64(1));
    let rotate = tenant_key_rotation(&view, &World::cluster_keys(), &acme, &mut random).unwrap();
    world.done(rotate, &World::root());
    let (full, messages) = follower.round().await;
    let keys = told(&messages);
    assert_eq!((full, keys.len(), &keys[0]), (false, 2, &(1, first)));
    assert_eq!((keys[1].0, keys[1].1.len()), (2, 32));
}

#[tokio::test]
async fn a_follower_that_comes_back_is_told_what_it_missed() {
    let world = World::new();
    let (acme, other) = (tenant(&world, "acme", 2), tenant(&world, "other", 1));
    world.activate(&acme, 1);
    world.activate(&other, 1);
    let control = ControlNode::start(&world).await;
    let mut follower = control.follow(hello("data-1", 11)).await.unwrap();
    let incarnation = follower.welcome().await.incarnation;
    let (_, messages) = follower.round().await;
    let held = messages.iter().filter_map(|message| match message {
        Down::Tenant(state) => Some(v1::Held { tenant: state.tenant.clone(), etag: state.etag.clone() }),
        _ => None,
    });
    let mut again = v1::Hello {
        history: 1,
        index: 1,
        incarnation,
        held: held.collect(),
        trust_etag: trust(&messages).unwrap().etag.clone(),
        ..hello("data-1", 11)
    };
    again.held.push(v1::Held { tenant: "gone-since".into(), etag: vec![1] });
    drop(follower);
    world.activate(&acme, 2);
    let mut follower = control.follow(again.clone()).await.unwrap();
    assert_eq!(follower.welcome().await.incarnation, incarnation);
    let (full, mut messages) = follower.round().await;
    assert!(!full);
    if tenants(&messages).is_empty() {
        // The first round began with what was applied a moment before.
        messages.extend(follower.round().await.1);
    }
    assert_eq!(tenants(&messages), ["acme"]);
    assert!(trust(&messages).is_none());
    assert!(
        messages
            .iter()
            .any(|message| matches!(message, Down::TenantGone(gone) if gone.tenant == "gone-since"))
    );
    // After a restore nothing that it holds counts, and its process' number is void unless it is known here too.
    again.history = 0;
    let mut follower = control.follow(again).await.unwrap();
    follower.welcome().await;
    let (full, messages) = follower.round().await;
    assert!(full && trust(&messages).is_some());
}

#[tokio::test]
async fn a_slow_follower_gets_the_newest_state_and_nothing_in_between() {
    let world = World::new();
    let acme = tenant(&world, "acme", 2);
    world.activate(&acme, 1);
    let control = ControlNode::start(&world).await;
    // Room for the first round alone: trust and one tenant.
    let mut follower = control.follow(v1::Hello { credit: 2, ..hello("data-1", 11) }).await.unwrap();
    follower.welcome().await;
    follower.round().await;
    let mut newest = 0;
    for round in 0..50 {
        newest = world.activate(&acme, 1 + round % 2).number;
        tokio::task::yield_now().await;
    }
    // One round may have begun with what was the newest when it did.
    let numbers = soon("the newest activation", async {
        let mut numbers = Vec::new();
        while numbers.last() != Some(&newest) {
            follower.say(Up::Credit(v1::Credit { messages: 1 })).await;
            let (_, messages) = follower.round().await;
            let [Down::Tenant(state)] = messages.as_slice() else { panic!("{messages:?}") };
            numbers.push(state.activation.as_ref().unwrap().number);
        }
        numbers
    })
    .await;
    assert!(numbers.len() <= 4, "{numbers:?}");
    assert!(numbers.is_sorted());
}

#[tokio::test]
async fn freshness_follows_what_it_confirms() {
    let world = World::new();
    let acme = tenant(&world, "acme", 1);
    let control = ControlNode::start(&world).await;
    let mut follower = control.follow(hello("data-1", 11)).await.unwrap();
    follower.welcome().await;
    follower.round().await;
    let mut last = (0, 0);
    for _ in 0..5 {
        world.pass_seconds(1);
        world.activate(&acme, 1);
        let mut changed = false;
        loop {
            let (at, message) = follower.next().await.unwrap();
            assert!(at >= last, "never back");
            last = at;
            match message {
                Down::Tenant(_) => changed = true,
                Down::Freshness(fresh) if fresh.log_time_ms == world.now_ms() => {
                    assert!(changed, "the change of that moment was told before");
                    break;
                }
                Down::Freshness(_) | Down::Begin(_) | Down::End(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_sidecar_sees_its_tenant_only() {
    let world = World::new();
    let (acme, other) = (tenant(&world, "acme", 1), tenant(&world, "other", 1));
    world.activate(&acme, 1);
    let control = ControlNode::start(&world).await;
    let mut sidecar =
        control.follow(v1::Hello { tenant: "acme".into(), ..hello("side-1", 21) }).await.unwrap();
    let mut whole = control.follow(hello("data-1", 11)).await.unwrap();
    sidecar.welcome().await;
    whole.welcome().await;
    assert_eq!(tenants(&sidecar.round().await.1), ["acme"]);
    whole.round().await;
    world.activate(&other, 1);
    assert_eq!(tenants(&whole.round().await.1), ["other"]);
    world.activate(&acme, 1);
    let (_, messages) = sidecar.round().await;
    assert_eq!(tenants(&messages), ["acme"], "the other tenant's change made no round here");
    assert_eq!(control.feed.acks().progress(&other, 1).waiting, ["data-1".to_owned()].into());
}

#[tokio::test]
async fn who_says_what_it_may_not_is_refused() {
    let world = World::new();
    let control = ControlNode::start(&world).await;
    for (what, wrong, code) in [
        ("no name", hello("", 11), Code::InvalidArgument),
        ("no id", hello("data-1", 0), Code::InvalidArgument),
        (
            "no tenant's name",
            v1::Hello { tenant: "a b".into(), ..hello("data-1", 11) },
            Code::InvalidArgument,
        ),
        (
            "a number from nowhere",
            v1::Hello { history: 1, incarnation: 1_000, ..hello("data-1", 11) },
            Code::Unavailable,
        ),
        ("from the future", v1::Hello { history: 9, ..hello("data-1", 11) }, Code::Unavailable),
    ] {
        assert_eq!(control.follow(wrong).await.err().unwrap().code(), code, "{what}");
    }
    drop(control.follow(hello("data-1", 11)).await.unwrap());
    let renamed = control.follow(hello("data-2", 11)).await.err().unwrap();
    assert_eq!(renamed.code(), Code::PermissionDenied, "an id keeps its name");

    let long = v1::NotInForce { message: "x".repeat(5_000), ..Default::default() };
    let ack = v1::TenantAck { tenant: "acme".into(), not_in_force: Some(long), ..Default::default() };
    for wrong in
        [Up::Hello(hello("data-1", 11)), Up::Ack(v1::Ack { tenants: vec![ack], ..Default::default() })]
    {
        let mut follower = control.follow(hello("data-1", 11)).await.unwrap();
        follower.say(wrong).await;
        let refused = soon("the refusal", async {
            loop {
                if let Err(status) = follower.next().await {
                    return status;
                }
            }
        })
        .await;
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn a_bundle_is_given_to_whom_it_concerns_while_it_is_in_force() {
    let world = World::new();
    let (acme, other) = (tenant(&world, "acme", 2), tenant(&world, "other", 0));
    world.activate(&acme, 1);
    let control = ControlNode::start(&world).await;
    let mut client = control.client().await;
    let mut get = async |tenant: &str, bundle: &[u8]| {
        let request = v1::GetBundleRequest {
            tenant: tenant.to_owned(),
            digest: digest_of(bundle).to_string(),
            node_name: "data-1".to_owned(),
        };
        let mut pieces = client.get_bundle(request).await?.into_inner();
        let mut bundle = Vec::new();
        while let Some(piece) = pieces.next().await {
            bundle.extend_from_slice(&piece?.chunk);
        }
        Ok::<_, tonic::Status>(bundle)
    };
    let (one, two) = (bundle(1_000), bundle(2_000));
    assert_eq!(get("acme", &one).await.unwrap(), one);
    assert_eq!(get("acme", &two).await.unwrap_err().code(), Code::NotFound, "published, not in force");
    assert_eq!(get(other.as_str(), &one).await.unwrap_err().code(), Code::NotFound, "another tenant's");
    assert_eq!(get("nobody", &one).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn before_there_is_a_cluster_nobody_is_served() {
    let world = World::empty();
    let control = ControlNode::start(&world).await;
    let refused = tokio::time::timeout(Duration::from_secs(15), control.follow(hello("data-1", 11))).await;
    assert_eq!(refused.unwrap().err().unwrap().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_tenant_is_told_with_what_its_organization_may_use() {
    let world = World::new();
    let acme = tenant(&world, "acme", 1);
    tenant(&world, "other", 1);
    world.activate(&acme, 1);
    let control = ControlNode::start(&world).await;
    let mut follower = control.follow(hello("data-1", 11)).await.unwrap();
    follower.welcome().await;
    let (_, messages) = follower.round().await;
    let Down::Tenant(state) = &messages[1] else { panic!("{messages:?}") };
    let organization = state.organization.clone();
    assert!(!organization.is_empty() && state.organization_limits.is_none());
    let limits = SetOrganizationLimits {
        organization: organization.clone(),
        rate: Some(50_000_000),
        burst: 7,
        daily_budget: Some(1_000_000),
        unit: "usd".into(),
        timezone: "Europe/Zurich".into(),
        only_if_revision: None,
    };
    world.done(limits, &World::root());
    let (full, messages) = follower.round().await;
    let [Down::Tenant(state)] = messages.as_slice() else { panic!("only its own tenants: {messages:?}") };
    assert!(!full && state.tenant == "acme");
    let told = state.organization_limits.clone().unwrap();
    assert_eq!(
        (told.revision, told.rate, told.burst, told.daily_budget),
        (1, Some(50_000_000), 7, Some(1_000_000))
    );
    // A control node that begins now tells the same.
    let control = ControlNode::start(&world).await;
    let mut follower = control.follow(hello("data-2", 12)).await.unwrap();
    follower.welcome().await;
    let (_, messages) = follower.round().await;
    assert!(messages.contains(&Down::Tenant(state.clone())));
    let nothing = SetOrganizationLimits { organization, ..Default::default() };
    world.done(nothing, &World::root());
    let (_, messages) = follower.round().await;
    let Down::Tenant(state) = &messages[0] else { panic!("{messages:?}") };
    let told = state.organization_limits.clone().unwrap();
    assert_eq!((told.revision, told.rate, told.daily_budget), (2, None, None));
}
