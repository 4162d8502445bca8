//! TEN-1: no read of one tenant returns another's row, and no cursor leads there.

use aegis_controlplane::state::page::{Cursor, Page, PageQuery};
use aegis_controlplane::state::{
    activations, agents, approvals, budgets, channels, chunks, control_log, deliveries, issuers, key::Scope,
    labels, rates, revocations, roles, tokens, versions,
};
use aegis_controlplane::testing::World;
use aegis_model::ids::{AgentId, TenantId};
use aegis_proto::control::{ChannelKind, Lend, Rate, RevocationKind, Revoke, Role, TakeLending};
use aegis_proto::v1::{LimitKey, LimitLevel};
use aegis_raft_store::tables::{StateView, StoreError};
use proptest::prelude::*;
use sha2::Digest as _;

use crate::commands::{TENANTS, issuer, piece_of, steps, world};

/// A read of a tenant's rows: to whom each row belongs.
type Read = fn(&StateView, &TenantId, &PageQuery) -> Result<Page<String>, StoreError>;

/// Every read of a tenant's rows that gives pages.
const READS: &[(&str, Read)] = &[
    ("agents", |view, tenant, query| Ok(agents::agents(view, tenant, query)?.map(|it| it.tenant))),
    ("versions", |view, tenant, query| Ok(versions::versions(view, tenant, query)?.map(|it| it.tenant))),
    ("labels", |view, tenant, query| Ok(labels::labels(view, tenant, query)?.map(|it| it.tenant))),
    ("activations", |view, tenant, query| {
        Ok(activations::activations(view, tenant, query)?.map(|it| it.tenant))
    }),
    ("revocations", |view, tenant, query| {
        Ok(revocations::revocations(view, tenant, query)?.map(|it| it.tenant))
    }),
    ("issuers", |view, tenant, query| Ok(issuers::issuers(view, tenant, query)?.map(|it| it.tenant))),
    ("tokens", |view, tenant, query| Ok(tokens::tokens(view, tenant, query)?.map(|it| it.tenant))),
    (
        "control log",
        |view, tenant, query| Ok(control_log::of_tenant(view, tenant, query)?.map(|it| it.scope)),
    ),
    ("approvals", |view, tenant, query| Ok(approvals::approvals(view, tenant, query)?.map(|it| it.tenant))),
    ("channels", |view, tenant, query| Ok(channels::channels(view, tenant, query)?.map(|it| it.tenant))),
    (
        "deliveries",
        |view, tenant, query| Ok(deliveries::deliveries(view, tenant, query)?.map(|it| it.tenant)),
    ),
    ("budgets", |view, tenant, query| Ok(budgets::budgets(view, tenant, query)?.map(|it| owner(it.key)))),
    ("rates", |view, tenant, query| Ok(rates::rates(view, tenant, query)?.map(|it| owner(it.key)))),
    ("roles", |view, tenant, query| {
        Ok(roles::bindings(view, &Scope::Tenant(tenant.clone()), query)?.map(|it| it.scope))
    }),
    ("chunks", |view, tenant, query| {
        let page = chunks::chunks(view, tenant, query)?;
        let mut owners = Vec::new();
        for info in &page.rows {
            let digest = info.digest.as_slice().try_into().expect("32 bytes");
            let data = chunks::data(view, tenant, &digest)?.expect("a chunk has its bytes");
            let text = String::from_utf8(data).expect("text");
            owners.push(text.split(' ').next().unwrap_or_default().to_owned());
        }
        Ok(Page { rows: owners, next: page.next })
    }),
];

/// The owner that a limit's row names: an organization's may be called as a tenant.
fn owner(key: Option<LimitKey>) -> String {
    let key = key.expect("a row has its key");
    if key.level() == LimitLevel::Organization { format!("organization {}", key.owner) } else { key.owner }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn every_page_holds_rows_of_its_tenant_only(steps in steps(60), limit in 1..4_usize) {
        let world = world();
        for step in steps {
            world.pass_seconds(step.pause_seconds);
            // Whether it was done does not matter here.
            drop(world.apply(step.request(&world), &step.actor));
        }
        let view = world.view();
        for name in TENANTS {
            let tenant: TenantId = name.parse().expect("a name");
            for (what, read) in READS {
                let whole = read(&view, &tenant, &PageQuery::first()).expect("memory");
                let paged = all_pages(&view, &tenant, *read, limit);
                prop_assert!(whole.rows.iter().all(|owner| owner == name), "{} of {}: {:?}", what, name, whole.rows);
                prop_assert_eq!(&paged, &whole.rows, "pages of {} are the whole", what);
            }
        }
    }

    #[test]
    fn no_cursor_leads_to_another_tenant(bytes in prop::collection::vec(any::<u8>(), 1..40)) {
        let world = rich();
        let view = world.view();
        let mut made = vec![Cursor::forge(&bytes), Cursor::forge(b"\0acme.eu\0agent"), Cursor::forge(&[0xff; 40])];
        for (_, read) in READS {
            for name in &TENANTS[..2] {
                let tenant = name.parse().expect("a name");
                made.extend(read(&view, &tenant, &PageQuery::new(None, 1)).expect("memory").next);
            }
        }
        for cursor in made {
            for (what, read) in READS {
                for name in TENANTS {
                    let query = PageQuery::new(Some(cursor.clone()), 0);
                    let page = read(&view, &name.parse().expect("a name"), &query).expect("memory");
                    prop_assert!(page.rows.iter().all(|owner| owner == name), "{} of {}: {:?}", what, name, page.rows);
                }
            }
        }
    }
}

