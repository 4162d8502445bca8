//! Counts what the inputs exercised: outcomes, and every matcher true, false and undecided.

use std::cell::RefCell;
use std::collections::BTreeMap;

use aegis_model::decision::Outcome;
use aegis_policy::ast::{Check, Condition, Keyword, PolicySet, Subject, Test};
use serde_json::Value;

use crate::reference::check;
use crate::reference::condition::{Need, places, test_truth};
use crate::reference::relevant;
use crate::reference::truth::{Reached, Truth, What};

/// How often a matcher was true, false, undecided because of the value, and undecided because of its absence.
type Row = [usize; 4];

/// Column of values that could not be judged.
const UNDECIDED: usize = 2;
/// Column of absent values.
const ABSENT: usize = 3;

/// Every matcher that has to be exercised, and whether a value can be there and leave it undecided.
const CHECKS: [(&str, bool); 21] = [
    ("Equals", true),
    ("OneOf", true),
    ("Min", true),
    ("Max", true),
    ("Type", false),
    ("Matches", true),
    ("Finds", true),
    ("StartsWith", true),
    ("EndsWith", true),
    ("Length", true),
    ("ContainsAny", true),
    ("ContainsAll", true),
    ("Each", true),
    ("HostIn", true),
    ("DomainIn", true),
    ("Within", true),
    ("CidrIn", true),
    ("Not", true),
    ("Schema", false),
    ("under `not`", true),
    ("in a denial", true),
];

/// Subjects, and whether they can be undecided.
const SUBJECTS: [(&str, bool); 8] = [
    ("params", true),
    ("context", true),
    ("token", true),
    ("circumstance", true),
    ("[*]", true),
    ("callers", false),
    ("chain depth", false),
    ("time", false),
];

/// Keywords of schemas that have to be exercised.
const KEYWORDS: [&str; 28] = [
    "Type",
    "Enum",
    "Const",
    "Minimum",
    "Maximum",
    "ExclusiveMinimum",
    "ExclusiveMaximum",
    "MultipleOf",
    "MinLength",
    "MaxLength",
    "Pattern",
    "MinItems",
    "MaxItems",
    "UniqueItems",
    "PrefixItems",
    "Items",
    "Contains",
    "MinProperties",
    "MaxProperties",
    "Required",
    "Properties",
    "AdditionalProperties",
    "PropertyNamesPattern",
    "AllOf",
    "AnyOf",
    "OneOf",
    "Not",
    "IfThenElse",
];

/// See the module.
#[derive(Default)]
pub(crate) struct Coverage {
    pub(crate) inputs: usize,
    outcomes: BTreeMap<&'static str, usize>,
    checks: BTreeMap<&'static str, Row>,
    subjects: BTreeMap<&'static str, Row>,
    keywords: BTreeMap<&'static str, Row>,
}

impl Coverage {
    /// Counts one judged input.
    pub(crate) fn record(&mut self, set: &PolicySet, input: &Value, outcome: Outcome) {
        self.inputs += 1;
        *self.outcomes.entry(outcome.as_str()).or_default() += 1;
        RECORDER.set(Some(BTreeMap::new()));
        for (entry, need) in relevant(set, input) {
            self.condition(&entry.condition, need, need == Need::False, false, input);
        }
        for (name, [holds, fails]) in RECORDER.take().unwrap_or_default() {
            let row = self.keywords.entry(name).or_default();
            row[0] += usize::from(holds > 0);
            row[1] += usize::from(fails > 0);
        }
    }

