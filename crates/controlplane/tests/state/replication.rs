//! Two nodes that apply the same entries are the same, whatever was in them (RAFT-2), and numbers only rise (POL-2).

use std::collections::{BTreeMap, BTreeSet};

use aegis_controlplane::command::response;
use aegis_controlplane::control::Replicate;
use aegis_controlplane::state::page::PageQuery;
use aegis_controlplane::state::{activations, budgets, chunks, control_log, meta, rates, tenants, versions};
use aegis_controlplane::testing::{Dump, World};
use aegis_model::ids::TenantId;
use aegis_proto::control::{Activation, done};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::commands::{Step, TENANTS, steps, world};

fn config() -> ProptestConfig {
    ProptestConfig { cases: 48, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    /// RAFT-2: one node gets every command as an entry of its own, in another process's memory; the other gets the
    /// very same log. Every answer and the whole state are equal, and the digest is that of the records.
    #[test]
    fn equal_logs_make_equal_states(steps in steps(60)) {
        let (left, right) = (world(), world());
        prop_assert_eq!(left.direct.digest(), right.direct.digest());
        for batch in steps.chunks(3) {
            let pause = batch.iter().map(|step| step.pause_seconds).sum();
            let commands: Vec<_> = batch.iter().map(|step| step.request(&left).encode(&step.actor)).collect();
            let answers = [&left, &right].map(|world| {
                world.pass_seconds(pause);
                world.direct.apply_entry(&commands).expect("memory does not fail")
            });
            prop_assert_eq!(&answers[0], &answers[1]);
            prop_assert_eq!(left.direct.digest(), right.direct.digest());
        }
        prop_assert_eq!(Dump::of(&left.view()), Dump::of(&right.view()));
        prop_assert_eq!(Dump::of(&left.view()).digest(), left.direct.digest());
    }

    /// A refused command changes nothing but the control log and remembered answers, and a repetition nothing at all.
    #[test]
    fn a_refusal_changes_nothing(steps in steps(40)) {
        let world = world();
        for step in steps {
            let before = Dump::of(&world.view());
            apply_and(&world, &step, |world, answer| {
                let changed = before.changed_rows(&Dump::of(&world.view()));
                match answer {
                    Ok(answer) if answer.replayed => assert_eq!(before, Dump::of(&world.view())),
                    Ok(_) => {}
                    Err(refused) => assert_eq!(changed, Vec::<String>::new(), "{refused}"),
                }
            });
        }
    }

    /// POL-2: the activation of a tenant never goes back, and no number is given twice; versions have no holes.
    #[test]
    fn numbers_only_rise(steps in steps(60)) {
        let world = world();
        let mut newest: BTreeMap<String, Activation> = BTreeMap::new();
        let mut last_number = 0;
        for step in steps {
            apply_and(&world, &step, |_, answer| {
                let Ok(answer) = answer else { return };
                let Some(done::Result::Activation(activation)) = answer.result() else { return };
                if answer.replayed {
                    return;
                }
                assert_eq!(activation.number, last_number + 1, "over the cluster, without holes");
                last_number = activation.number;
                let place = |it: &Activation| (it.history, it.number, it.index);
                if let Some(before) = newest.insert(activation.tenant.clone(), activation.clone()) {
                    assert!(place(&before) < place(activation) && before.history <= activation.history);
                }
            });
        }
        for tenant in tenants_of(&world) {
            let in_force = activations::in_force(&world.view(), &tenant).expect("memory");
            prop_assert_eq!(in_force.as_ref(), newest.get(tenant.as_str()));
            let view = world.view();
            let page = versions::versions(&view, &tenant, &PageQuery::first()).expect("memory");
            let numbers: Vec<u64> = page.rows.iter().map(|version| version.number).collect();
            let count = versions::newest(&view, &tenant).expect("memory");
            prop_assert_eq!(numbers, (1..=count).rev().collect::<Vec<_>>());
        }
    }

    /// What is counted beside the rows is what the rows say.
    #[test]
    fn counters_say_what_is_there(steps in steps(60)) {
        let world = world();
        for step in steps {
            apply_and(&world, &step, |_, _| {});
        }
        let view = world.view();
        for tenant in tenants_of(&world) {
            let counters = tenants::counters(&view, &tenant).expect("memory");
            let all = chunks::chunks(&view, &tenant, &PageQuery::first()).expect("memory").rows;
            prop_assert_eq!(counters.chunks_loose, all.iter().filter(|it| it.references == 0).count() as u64);
            prop_assert_eq!(counters.chunk_bytes, all.iter().map(|it| u64::from(it.size)).sum::<u64>());
            let named = versions::versions(&view, &tenant, &PageQuery::first()).expect("memory").rows;
            let named = named.iter().filter(|it| it.retired_ms == 0).map(|it| it.chunks.len()).sum::<usize>();
            prop_assert_eq!(all.iter().map(|it| it.references as usize).sum::<usize>(), named);
        }
        let records = control_log::everything(&view, &PageQuery::first()).expect("memory").rows;
        prop_assert_eq!(records.len() as u64, meta::counters(&view).expect("memory").control_records);
        let rows = Dump::of(&view);
        prop_assert_eq!(rows.count("remembered") as u64, meta::counters(&view).expect("memory").remembered);
        prop_assert_eq!(rows.count("remembered"), rows.count("remembered_order"));
        prop_assert_eq!(rows.count("people") as u64, meta::counters(&view).expect("memory").people);
        prop_assert_eq!(rows.count("roles"), rows.count("role_scopes"));
        let counters = meta::counters(&view).expect("memory");
        prop_assert_eq!(rows.count("ledgers") as u64, counters.budgets);
        let ledgers = rows.count("ledgers") + rows.count("ledgers_before");
        prop_assert_eq!((rows.count("ledger_places"), rows.count("ledger_ends")), (ledgers, ledgers));
        prop_assert_eq!((rows.count("rates") as u64, rows.count("rates_order") as u64), (counters.rates, counters.rates));
        for tenant in tenants_of(&world) {
            let of = tenants::counters(&view, &tenant).expect("memory");
            let budgets = budgets::budgets(&view, &tenant, &PageQuery::first()).expect("memory").rows;
            let rates = rates::rates(&view, &tenant, &PageQuery::first()).expect("memory").rows;
            prop_assert_eq!((of.budgets, of.rates), (budgets.len() as u64, rates.len() as u64));
        }
        prop_assert_eq!(rows.count("changes") as u64, meta::counters(&view).expect("memory").changes_kept);
    }
}

type Answered = Result<response::Answer, aegis_controlplane::command::Refused>;

fn apply_and(world: &World, step: &Step, then: impl FnOnce(&World, Answered)) {
    world.pass_seconds(step.pause_seconds);
    let answer = world.apply(step.request(world), &step.actor);
    then(world, answer);
}

fn tenants_of(world: &World) -> Vec<TenantId> {
    let names = TENANTS.map(|name| name.parse().expect("a name"));
    names.into_iter().filter(|name| tenants::tenant(&world.view(), name).expect("memory").is_some()).collect()
}

/// The properties above say little if the commands that they try are always refused, or never.
#[test]
fn the_random_commands_are_done_and_refused() {
    let mut runner = TestRunner::deterministic();
    let (mut done, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..150 {
        let world = world();
        for step in steps(60).new_tree(&mut runner).expect("a tree").current() {
            let name = format!("{:?}", step.request(&world).command);
            let name = name.split(['(', ' ']).next().unwrap_or_default().to_owned();
            apply_and(&world, &step, |_, answer| match answer {
                Ok(_) => drop(done.insert(name)),
                Err(_) => drop(refused.insert(name)),
            });
        }
    }
    assert!(done.len() >= 30, "{done:?}");
    let never_refused: Vec<_> = done.difference(&refused).collect();
    assert!(never_refused.is_empty(), "{never_refused:?}");
}

#[test]
fn log_time_never_goes_back() {
    let world = world();
    let before = *world.direct.applied().borrow();
    world.clock.set(aegis_model::clock::UnixNanos(1));
    world.tenant("later");
    let after = *world.direct.applied().borrow();
    assert_eq!((after.index, after.log_time_ms), (before.index + 1, before.log_time_ms));
}
