//! A control log holds together, or its reader says where it does not.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::keys::{KeyKind, SigningKey, VerifyingKey};
use crate::note::Note;
use crate::tree;
use crate::witness::{Request, judge};

fn key(name: &str, kind: KeyKind) -> SigningKey {
    SigningKey::generate(name.parse().unwrap(), kind, &mut StdRng::seed_from_u64(name.len() as u64))
}

fn head(origin: &str, size: u64, root: &str) -> Head {
    Head { origin: origin.to_owned(), root: Hash::of(root.as_bytes()), size }
}

fn birth(origin: &str) -> What {
    let key = key(origin, KeyKind::Note).verifying_key().to_string();
    What::Birth(Birth { key, origin: origin.to_owned(), tenant: None })
}

fn act() -> What {
    What::Act(Act {
        actor: "root".to_owned(),
        command: "CreateTenant".to_owned(),
        log_index: 7,
        refused: None,
        scope: "acme".to_owned(),
        summary: "a \"tenant\" \u{1f600}".to_owned(),
    })
}

/// A control log of these entries: its lines and its root.
fn log(what: Vec<What>) -> (Vec<String>, Hash) {
    let entries = (0..).zip(what).map(|(index, what)| {
        Entry::new(UnixNanos::from_seconds(1_800_000_000 + index), RecordId([index as u8; 16]), index, what)
    });
    let entries: Vec<Entry> = entries.collect();
    let root = tree::root_of(entries.iter().map(|entry| tree::leaf(&entry.hash().0)));
    (entries.iter().map(Entry::to_text).collect(), root)
}

fn signed(lines: &[String], root: Hash) -> Note {
    let checkpoint = Checkpoint { origin: "c-1/control".parse().unwrap(), size: lines.len() as u64, root };
    checkpoint.sign(&key("c-1/control", KeyKind::Note))
}

fn check(lines: &[String], note: &Note) -> Result<VerifiedControl, ControlProblem> {
    let entries: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let download = Download { checkpoint: &note.to_bytes(), entries: &entries };
    verify(download, key("c-1/control", KeyKind::Note).verifying_key(), &[], None)
}

fn forget(line: &str) -> String {
    let kind = Entry::read(line).unwrap().what.kind();
    format!("- {kind} {}", Hash::of(line.as_bytes()))
}

fn story() -> Vec<What> {
    vec![
        act(),
        birth("c-1/data-1/1"),
        What::Checkpoints(Checkpoints { logs: vec![head("c-1/data-1/1", 5, "five")] }),
        birth("c-1/data-2/2"),
        What::Closing(head("c-1/data-1/1", 9, "nine")),
        What::Refusal(Refusal {
            code: "checkpoint_forked".to_owned(),
            note: "a note".to_owned(),
            origin: "c-1/data-2/2".to_owned(),
        }),
        What::Ledgers(Ledgers { accounts: vec![account(4), account(5)], left_out: 3 }),
    ]
}

fn account(ledger: u64) -> LedgerAccount {
    LedgerAccount {
        agent: Some("bot".to_owned()),
        charged: "12.5".parse().unwrap(),
        entry: None,
        from_ms: 1_800_000_000_000,
        ledger,
        level: "agent".to_owned(),
        owner: "acme".to_owned(),
        unit: "usd".to_owned(),
        unproven: "0.5".parse().unwrap(),
        until_ms: 1_800_086_400_000,
        void: false,
    }
}

#[test]
fn an_entry_has_one_spelling() {
    for what in story() {
        let entry = Entry::new(UnixNanos::from_seconds(1), RecordId([7; 16]), 3, what);
        let text = entry.to_text();
        assert_eq!(Entry::read(&text), Ok(entry));
        assert_eq!(Entry::read(&text.replace(":", ": ")), Err(BadEntry));
        assert_eq!(Entry::read(&text.replacen("\"v\":1", "\"v\":2", 1)), Err(BadEntry));
        // Canonical by RFC 8785: parsed and written with sorted keys it is the same.
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value.to_string(), text);
    }
}

#[test]
fn the_log_tells_of_every_journal_its_key_and_where_it_ended() {
    let (lines, root) = log(story());
    let verified = check(&lines, &signed(&lines, root)).unwrap();
    assert_eq!((verified.acts, verified.forgotten, verified.journals.len()), (1, 0, 2));
    let ended = &verified.journals["c-1/data-1/1"];
    assert!(ended.closed);
    assert_eq!(ended.newest.as_ref().unwrap().size, 9);
    assert_eq!(&ended.key, key("c-1/data-1/1", KeyKind::Note).verifying_key());
    let forked = &verified.journals["c-1/data-2/2"];
    assert_eq!((forked.closed, forked.refused.as_deref()), (false, Some("checkpoint_forked")));
}