    fn condition(&mut self, condition: &Condition, need: Need, denies: bool, negated: bool, input: &Value) {
        match condition {
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().for_each(|part| self.condition(part, need, denies, negated, input));
            }
            Condition::Not(part) => self.condition(part, need.turned(), denies, true, input),
            Condition::Test(test) => self.test(test, need, denies, negated, input),
        }
    }

    fn test(&mut self, test: &Test, need: Need, denies: bool, negated: bool, input: &Value) {
        let reached = places(&test.subject, input);
        let absent = reached.as_ref().is_some_and(|reached| matches!(reached.what, What::Absent));
        let column = column(test_truth(test, need, input), absent);
        let mut names = vec![match &test.subject {
            Subject::Params(_) => "params",
            Subject::Context(_) => "context",
            Subject::Token(_) => "token",
            Subject::Circumstance { .. } => "circumstance",
            Subject::Callers { .. } => "callers",
            Subject::ChainDepth(_) => "chain depth",
            Subject::Time(_) => "time",
        }];
        if matches!(&reached, Some(Reached { what: What::Each(_) | What::NotArray, .. })) {
            names.push("[*]");
        }
        for name in names {
            self.subjects.entry(name).or_default()[column] += 1;
        }
        for (name, applies) in [("under `not`", negated), ("in a denial", denies)] {
            if applies {
                self.checks.entry(name).or_default()[column] += 1;
            }
        }
        let Some(reached) = reached else { return };
        // One test counts once per column, however many elements it looked at.
        let mut seen: BTreeMap<&'static str, Row> = BTreeMap::new();
        looked_at(&reached, test, &mut seen);
        for (name, columns) in seen {
            let row = self.checks.entry(name).or_default();
            for (count, seen) in row.iter_mut().zip(columns) {
                *count += usize::from(seen > 0);
            }
        }
    }

    /// Adds what another thread counted.
    pub(crate) fn merge(&mut self, other: Self) {
        self.inputs += other.inputs;
        for (name, count) in other.outcomes {
            *self.outcomes.entry(name).or_default() += count;
        }
        let tables = [
            (&mut self.checks, other.checks),
            (&mut self.subjects, other.subjects),
            (&mut self.keywords, other.keywords),
        ];
        for (table, others) in tables {
            for (name, columns) in others {
                for (count, more) in table.entry(name).or_default().iter_mut().zip(columns) {
                    *count += more;
                }
            }
        }
    }

    /// What is missing for `share` (1.0: all) of the demanded coverage.
    pub(crate) fn gaps(&self, share: f64) -> Vec<String> {
        /// Least share of the inputs that each outcome has.
        const OUTCOME_PERCENT: usize = 10;
        /// Least count of every matcher's truth values, for 10,000 inputs.
        const TIMES: f64 = 50.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 50")]
        let times = (TIMES * share.min(1.0)).ceil() as usize;
        let mut gaps = Vec::new();
        for outcome in [Outcome::Allow, Outcome::Deny, Outcome::ApprovalRequired] {
            let count = self.outcomes.get(outcome.as_str()).copied().unwrap_or_default();
            if count * 100 < self.inputs * OUTCOME_PERCENT {
                gaps.push(format!("outcome {outcome}: {count} of {} inputs", self.inputs));
            }
        }
        let mut demand = |table: &BTreeMap<&'static str, Row>, name: &str, columns: &[(usize, &str)]| {
            let row = table.get(name).copied().unwrap_or_default();
            for (column, what) in columns {
                if row[*column] < times {
                    gaps.push(format!("{name} was {what} {} times, not {times}", row[*column]));
                }
            }
        };
        let decided = [(0, "true"), (1, "false")];
        let absent = [(0, "true"), (1, "false"), (ABSENT, "undecided for absence")];
        let all = [
            (0, "true"),
            (1, "false"),
            (ABSENT, "undecided for absence"),
            (UNDECIDED, "undecided by its value"),
        ];
        for (name, by_value) in CHECKS {
            let columns: &[(usize, &str)] = match name {
                // It looks at the parameters as a whole, which are always there.
                "Schema" => &decided,
                _ if by_value => &all,
                _ => &absent,
            };
            demand(&self.checks, name, columns);
        }
        for (name, undecided) in SUBJECTS {
            let columns: &[(usize, &str)] = match name {
                "[*]" => &[(0, "true"), (1, "false"), (UNDECIDED, "undecided")],
                _ if undecided => &all,
                _ => &decided,
            };
            demand(&self.subjects, name, columns);
        }
        // Keywords are many: only a full run meets each often enough.
        let keywords = if share >= 1.0 { &KEYWORDS[..] } else { &[] };
        for name in keywords {
            demand(&self.keywords, name, &decided);
        }
        gaps
    }

    /// A table for people.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("{} inputs: {:?}\n", self.inputs, self.outcomes);
        text.push_str("matcher                     true   false undecided  absent\n");
        for (name, [holds, fails, undecided, absent]) in self.subjects.iter().chain(&self.checks) {
            text.push_str(&format!("{name:<24}{holds:>8}{fails:>8}{undecided:>10}{absent:>8}\n"));
        }
        for (name, [holds, fails, ..]) in &self.keywords {
            text.push_str(&format!("schema {name:<17}{holds:>8}{fails:>8}\n"));
        }
        text
    }
}

