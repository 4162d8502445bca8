//! `NoteCheckpoints`: how far data nodes say that their audit logs are. What does not follow from what was accepted before is
//! refused, and if the log's own key signed it, written down for good: then the node showed two logs (AUD-1).

use aegis_audit::control::{self, Head, What};
use aegis_audit::keys::VerifyingKey;
use aegis_audit::origin::Origin;
use aegis_audit::witness::{self, Refusal, Request};
use aegis_model::caps;
use aegis_proto::control::{
    CheckpointNoted, CheckpointReport, CheckpointsNoted, Journal, NoteCheckpoints, done,
};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use crate::state::key::EVERYWHERE;
use crate::state::writer::Writer;
use crate::state::{control_tree, data_nodes, journals};

impl Kind for NoteCheckpoints {
    const NAME: &'static str = "NoteCheckpoints";
    /// The control node has seen the data nodes' certificates.
    const WHO: Who = Who::control_node();
    /// Happens all the time; has entries of its own.
    const LOGGED: bool = false;
    type Checked = Vec<CheckpointReport>;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        String::new()
    }

    fn check(&self, _state: &impl StateRead, _asked: &Asked<'_>) -> Result<Self::Checked, Failure> {
        let fits = |report: &CheckpointReport| report.request.len() <= caps::AUDIT_REPORT_BYTES_MAX;
        if self.reports.len() > caps::AUDIT_REPORTS_MAX || !self.reports.iter().all(fits) {
            let (count, bytes) = (caps::AUDIT_REPORTS_MAX, caps::AUDIT_REPORT_BYTES_MAX);
            let form = format!("at most {count} reports of at most {bytes} bytes");
            return Err(Refused::invalid("reports", form).into());
        }
        Ok(self.reports.clone())
    }

    fn apply(reports: Self::Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let mut answers = Vec::with_capacity(reports.len());
        for report in &reports {
            answers.push(answer(write, report)?);
        }
        journals::write_down(write)?;
        Ok(done::Result::CheckpointsNoted(CheckpointsNoted { answers }))
    }
}

/// Judges one report, and keeps what follows from it.
fn answer(write: &mut Writer<'_, '_>, report: &CheckpointReport) -> Result<CheckpointNoted, StoreError> {
    let origin = report.origin.clone();
    let refused =
        |code: &str, size| CheckpointNoted { origin: origin.clone(), refused: code.to_owned(), size };
    let node = data_nodes::data_node(write, report.node)?;
    // LIM-2's rule, for evidence: whoever was replaced says nothing more.
    if !node.is_some_and(|node| node.incarnation == report.incarnation && node.retired_ms == 0) {
        return Ok(refused("fenced", 0));
    }
    let Some(row) = journals::journal(write, &report.origin)? else {
        return Ok(refused("unknown_journal", 0));
    };
    if row.node != report.node {
        return Ok(refused("not_yours", 0));
    }
    if !row.refused.is_empty() {
        return Ok(refused(&row.refused, row.size));
    }
    let damaged = || StoreError::Damaged { table: journals::JOURNALS.name().to_owned() };
    let name: Origin = row.origin.parse().map_err(|_withheld| damaged())?;
    let key: VerifyingKey = row.verifier.parse().map_err(|_withheld| damaged())?;
    let known = journals::newest(&row)?;
    let request = match Request::read(&report.request) {
        // A row keeps the note: one signature is all that it needs.
        Ok(request) if request.note.signatures().len() == 1 => request,
        Ok(_) | Err(_) => return Ok(refused(Refusal::Malformed.code(), row.size)),
    };
    match witness::judge(known.as_ref(), &request, &key) {
        Ok(accepted) => {
            let new = accepted.checkpoint();
            let moved = known.as_ref() != Some(new);
            if row.closed_ms > 0 && moved {
                return Ok(refused("journal_closed", row.size));
            }
            let size = new.size;
            // The same end once more: it is known, and nothing is written.
            let row = if row.closed_ms > 0 { row } else { journals::carry_over(write, row)? };
            let row = Journal {
                size,
                root: new.root.0.to_vec(),
                note: request.note.to_bytes(),
                noted_ms: write.now_ms(),
                ..row
            };
            keep(write, &name, row, report.closing, moved)?;
            Ok(CheckpointNoted { origin, refused: String::new(), size })
        }
        Err(refusal @ (Refusal::Forked(_) | Refusal::Inconsistent)) => {
            let (size, code) = (row.size, refusal.code());
            let row = journals::carry_over(write, row)?;
            let note = String::from_utf8_lossy(&request.note.to_bytes()).into_owned();
            let entry = control::Refusal { code: code.to_owned(), note, origin: row.origin.clone() };
            control_tree::append(write, What::Refusal(entry))?;
            let row = Journal { refused: code.to_owned(), refused_ms: write.now_ms(), ..row };
            journals::put(write, &name, &row)?;
            Ok(refused(code, size))
        }
        Err(refusal @ (Refusal::Malformed | Refusal::Unsigned | Refusal::Stale(_))) => {
            Ok(refused(refusal.code(), row.size))
        }
    }
}

