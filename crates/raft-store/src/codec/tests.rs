//! What is written reads back the same, and nothing else is read.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn log_id(term: u64, node: u64, index: u64) -> LogId<NodeId> {
    LogId::new(CommittedLeaderId::new(term, node), index)
}

fn membership() -> Membership<NodeId, Peer> {
    let peer = Peer { name: "control-1".into(), address: "https://control-1:7071".into() };
    Membership::new(vec![BTreeSet::from([7])], BTreeMap::from([(7, peer), (8, Peer::default())]))
}

fn payload() -> impl Strategy<Value = EntryPayload<TypeConfig>> {
    let commands = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8);
    prop_oneof![
        Just(EntryPayload::Blank),
        Just(EntryPayload::Membership(membership())),
        (any::<u64>(), commands)
            .prop_map(|(log_time_ms, commands)| EntryPayload::Normal(Batch { log_time_ms, commands })),
    ]
}

proptest! {
    #[test]
    fn an_entry_reads_back(term: u64, node: u64, index: u64, payload in payload()) {
        let entry = Entry::<TypeConfig> { log_id: log_id(term, node, index), payload };
        let bytes = entry_to_bytes(&entry).unwrap();
        prop_assert_eq!(entry_from_bytes(&bytes).unwrap(), entry);
        for length in 0..bytes.len() {
            prop_assert_eq!(entry_from_bytes(&bytes[..length]).err(), Some(Malformed), "cut to {}", length);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = entry_from_bytes(&bytes);
        let _ = standing_from_bytes(&bytes);
        let _ = vote_from_bytes(&bytes);
        let _ = membership_from_bytes(&bytes);
    }

    #[test]
    fn a_vote_reads_back(term: u64, node: u64, committed: bool) {
        let vote = if committed { Vote::new_committed(term, node) } else { Vote::new(term, node) };
        prop_assert_eq!(vote_from_bytes(&vote_to_bytes(&vote)).unwrap(), vote);
    }

    #[test]
    fn a_standing_reads_back(history: u64, log_time_ms: u64, digest: [u8; 32], applied: Option<(u64, u64, u64)>) {
        let last_applied = applied.map(|(term, node, index)| log_id(term, node, index));
        let digest = StateDigest::from_bytes(&digest);
        let standing = Standing { history, last_applied, log_time_ms, digest };
        prop_assert_eq!(standing_from_bytes(&standing_to_bytes(&standing)).unwrap(), standing);
    }
}

#[test]
fn a_count_that_lies_reserves_no_memory() {
    let mut bytes = vec![ENTRY_VERSION];
    put_log_id(&mut bytes, log_id(1, 1, 1));
    bytes.push(BATCH);
    bytes.extend_from_slice(&0_u64.to_le_bytes());
    bytes.extend_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(entry_from_bytes(&bytes).err(), Some(Malformed));
}

#[test]
fn an_entry_of_another_version_is_refused() {
    let entry = Entry::<TypeConfig> { log_id: log_id(1, 1, 1), payload: EntryPayload::Blank };
    let mut bytes = entry_to_bytes(&entry).unwrap();
    bytes[0] = ENTRY_VERSION + 1;
    assert_eq!(entry_from_bytes(&bytes).err(), Some(Malformed));
}