fn column(truth: Truth, absent: bool) -> usize {
    match truth {
        Truth::True => 0,
        Truth::False => 1,
        Truth::Undecided if absent => ABSENT,
        Truth::Undecided => UNDECIDED,
    }
}

fn looked_at(reached: &Reached<'_>, test: &Test, seen: &mut BTreeMap<&'static str, Row>) {
    match &reached.what {
        What::Each(elements) => elements.iter().for_each(|element| looked_at(element, test, seen)),
        What::Value(value) => test.checks.iter().for_each(|check| check_of(check, value, seen)),
        What::Absent if test.optional => {}
        What::Absent | What::NotArray => {
            for check in &test.checks {
                seen.entry(check_name(check)).or_default()[ABSENT] += 1;
            }
        }
    }
}

fn check_of(check: &Check, value: &Value, seen: &mut BTreeMap<&'static str, Row>) {
    seen.entry(check_name(check)).or_default()[column(check::truth(check, value), false)] += 1;
    match (check, value) {
        (Check::Not(check), _) => check_of(check, value, seen),
        (Check::Each(checks), Value::Array(elements)) => {
            for element in elements {
                checks.iter().for_each(|check| check_of(check, element, seen));
            }
        }
        _ => {}
    }
}

fn check_name(check: &Check) -> &'static str {
    match check {
        Check::Equals(_) => "Equals",
        Check::OneOf(_) => "OneOf",
        Check::Min(_) => "Min",
        Check::Max(_) => "Max",
        Check::Type(_) => "Type",
        Check::Matches(_) => "Matches",
        Check::Finds(_) => "Finds",
        Check::StartsWith(_) => "StartsWith",
        Check::EndsWith(_) => "EndsWith",
        Check::Length { .. } => "Length",
        Check::ContainsAny(_) => "ContainsAny",
        Check::ContainsAll(_) => "ContainsAll",
        Check::Each(_) => "Each",
        Check::HostIn(_) => "HostIn",
        Check::DomainIn(_) => "DomainIn",
        Check::Within(_) => "Within",
        Check::CidrIn(_) => "CidrIn",
        Check::Not(_) => "Not",
        Check::Schema(_) => "Schema",
    }
}

thread_local! {
    static RECORDER: RefCell<Option<BTreeMap<&'static str, [usize; 2]>>> = const { RefCell::new(None) };
}

/// Called by the interpreter for every keyword it evaluates; counts while an input is being recorded.
/// `None`: the keyword did not speak of the value.
pub(crate) fn keyword(keyword: &Keyword, holds: Option<bool>) {
    let Some(holds) = holds else { return };
    RECORDER.with_borrow_mut(|recorder| {
        if let Some(recorder) = recorder {
            recorder.entry(keyword_name(keyword)).or_default()[usize::from(!holds)] += 1;
        }
    });
}

fn keyword_name(keyword: &Keyword) -> &'static str {
    match keyword {
        Keyword::Type(_) => "Type",
        Keyword::Enum(_) => "Enum",
        Keyword::Const(_) => "Const",
        Keyword::Minimum(_) => "Minimum",
        Keyword::Maximum(_) => "Maximum",
        Keyword::ExclusiveMinimum(_) => "ExclusiveMinimum",
        Keyword::ExclusiveMaximum(_) => "ExclusiveMaximum",
        Keyword::MultipleOf(_) => "MultipleOf",
        Keyword::MinLength(_) => "MinLength",
        Keyword::MaxLength(_) => "MaxLength",
        Keyword::Pattern(_) => "Pattern",
        Keyword::MinItems(_) => "MinItems",
        Keyword::MaxItems(_) => "MaxItems",
        Keyword::UniqueItems => "UniqueItems",
        Keyword::PrefixItems(_) => "PrefixItems",
        Keyword::Items { .. } => "Items",
        Keyword::Contains(_) => "Contains",
        Keyword::MinProperties(_) => "MinProperties",
        Keyword::MaxProperties(_) => "MaxProperties",
        Keyword::Required(_) => "Required",
        Keyword::Properties(_) => "Properties",
        Keyword::AdditionalProperties { .. } => "AdditionalProperties",
        Keyword::PropertyNamesPattern(_) => "PropertyNamesPattern",
        Keyword::AllOf(_) => "AllOf",
        Keyword::AnyOf(_) => "AnyOf",
        Keyword::OneOf(_) => "OneOf",
        Keyword::Not(_) => "Not",
        Keyword::IfThenElse { .. } => "IfThenElse",
    }
}