/// Two tenants with rows of every family.
fn rich() -> World {
    let world = world();
    for name in &TENANTS[..2] {
        let tenant: TenantId = name.parse().expect("a name");
        world.agent(&tenant, "agent-0");
        world.agent(&tenant, "agent-1");
        for number in 0..2 {
            world.done(issuer(name, number), &World::root());
        }
        for piece in 0..2 {
            world.publish(&tenant, &World::root(), &piece_of(name, piece));
            world.activate(&tenant, 1);
        }
        for subject in ["agent-0", "agent-1"] {
            let (tenant, subject) = (tenant.to_string(), subject.to_owned());
            let kind = RevocationKind::Agent.into();
            world.done(Revoke { tenant, kind, subject, ..Default::default() }, &World::root());
        }
        world.with_role("eve", name, Role::Viewer);
    }
    with_limits(&world);
    for name in &TENANTS[..2] {
        world.done(World::channel(name, "hook", ChannelKind::Webhook), &World::root());
        world.done(World::channel(name, "#chat", ChannelKind::Slack), &World::root());
    }
    for name in &TENANTS[..2] {
        for digest in 0..2 {
            world.open_approval(world.telling(name, &format!("a-{digest}"), digest, &["hook", "#chat"]));
        }
    }
    world
}

/// Budgets and rates of two tenants, and of organizations that are called alike.
fn with_limits(world: &World) {
    world.done(TakeLending {}, &World::node());
    let node = world.data_node(7);
    let (mut needs, mut parts) = (Vec::new(), Vec::new());
    for name in &TENANTS[..2] {
        let organization = LimitKey {
            level: LimitLevel::Organization.into(),
            agent: String::new(),
            ..World::budget_key(name, "", "usd")
        };
        let keys = [
            World::budget_key(name, "agent-0", "usd"),
            World::budget_key(name, "agent-1", "usd"),
            organization,
        ];
        for (number, key) in (1..).zip(keys) {
            needs.push(World::need(&key, 1_000, 10));
            let key = Some(LimitKey { unit: String::new(), ..key });
            parts.push(Rate { key, last_number: number, ..Rate::default() });
        }
    }
    let lend = world.lend(vec![World::ask(7, node.incarnation, 1, needs)]);
    world.done(Lend { rates: parts, ..lend }, &World::node());
    for name in &TENANTS[..2] {
        let tenant = name.parse().expect("a name");
        let budgets = budgets::budgets(&world.view(), &tenant, &PageQuery::first()).expect("memory");
        let rates = rates::rates(&world.view(), &tenant, &PageQuery::first()).expect("memory");
        assert_eq!((budgets.rows.len(), rates.rows.len()), (2, 2), "{name}");
        let organization = name.parse().expect("a name");
        let of_all = budgets::organization_budgets(&world.view(), &organization, &PageQuery::first());
        let owners: Vec<String> = of_all.expect("memory").rows.into_iter().map(|it| owner(it.key)).collect();
        assert_eq!(owners, [format!("organization {name}")]);
    }
}

#[test]
fn single_rows_are_found_in_their_tenant_only() {
    let world = rich();
    let view = world.view();
    let [acme, other, short] = TENANTS.map(|name| name.parse::<TenantId>().expect("a name"));
    let agent: AgentId = "agent-0".parse().expect("a name");
    for tenant in [&acme, &other] {
        assert_eq!(
            agents::agent(&view, tenant, &agent).expect("memory").expect("one").tenant,
            tenant.as_str()
        );
        assert_eq!(
            versions::version(&view, tenant, 1).expect("memory").expect("one").tenant,
            tenant.as_str()
        );
        assert_eq!(
            activations::in_force(&view, tenant).expect("memory").expect("one").tenant,
            tenant.as_str()
        );
    }
    assert!(agents::agent(&view, &short, &agent).expect("memory").is_none());
    assert!(versions::version(&view, &short, 1).expect("memory").is_none());
    assert!(activations::in_force(&view, &short).expect("memory").is_none());
    let number = activations::in_force(&view, &acme).expect("memory").expect("one").number;
    assert!(activations::activation(&view, &other, number).expect("memory").is_none());
    let digest = sha2::Sha256::new_with_prefix(piece_of("acme", 0)).finalize().into();
    assert!(chunks::data(&view, &acme, &digest).expect("memory").is_some());
    assert!(chunks::data(&view, &other, &digest).expect("memory").is_none());
    assert!(chunks::chunk(&view, &other, &digest).expect("memory").is_none());
}

fn all_pages(view: &StateView, tenant: &TenantId, read: Read, limit: usize) -> Vec<String> {
    let (mut rows, mut query) = (Vec::new(), PageQuery::new(None, limit));
    loop {
        let page = read(view, tenant, &query).expect("memory");
        assert!(page.rows.len() <= limit && rows.len() < 1_000, "pages come to an end");
        rows.extend(page.rows);
        match page.next {
            Some(cursor) => query = query.after(cursor),
            None => return rows,
        }
    }
}