fn keep(
    write: &mut Writer<'_, '_>,
    name: &Origin,
    row: Journal,
    closing: bool,
    moved: bool,
) -> Result<(), StoreError> {
    if row.closed_ms > 0 {
        return Ok(());
    }
    if !closing {
        journals::put(write, name, &row)?;
        return if moved { journals::note_grown(write, name) } else { Ok(()) };
    }
    let row = Journal { closed_ms: write.now_ms(), ..row };
    match journals::newest(&row)? {
        Some(newest) => {
            let index = control_tree::append(write, What::Closing(Head::of(&newest)))?;
            journals::written(write, name, row, index)
        }
        None => journals::put(write, name, &row),
    }
}

#[cfg(test)]
mod tests {
    use aegis_audit::checkpoint::Checkpoint;
    use aegis_audit::control::{Download, Entry, verify};
    use aegis_audit::hash::Hash;
    use aegis_audit::keys::SigningKey;
    use aegis_audit::tree;
    use aegis_proto::control::{AdvanceHistory, DataNode, SweepLimits, TakeLending};

    use super::*;
    use crate::keys::keyring;
    use crate::state::control_tree as trees;
    use crate::testing::World;

    /// A log of a data node, as its node would keep it.
    struct Log {
        node: DataNode,
        key: SigningKey,
        leaves: Vec<Hash>,
    }

    impl Log {
        fn begin(world: &World, node: u64) -> Self {
            let node = world.data_node(node);
            world.done(world.open_journal(&node, "k"), &World::node());
            Self { key: World::journal_key(&node, "k"), node, leaves: Vec::new() }
        }

        fn grow(&mut self, to: usize, word: &str) {
            for index in self.leaves.len()..to {
                self.leaves.push(tree::leaf(format!("{word} {index}").as_bytes()));
            }
        }

        fn origin(&self) -> String {
            self.key.verifying_key().name().to_string()
        }

        /// A report of the whole log, with a proof from `old`.
        fn report(&self, old: u64) -> CheckpointReport {
            let size = self.leaves.len() as u64;
            let root = tree::root_of(self.leaves.iter().copied());
            let checkpoint = Checkpoint { origin: self.key.verifying_key().name().clone(), size, root };
            let Ok(proof) = tree::consistency(&self.leaves[..], old.min(size), size);
            let request = Request { old_size: old, proof, note: checkpoint.sign(&self.key) };
            CheckpointReport {
                node: self.node.id,
                incarnation: self.node.incarnation,
                origin: self.origin(),
                request: request.to_bytes(),
                closing: false,
            }
        }
    }

    fn note(world: &World, report: CheckpointReport) -> (String, u64) {
        let answer = world.done(NoteCheckpoints { reports: vec![report] }, &World::node());
        match answer.done.result {
            Some(done::Result::CheckpointsNoted(noted)) => {
                (noted.answers[0].refused.clone(), noted.answers[0].size)
            }
            other => panic!("{other:?}"),
        }
    }

    fn entries(world: &World) -> Vec<What> {
        let rows = trees::entries(&world.view(), 1, 0, 1_000).expect("memory");
        rows.iter().map(|row| Entry::read(&row.text).expect("an entry").what).collect()
    }

    fn accepted(size: u64) -> (String, u64) {
        (String::new(), size)
    }

