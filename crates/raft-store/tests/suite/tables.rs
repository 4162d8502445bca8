//! Tables against a sorted map: reads, scans, prefixes, and a digest that equals its recomputation, so that nodes can
//! compare their states by it (RAFT-2).

use std::collections::BTreeMap;
use std::ops::Bound;

use aegis_raft_store::tables::{StateDigest, StateRead, StateView, StateWrite, Table};
use proptest::prelude::*;
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase};

const ONE: Table = Table::new("one");
const TWO: Table = Table::new("two");
const TABLES: &[Table] = &[ONE, TWO];

type Model = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

#[derive(Debug, Clone)]
enum Step {
    Put(Table, Vec<u8>, Vec<u8>),
    Delete(Table, Vec<u8>),
}

fn table() -> impl Strategy<Value = Table> {
    prop_oneof![Just(ONE), Just(TWO)]
}

/// Few bytes, so that keys meet; the greatest among them, since prefixes of it have no end.
fn key() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(254), Just(255)], 0..4)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = proptest::collection::vec(any::<u8>(), 0..20);
    let step = prop_oneof![
        3 => (table(), key(), value).prop_map(|(table, key, value)| Step::Put(table, key, value)),
        1 => (table(), key()).prop_map(|(table, key)| Step::Delete(table, key)),
    ];
    proptest::collection::vec(step, 0..40)
}

/// Takes the steps in transactions of `chunk` steps, in a database and in a model.
fn take(steps: &[Step], chunk: usize) -> (Database, Model, StateDigest) {
    let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
    let (mut model, mut digest) = (Model::new(), StateDigest::default());
    for steps in steps.chunks(chunk) {
        let transaction = database.begin_write().unwrap();
        let mut state = StateWrite::new(&transaction, TABLES, digest).unwrap();
        for step in steps.iter().cloned() {
            match step {
                Step::Put(table, key, value) => {
                    state.put(table, &key, &value).unwrap();
                    assert_eq!(
                        state.get(table, &key).unwrap().as_ref(),
                        Some(&value),
                        "a write is read at once"
                    );
                    model.insert((table, key), value);
                }
                Step::Delete(table, key) => {
                    let was_there = state.delete(table, &key).unwrap();
                    assert_eq!(was_there, model.remove(&(table, key)).is_some());
                }
            }
        }
        digest = state.digest();
        drop(state);
        transaction.commit().unwrap();
    }
    (database, model, digest)
}

fn records(model: &Model, table: Table, wanted: impl Fn(&[u8]) -> bool) -> Vec<(Vec<u8>, Vec<u8>)> {
    let of_table = model.iter().filter(|((of, key), _)| *of == table && wanted(key));
    of_table.map(|((_, key), value)| (key.clone(), value.clone())).collect()
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![key().prop_map(Bound::Included), key().prop_map(Bound::Excluded), Just(Bound::Unbounded)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_digest_is_that_of_the_records_whatever_the_way(steps in steps(), chunk in 1..10_usize) {
        let (database, model, digest) = take(&steps, chunk);
        let view = StateView::new(database.begin_read().unwrap());
        prop_assert_eq!(view.recompute_digest(TABLES).unwrap(), digest);
        // Another way to the same records.
        let straight: Vec<Step> =
            model.iter().rev().map(|((table, key), value)| Step::Put(*table, key.clone(), value.clone())).collect();
        prop_assert_eq!(take(&straight, 100).2, digest);
        if let Some(((table, key), _)) = model.first_key_value() {
            let mut fewer = straight.clone();
            fewer.push(Step::Delete(*table, key.clone()));
            prop_assert_ne!(take(&fewer, 100).2, digest);
        }
        prop_assert_eq!(StateDigest::from_bytes(&digest.to_bytes()), digest);
    }

    #[test]
    fn reads_and_scans_are_those_of_a_sorted_map(
        steps in steps(), table in table(), key in key(), from in bound(), to in bound(), limit in 0..10_usize,
    ) {
        let (database, model, _) = take(&steps, 7);
        let view = StateView::new(database.begin_read().unwrap());
        prop_assert_eq!(view.get(table, &key).unwrap(), model.get(&(table, key.clone())).cloned());
        let mut prefixed = records(&model, table, |other| other.starts_with(&key));
        prefixed.truncate(limit);
        prop_assert_eq!(view.scan_prefix(table, &key, None, limit).unwrap(), prefixed);
        let within = |other: &[u8]| {
            (match &from {
                Bound::Included(from) => other >= from.as_slice(),
                Bound::Excluded(from) => other > from.as_slice(),
                Bound::Unbounded => true,
            }) && (match &to {
                Bound::Included(to) => other <= to.as_slice(),
                Bound::Excluded(to) => other < to.as_slice(),
                Bound::Unbounded => true,
            })
        };
        let mut wanted = records(&model, table, within);
        wanted.truncate(limit);
        prop_assert_eq!(view.scan(table, (as_slice(&from), as_slice(&to)), limit).unwrap(), wanted);
    }

    #[test]
    fn pages_of_a_prefix_give_every_record_once(steps in steps(), table in table(), prefix in key(), page in 1..5_usize) {
        let (database, model, _) = take(&steps, 7);
        let view = StateView::new(database.begin_read().unwrap());
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let records = view.scan_prefix(table, &prefix, after.as_deref(), page).unwrap();
            let Some((last, _)) = records.last() else { break };
            after = Some(last.clone());
            all.extend(records);
        }
        prop_assert_eq!(all, records(&model, table, |key| key.starts_with(&prefix)));
    }
}
