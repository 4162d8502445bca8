//! The handle: what a caller of `Control` sees, and the notes of changes that the feed reads.

use aegis_controlplane::command::{Code, Request};
use aegis_controlplane::control::ProposeError;
use aegis_controlplane::state::changes::{self, Since};
use aegis_controlplane::state::tenants;
use aegis_controlplane::testing::World;
use aegis_model::caps;
use aegis_proto::control::{ChangeKind, CreateTenant, PutChunk, SetTenant, done};

fn tenant(name: &str) -> CreateTenant {
    CreateTenant { name: name.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn what_was_answered_is_there_and_announced() {
    let world = World::new();
    let control = world.direct.control();
    let mut applied = control.applied();
    let before = *applied.borrow_and_update();
    let answer = control.propose(tenant("acme"), &World::root()).await.expect("done");
    assert!(matches!(answer.result(), Some(done::Result::Tenant(tenant)) if tenant.name == "acme"));
    let now = *applied.borrow_and_update();
    assert_eq!((now.index, now.history), (before.index + 1, 1));
    assert_eq!((answer.done.index, answer.done.log_time_ms), (now.index, now.log_time_ms));
    assert_ne!(now.digest, before.digest);
    let view = control.read().await.expect("a view");
    let row = tenants::tenant(&view, &"acme".parse().expect("a name")).expect("memory");
    assert_eq!(row.expect("a tenant").created_by, "root");
}

#[tokio::test]
async fn a_refusal_is_an_error_with_its_facts() {
    let control = World::new().direct.control();
    let command = SetTenant { tenant: "acme".to_owned(), ..Default::default() };
    let error = control.propose(command, &World::root()).await.expect_err("no tenant");
    assert_eq!(error.refused().map(|refused| refused.code), Some(Code::UnknownTenant));
    assert!(error.certainly_not_applied() && !error.retryable());
}

#[tokio::test]
async fn a_command_beyond_the_bound_is_not_proposed() {
    let world = World::new();
    world.tenant("acme");
    let control = world.direct.control();
    let before = world.direct.digest();
    let chunk = |bytes| PutChunk { tenant: "acme".to_owned(), data: vec![0; bytes] };
    let error = control.propose(chunk(caps::COMMAND_BYTES_MAX), &World::root()).await.expect_err("too long");
    assert!(matches!(error, ProposeError::TooLarge { .. }));
    assert_eq!(world.direct.digest(), before);
    control.propose(chunk(caps::BUNDLE_CHUNK_BYTES), &World::root()).await.expect("the largest chunk fits");
}

#[test]
fn changes_tell_what_was_missed_and_entries_come_whole() {
    let world = World::new();
    let start = world.done(tenant("acme"), &World::root()).done.index;
    let acme = "acme".parse().expect("a name");
    let commands: Vec<_> =
        (0..5).map(|it| Request::from(tenant(&format!("t-{it}"))).encode(&World::root())).collect();
    world.direct.apply_entry(&commands).expect("memory");
    world.agent(&acme, "crawler");
    world.publish(&acme, &World::root(), b"one");
    world.activate(&acme, 1);
    let Since::Changes { changes, more } = changes::since(&world.view(), start, 2).expect("memory") else {
        unreachable!("nothing was forgotten")
    };
    assert_eq!(changes.len(), 5, "the whole entry, though two were wanted");
    assert!(more && changes.iter().all(|it| it.kind() == ChangeKind::Tenant && it.index == start + 1));
    let next = changes::since(&world.view(), start + 1, 10).expect("memory");
    let Since::Changes { changes, more: false } = next else { unreachable!("all of the rest: {next:?}") };
    let told: Vec<_> = changes.iter().map(|it| (it.kind(), it.tenant.as_str(), it.name.as_str())).collect();
    assert_eq!(told, [(ChangeKind::Agent, "acme", "crawler"), (ChangeKind::Activation, "acme", "")]);
    let sequences: Vec<_> = changes.windows(2).map(|pair| pair[1].sequence - pair[0].sequence).collect();
    assert_eq!(sequences, [1]);
    let none = changes::since(&world.view(), u64::MAX, 10).expect("memory");
    assert_eq!(none, Since::Changes { changes: Vec::new(), more: false });
}