    #[test]
    fn a_log_that_grows_is_accepted_and_written_down_now_and_then() {
        let world = World::new();
        let mut log = Log::begin(&world, 7);
        let before = entries(&world).len();
        for (old, new) in [(0, 3), (3, 4), (4, 9), (9, 200)] {
            log.grow(new, "entry");
            assert_eq!(note(&world, log.report(old as u64)), accepted(new as u64));
            world.pass_seconds(1);
        }
        // Behind by one answer: it is told where to go on, and repeats.
        assert_eq!(note(&world, log.report(9)), ("checkpoint_stale".to_owned(), 200));
        assert_eq!(note(&world, log.report(200)), accepted(200));
        let checkpoints = |world: &World| {
            entries(world)
                .split_off(before)
                .into_iter()
                .filter_map(|what| match what {
                    What::Checkpoints(it) => Some(it.logs[0].size),
                    _ => None,
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(checkpoints(&world), [3], "the first at once, the others wait");
        world.pass_seconds(caps::AUDIT_CHECKPOINTS_ENTRY_SECONDS);
        log.grow(201, "entry");
        assert_eq!(note(&world, log.report(200)), accepted(201));
        assert_eq!(checkpoints(&world), [3, 201]);
        assert_eq!(trees::check(&world.view()).expect("whole") as usize, entries(&world).len());
    }

    /// C3: a node with its real key that forks its log is refused within one checkpoint, and for good.
    #[test]
    fn a_fork_is_refused_at_once_and_remembered_with_its_signature() {
        for (size, code) in [(5, "checkpoint_forked"), (8, "checkpoint_inconsistent")] {
            let world = World::new();
            let mut log = Log::begin(&world, 7);
            log.grow(5, "entry");
            assert_eq!(note(&world, log.report(0)), accepted(5));
            let honest = log.leaves.clone();
            log.leaves.clear();
            log.grow(size, "another");
            let forked = log.report(5);
            assert_eq!(note(&world, forked.clone()), (code.to_owned(), 5));
            let What::Refusal(refusal) = entries(&world).pop().expect("entries") else {
                panic!("no refusal")
            };
            assert_eq!((refusal.code.as_str(), refusal.origin), (code, log.origin()));
            let signed =
                Checkpoint::open(refusal.note.as_bytes(), log.key.verifying_key()).expect("its signature");
            assert_eq!(signed.size, size as u64);
            // Whatever comes later is refused, and adds nothing.
            let count = entries(&world).len();
            log.leaves = honest;
            log.grow(9, "entry");
            assert_eq!(note(&world, log.report(5)), (code.to_owned(), 5));
            assert_eq!(note(&world, forked), (code.to_owned(), 5));
            assert_eq!(entries(&world).len(), count);
        }
    }

    #[test]
    fn a_rollback_another_key_and_nonsense_change_nothing() {
        let world = World::new();
        let mut log = Log::begin(&world, 7);
        log.grow(5, "entry");
        assert_eq!(note(&world, log.report(0)), accepted(5));
        let before = world.direct.digest();
        let cut = Log { leaves: log.leaves[..3].to_vec(), node: log.node.clone(), key: log.key.clone() };
        assert_eq!(note(&world, cut.report(0)).0, "checkpoint_stale");
        let stranger = Log {
            key: World::journal_key(&log.node, "other"),
            node: log.node.clone(),
            leaves: log.leaves.clone(),
        };
        assert_eq!(note(&world, stranger.report(5)).0, "checkpoint_unsigned");
        let nonsense = CheckpointReport { request: b"old 5\n\nx".to_vec(), ..log.report(5) };
        assert_eq!(note(&world, nonsense).0, "checkpoint_malformed");
        let unknown = CheckpointReport { origin: "test-cluster/data-7/99".to_owned(), ..log.report(5) };
        assert_eq!(note(&world, unknown).0, "unknown_journal");
        assert_eq!(world.direct.digest(), before);
        let other = world.data_node(8);
        let of_other = CheckpointReport { node: 8, incarnation: other.incarnation, ..log.report(5) };
        assert_eq!(note(&world, of_other).0, "not_yours");
        world.data_node(7);
        assert_eq!(note(&world, log.report(5)).0, "fenced");
    }

    #[test]
    fn a_later_life_reports_where_the_log_of_an_earlier_one_ended() {
        let world = World::new();
        let mut log = Log::begin(&world, 7);
        log.grow(5, "entry");
        assert_eq!(note(&world, log.report(0)), accepted(5));
        let next = world.data_node(7);
        log.grow(6, "entry");
        let incarnation = next.incarnation;
        let closing = CheckpointReport { incarnation, closing: true, ..log.report(5) };
        assert_eq!(note(&world, closing.clone()), accepted(6));
        let Some(What::Closing(head)) = entries(&world).pop() else { panic!("no closing") };
        assert_eq!((head.origin, head.size), (log.origin(), 6));
        let count = entries(&world).len();
        // Again, since the answer was lost; and no more than that.
        assert_eq!(
            note(&world, CheckpointReport { incarnation, closing: true, ..log.report(6) }),
            accepted(6)
        );
        log.grow(7, "entry");
        let more = CheckpointReport { incarnation, ..log.report(6) };
        assert_eq!(note(&world, more), ("journal_closed".to_owned(), 6));
        assert_eq!(entries(&world).len(), count);
    }

    /// A control log of a later history tells of an older log from its birth.
    #[test]
    fn after_a_restore_a_log_is_carried_over_with_its_birth() {
        let world = World::new();
        let mut log = Log::begin(&world, 7);
        log.grow(5, "entry");
        assert_eq!(note(&world, log.report(0)), accepted(5));
        world.done(AdvanceHistory { from: 1, to: 0 }, &World::node());
        let incarnation = world.data_node(7).incarnation;
        log.grow(6, "entry");
        assert_eq!(
            note(&world, CheckpointReport { incarnation, closing: true, ..log.report(5) }),
            accepted(6)
        );
        let view = world.view();
        let lines: String = trees::entries(&view, 2, 0, 99)
            .expect("memory")
            .iter()
            .map(|row| trees::line(row) + "\n")
            .collect();
        let key = keyring::control_log_key(&view, &World::cluster_keys(), 2).expect("a key");
        let signed = trees::checkpoint(&view, &World::cluster_id(), 2).expect("memory").sign(&key).to_bytes();
        let download = Download { checkpoint: &signed, entries: &lines };
        let verified = verify(download, key.verifying_key(), &[], None).expect("a whole log");
        let standing = &verified.journals[&log.origin()];
        assert_eq!((standing.newest.as_ref().map(|it| it.size), standing.closed), (Some(6), true));
    }

    /// Texts go, the log stays verifiable, and the last word on a log whose node never came back stays as well.
    #[test]
    fn ledgers_are_forgotten_after_their_time_and_not_before() {
        let world = World::new();
        world.tenant("acme");
        world.done(TakeLending {}, &World::node());
        let mut alive = Log::begin(&world, 8);
        let need = World::need(&World::budget_key("acme", "bot", "usd"), 100, 10);
        let ask = World::ask(8, alive.node.incarnation, 1, vec![need]);
        world.done(world.lend(vec![ask]), &World::node());
        world.pass_seconds(3 * 86_400);
        world.done(SweepLimits {}, &World::node());
        let forgotten = |world: &World| {
            let rows = trees::entries(&world.view(), 1, 0, 1_000).expect("memory");
            let row = rows.into_iter().find(|row| row.kind == "ledgers").expect("an entry");
            row.text.is_empty()
        };
        world.pass_seconds(caps::LEDGER_ACCOUNTS_KEPT_SECONDS - caps::AUDIT_CHECKPOINTS_ENTRY_SECONDS);
        for size in 1..4_u64 {
            alive.grow(size as usize, "alive");
            assert_eq!(note(&world, alive.report(size - 1)), accepted(size));
            assert_eq!(forgotten(&world), size > 1, "after {size}");
            world.pass_seconds(caps::AUDIT_CHECKPOINTS_ENTRY_SECONDS);
        }
        trees::check(&world.view()).expect("whole");
    }

    #[test]
    fn superseded_checkpoints_are_forgotten_and_last_words_are_not() {
        let world = World::new();
        let (mut gone, mut alive) = (Log::begin(&world, 7), Log::begin(&world, 8));
        gone.grow(4, "gone");
        let first = NoteCheckpoints { reports: vec![gone.report(0)] };
        world.done(first, &World::node());
        for size in 1..5_u64 {
            world.pass_seconds(caps::AUDIT_CHECKPOINTS_KEPT_SECONDS);
            alive.grow(size as usize, "alive");
            assert_eq!(note(&world, alive.report(size - 1)), accepted(size));
        }
        let view = world.view();
        let rows = trees::entries(&view, 1, 0, 1_000).expect("memory");
        let forgotten = rows.iter().filter(|row| row.text.is_empty()).count();
        assert!((1..4).contains(&forgotten), "{forgotten}");
        let lines: String = rows.iter().map(|row| trees::line(row) + "\n").collect();
        let key = keyring::control_log_key(&view, &World::cluster_keys(), 1).expect("a key");
        let note = trees::checkpoint(&view, &World::cluster_id(), 1).expect("memory").sign(&key).to_bytes();
        let download = Download { checkpoint: &note, entries: &lines };
        let verified = verify(download, key.verifying_key(), &[], None).expect("a whole log");
        assert_eq!(verified.forgotten, forgotten as u64);
        let size = |log: &Log| verified.journals[&log.origin()].newest.as_ref().map(|it| it.size);
        assert_eq!((size(&gone), size(&alive)), (Some(4), Some(4)));
        trees::check(&view).expect("whole");
    }
}
