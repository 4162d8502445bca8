//! What records say that was charged, held against ledgers.

use aegis_audit::control::LedgerAccount;
use aegis_audit::hash::Hash;
use aegis_audit::ledgers::{Held, Recorded};
use aegis_audit::record::{CallResult, Chain, Charged, Completion, Draft, Link, RecordId, Settled, What};
use aegis_model::money::Micros;
use proptest::prelude::*;

use super::samples;

fn micros(amount: u64) -> Micros {
    Micros(amount)
}

fn charged(ledger: Option<u64>, amount: u64) -> What {
    let What::Decision(mut decision) = samples::decision(1) else { panic!("a decision") };
    let of = |level: &str, ledger| Charged {
        amount: micros(amount),
        entry: None,
        ledger,
        level: level.into(),
        unit: "usd".into(),
    };
    decision.charged = vec![of("tenant", ledger.map(|ledger| ledger + 1_000)), of("agent", ledger)];
    What::Decision(decision)
}

fn settled(ledger: Option<u64>, charged: u64, cost: u64) -> What {
    let settled = Settled {
        charged: micros(charged),
        cost: micros(cost),
        entry: None,
        ledger,
        level: "agent".into(),
        unit: "usd".into(),
    };
    What::Completion(Completion {
        action: "call".parse().unwrap(),
        agent: "support-bot".parse().unwrap(),
        by: "support-bot".parse().unwrap(),
        cost: Some(micros(cost)),
        decision: Link { entry: Hash::of(b"entry"), id: RecordId([1; 16]) },
        decision_id: "d-n1-7-41".into(),
        findings: Vec::new(),
        left_out: 0,
        result: CallResult::Succeeded,
        result_digest: None,
        sealed: None,
        settled: vec![settled],
        token_id: "t-2".into(),
        tool: "payments".parse().unwrap(),
        withheld: false,
    })
}

fn recorded(whats: &[What]) -> Recorded {
    let mut recorded = Recorded::default();
    for (seq, what) in (1..).zip(whats) {
        let chain = Chain::Tenant("acme".parse().unwrap());
        let draft = Draft::new(samples::moment(seq), chain, RecordId([7; 16]), what).unwrap();
        let before = (seq > 1).then(|| Hash::of(b"before"));
        recorded.read(&draft.complete(seq, before).bytes).unwrap();
    }
    recorded
}

fn account(ledger: u64, charged: u64, unproven: u64) -> LedgerAccount {
    LedgerAccount {
        agent: Some("support-bot".into()),
        charged: micros(charged),
        entry: None,
        from_ms: 0,
        ledger,
        level: "agent".into(),
        owner: "acme".into(),
        unit: "usd".into(),
        unproven: micros(unproven),
        until_ms: 86_400_000,
        void: false,
    }
}

#[test]
fn calls_are_added_up_with_what_became_of_them() {
    let recorded = recorded(&[
        charged(Some(3), 50),
        charged(Some(3), 20),
        charged(Some(4), 7),
        charged(None, 1_000),
        settled(Some(3), 50, 10),
        settled(Some(3), 20, 25),
        settled(None, 0, 9),
        samples::decision(2),
    ]);
    let sums: Vec<(u64, u64, u64)> =
        recorded.sums().map(|(ledger, sum)| (ledger, sum.amount().0, sum.calls)).collect();
    assert_eq!(sums, [(3, 35, 2), (4, 7, 1), (1_003, 70, 2), (1_004, 7, 1)]);
    let moments = recorded.of(3).unwrap().moments;
    assert_eq!(moments, (samples::moment(1), samples::moment(6)));
}

#[test]
fn either_side_may_have_more() {
    let recorded = recorded(&[charged(Some(3), 50)]);
    let held = |charged, unproven| recorded.against(&account(3, charged, unproven));
    assert_eq!(held(50, 0), Held::Exact);
    assert_eq!(held(50, 9), Held::Exact);
    assert_eq!(held(60, 10), Held::Unproven(micros(10)));
    assert_eq!(held(61, 10), Held::SpendWithoutRecord(micros(1)));
    assert_eq!(held(49, 10), Held::RecordWithoutSpend(micros(1)));
    let of_none = recorded.against(&account(9, 5, 0));
    assert_eq!(of_none, Held::SpendWithoutRecord(micros(5)), "no record names it");
    let void = LedgerAccount { void: true, ..account(3, 1_000, 0) };
    assert_eq!(recorded.against(&void), Held::Void);
    assert!(
        Held::RecordWithoutSpend(micros(1)).is_difference() && !Held::Unproven(micros(1)).is_difference()
    );
}

proptest! {
    /// Any one record that is left out shows, whichever it is, unless it names no ledger or changes nothing.
    #[test]
    fn a_missing_record_shows(
        calls in prop::collection::vec((1_u64..5, 1_u64..100, prop::option::of(0_u64..100)), 1..30),
        which in any::<prop::sample::Index>(),
    ) {
        let mut whats = Vec::new();
        for (ledger, amount, cost) in &calls {
            whats.push(charged(Some(*ledger), *amount));
            whats.extend(cost.map(|cost| settled(Some(*ledger), *amount, cost)));
        }
        let whole = recorded(&whats);
        let accounts: Vec<LedgerAccount> =
            whole.sums().map(|(ledger, sum)| account(ledger, sum.amount().0, 0)).collect();
        prop_assert!(accounts.iter().all(|account| whole.against(account) == Held::Exact));
        let missing = whats.remove(which.index(whats.len()));
        let changes = match &missing {
            What::Completion(it) => it.settled[0].charged != it.settled[0].cost,
            _ => true,
        };
        let rest = recorded(&whats);
        let shows = accounts.iter().any(|account| rest.against(account).is_difference());
        prop_assert_eq!(shows, changes);
    }
}
