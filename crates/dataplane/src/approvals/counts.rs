//! How the control plane answers what it is asked about approvals.

use std::sync::atomic::{AtomicU64, Ordering};

use aegis_model::metric::Family;

use super::desk::Unreachable;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Question {
    Open,
    Redeem,
}

const QUESTIONS: [&str; 2] = ["open", "redeem"];
const ANSWERS: [&str; 3] = ["answered", "refused", "late"];

/// The questions of this process.
#[derive(Debug, Default)]
pub(super) struct Counts([[AtomicU64; ANSWERS.len()]; QUESTIONS.len()]);

impl Counts {
    pub(super) fn note<T>(&self, question: Question, answer: &Result<T, Unreachable>) {
        let at = match answer {
            Ok(_) => 0,
            Err(Unreachable::Refused) => 1,
            Err(Unreachable::Late | Unreachable::None) => 2,
        };
        self.0[question as usize][at].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn family(&self) -> Family {
        let help = "Questions to the control plane about approvals, by kind and by what came of them.";
        let mut family = Family::counter("aegis_approval_questions_total", help);
        for (question, counts) in QUESTIONS.iter().zip(&self.0) {
            for (answer, count) in ANSWERS.iter().zip(counts) {
                let labels = [("answer", *answer), ("question", *question)];
                family = family.with(&labels, count.load(Ordering::Relaxed) as f64);
            }
        }
        family
    }
}