/// Who hands out the log may leave out texts, but not those without which a journal could be hidden.
#[test]
fn acts_superseded_checkpoints_and_ledgers_may_be_forgotten_and_nothing_else() {
    let (lines, root) = log(story());
    let note = signed(&lines, root);
    for (index, line) in lines.iter().enumerate() {
        let mut short = lines.clone();
        short[index] = forget(line);
        let kind = Entry::read(line).unwrap().what.kind();
        let found = check(&short, &note);
        match kind {
            Kind::Act | Kind::Checkpoints | Kind::Ledgers => assert_eq!(found.unwrap().forgotten, 1),
            _ => assert_eq!(found, Err(ControlProblem::Missing { index: index as u64, kind })),
        }
        // A birth cannot pass for an act: the kind is part of the hash.
        short[index] = format!("- act {}", Hash::of(line.as_bytes()));
        assert_eq!(check(&short, &note).is_ok(), kind == Kind::Act);
    }
}

#[test]
fn whatever_is_changed_is_found() {
    let (lines, root) = log(story());
    let note = signed(&lines, root);
    let mut dropped = lines.clone();
    dropped.pop();
    assert_eq!(check(&dropped, &note), Err(ControlProblem::Count { found: 6, wanted: 7 }));
    let mut longer = lines.clone();
    longer.push(lines[0].clone());
    assert_eq!(check(&longer, &note), Err(ControlProblem::Count { found: 8, wanted: 7 }));
    let mut swapped = lines.clone();
    swapped.swap(1, 3);
    assert_eq!(check(&swapped, &note), Err(ControlProblem::Entry(1)));
    let mut changed = lines.clone();
    changed[0] = changed[0].replace("root", "eve");
    assert_eq!(check(&changed, &note), Err(ControlProblem::Root));
    let stranger = Checkpoint { origin: "c-1/control".parse().unwrap(), size: 6, root };
    let stranger = stranger.sign(&SigningKey::generate(
        "c-1/control".parse().unwrap(),
        KeyKind::Note,
        &mut StdRng::seed_from_u64(99),
    ));
    assert_eq!(check(&lines, &stranger), Err(ControlProblem::Checkpoint));
}

#[test]
fn a_log_that_contradicts_itself_is_refused() {
    let one = "c-1/data-1/1";
    let contradictions = [
        vec![birth(one), birth(one)],
        vec![What::Closing(head(one, 1, "one"))],
        vec![birth(one), What::Closing(head(one, 1, "one")), What::Closing(head(one, 2, "two"))],
        vec![
            birth(one),
            What::Checkpoints(Checkpoints { logs: vec![head(one, 5, "five")] }),
            What::Closing(head(one, 4, "four")),
        ],
        vec![
            birth(one),
            What::Checkpoints(Checkpoints { logs: vec![head(one, 5, "five"), head(one, 5, "other")] }),
        ],
        vec![act(), What::Continues(head("c-1/control", 5, "five"))],
    ];
    for what in contradictions {
        let (lines, root) = log(what);
        let found = check(&lines, &signed(&lines, root));
        assert!(matches!(found, Err(ControlProblem::Contradiction { .. })), "{found:?} {lines:?}");
    }
}

#[test]
fn what_was_seen_before_and_who_cosigned_is_held_against_it() {
    let (lines, root) = log(story());
    let note = signed(&lines, root);
    let public = key("c-1/control", KeyKind::Note).verifying_key().clone();
    let (earlier, earlier_root) = log(story().into_iter().take(3).collect());
    let seen = Checkpoint { origin: public.name().clone(), size: earlier.len() as u64, root: earlier_root };
    let witness = key("witness.example", KeyKind::Cosignature);
    let entries: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let with = |note: &Note, seen: Option<&Checkpoint>, witnesses: &[VerifyingKey]| {
        verify(Download { checkpoint: &note.to_bytes(), entries: &entries }, &public, witnesses, seen)
    };
    assert!(with(&note, Some(&seen), &[]).is_ok());
    let other = Checkpoint { root: Hash::of(b"other"), ..seen.clone() };
    assert_eq!(with(&note, Some(&other), &[]), Err(ControlProblem::Forked));
    let newer = Checkpoint { size: 7, ..seen.clone() };
    assert_eq!(with(&note, Some(&newer), &[]), Err(ControlProblem::Forked));
    let asked = [witness.verifying_key().clone()];
    let name = asked[0].name().clone();
    assert_eq!(with(&note, None, &asked), Err(ControlProblem::NotCosigned(name.clone())));
    let request = Request { old_size: 0, proof: Vec::new(), note: note.clone() };
    let mut cosigned = note.clone();
    cosigned.add(judge(None, &request, &public).unwrap().cosign(&witness, 1_800_000_000));
    assert_eq!(with(&cosigned, None, &asked).unwrap().cosigned, [(name, 1_800_000_000)]);
}

#[test]
fn a_control_log_is_never_named_like_a_nodes_log() {
    let cluster: ClusterId = "c-1".parse().unwrap();
    assert_eq!(origin(&cluster, 1).as_str(), "c-1/control");
    assert_eq!(origin(&cluster, 2).as_str(), "c-1/control:2");
    assert!("c-1/control:2".parse::<crate::origin::Origin>().is_err());
}
