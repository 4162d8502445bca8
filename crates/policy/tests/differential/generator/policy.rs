//! Random checked sets. They do not come from YAML, so that every shape of the checked form is met, also those
//! that the front writes rarely.

use aegis_model::money::Micros;
use aegis_policy::ast::{
    ApprovalTerms, Condition, Cost, CustomModule, Document, Egress, Entry, Glob, Limits, Mode, Path,
    PolicySet, Redaction, Segment, SourceFile, Span, Subject, Test, TimeWindow,
};
use serde_json::json;

use super::checks::checks;
use super::pools::{self, Random};
use super::schema;
use crate::reference::custom::MODULES;

/// Bytes of one line of the pretended source.
const LINE_BYTES: u32 = 16;

/// A set from its seed.
pub(crate) fn policy(seed: u64) -> PolicySet {
    let mut writer = Writer {
        random: Random::new(seed),
        lines: 0,
        custom: Vec::new(),
        shadow: false,
        earlier: [None, None],
    };
    let observe_only = writer.random.chance(3);
    writer.shadow = observe_only && writer.random.chance(80);
    let count = writer.random.between(1, 3);
    let documents: Vec<Document> = (0..count).map(|index| writer.agents_document(index)).collect();
    let defaults = writer.random.chance(45).then(|| writer.defaults());
    let tenant = writer.random.chance(15).then(|| writer.limits(100));
    let mut files =
        vec![SourceFile { path: "a.yaml".into(), text: "# generated ...\n".repeat(writer.lines).into() }];
    for (index, module) in writer.custom.iter().enumerate() {
        files.push(SourceFile { path: format!("c{index}.rego"), text: MODULES[*module].rego.into() });
    }
    PolicySet { files, documents, defaults, observe_only, tenant, ..PolicySet::default() }
}

struct Writer {
    random: Random,
    lines: usize,
    /// Custom modules used so far; each is a file of its own.
    custom: Vec<usize>,
    /// Everything is in shadow mode.
    shadow: bool,
    /// The last conditions of a denying and of an allowing entry.
    earlier: [Option<Condition>; 2],
}

impl Writer {
    /// The next place in the pretended source.
    fn span(&mut self) -> Span {
        self.lines += 1;
        let line = u32::try_from(self.lines).expect("few lines");
        let start = (line - 1) * LINE_BYTES + 2;
        Span { file: 0, start, end: start + 9, line, column: 3 }
    }

    fn agents_document(&mut self, index: usize) -> Document {
        let mut names = self.random.texts(&pools::AGENT_GLOBS, 3);
        if index == 0 && self.random.chance(80) {
            names.retain(|name| name != "*");
            if names.is_empty() {
                names.push("finance-agent".to_owned());
            }
        }
        let label = match index {
            0 => names.join(","),
            _ => format!("{}#{}", names.join(","), index + 1),
        };
        let allowed = self.random.chance(85);
        self.document(label, names.into_iter().map(Glob).collect(), allowed)
    }

    fn defaults(&mut self) -> Document {
        let allowed = self.random.chance(60);
        self.document("defaults".to_owned(), Vec::new(), allowed)
    }

    fn document(&mut self, label: String, agents: Vec<Glob>, allowed: bool) -> Document {
        let span = self.span();
        let allowed = allowed.then(|| {
            let count = self.random.between(1, 4);
            (0..count).map(|index| self.allowing(format!("{label}/allowed_tools[{index}]"))).collect()
        });
        let count = if self.random.chance(40) { self.random.between(1, 2) } else { 0 };
        let denied = (0..count).map(|index| self.denying(format!("{label}/denied_tools[{index}]"))).collect();
        let egress = self
            .random
            .chance(10)
            .then(|| Egress { allow: vec!["*.stripe.com".into(), "x.com".into()], span: self.span() });
        let custom = self.random.chance(15).then(|| self.custom());
        let limits = self.limits(15);
        Document { label, agents, allowed, denied, egress, limits, custom, span }
    }

    fn custom(&mut self) -> CustomModule {
        self.custom.push(self.random.between(0, MODULES.len() - 1));
        CustomModule { file: u32::try_from(self.custom.len()).expect("few modules"), span: self.span() }
    }

    fn allowing(&mut self, rule: String) -> Entry {
        let tool = Glob((*self.random.pick(&pools::TOOL_GLOBS)).to_owned());
        let actions = self.random.chance(50).then(|| self.globs(&pools::ACTION_GLOBS));
        let condition =
            if self.random.chance(12) { Condition::All(Vec::new()) } else { self.conditions(true) };
        let always_ask = self.random.chance(12);
        let approval = self.random.chance(15).then(|| ApprovalTerms {
            by: vec!["finance-lead".into()],
            of: 1,
            within_seconds: 1800,
            notify: vec!["#payments".into()],
            span: self.span(),
        });
        let redact = match self.random.chance(12) {
            true => vec![
                Redaction::of(
                    json!({"detect": ["us_ssn"], "with": "mask", "keep_last": 4, "on": "both"}),
                    self.span(),
                )
                .expect("a redaction"),
            ],
            false => Vec::new(),
        };
        let limits = self.limits(12);
        let (mode, span) = (self.mode(), self.span());
        Entry { rule, tool, actions, condition, always_ask, approval, redact, limits, mode, span }
    }

    fn denying(&mut self, rule: String) -> Entry {
        let tool = Glob((*self.random.pick(&pools::DENIED_TOOLS)).to_owned());
        let actions = self.random.chance(60).then(|| self.globs(&pools::DENIED_ACTIONS));
        let condition =
            if self.random.chance(10) { Condition::All(Vec::new()) } else { self.conditions(false) };
        let (mode, span) = (self.mode(), self.span());
        Entry {
            rule,
            tool,
            actions,
            condition,
            always_ask: false,
            approval: None,
            redact: Vec::new(),
            limits: Limits::default(),
            mode,
            span,
        }
    }

    fn mode(&mut self) -> Mode {
        if self.shadow || self.random.chance(4) { Mode::Shadow } else { Mode::Enforce }
    }

    fn globs(&mut self, from: &[&str]) -> Vec<Glob> {
        self.random.texts(from, 2).into_iter().map(Glob).collect()
    }

    fn limits(&mut self, percent: u32) -> Limits {
        let mut limits = Limits::default();
        if !self.random.chance(percent) {
            return limits;
        }
        if self.random.chance(60) {
            let rate = *self.random.pick(&[10_000_000, 500_000, 2_250_000, 1]);
            limits.rps_limit = Some((Micros(rate), self.span()));
            limits.burst = self.random.chance(50).then(|| (20, self.span()));
        }
        if self.random.chance(60) {
            let budget = self.random.chance(80).then(|| (Micros(12_500_000), self.span()));
            limits.daily_budget = budget;
            let cost = if self.random.chance(50) {
                Cost::Fixed { value: Micros(20_000), unit: (*self.random.pick(&["usd", "calls"])).into() }
            } else {
                let path = Path(vec![Segment::Key("estimate".into()), Segment::Index(0)]);
                Cost::From { path, max: Micros(5_000_000), unit: "usd".into() }
            };
            limits.cost = self.random.chance(70).then(|| (cost, self.span()));
            limits.timezone = self.random.chance(50).then(|| ("Europe/Berlin".to_owned(), self.span()));
        }
        limits
    }

    /// The conditions of an entry; `allows` tells which tests may ask.
    fn conditions(&mut self, allows: bool) -> Condition {
        if self.random.chance(10)
            && let Some(earlier) = self.earlier.get(usize::from(allows)).cloned().flatten()
        {
            // The same conditions elsewhere in the source.
            return self.moved(earlier);
        }
        if self.random.chance(10) {
            return Condition::All(vec![Condition::Test(self.schema())]);
        }
        let count = match self.random.between(0, 99) {
            0..4 => self.random.between(11, 14),
            _ if allows => self.random.between(1, 4),
            _ => self.random.between(1, 3),
        };
        let condition = Condition::All((0..count).map(|_| self.condition(allows, 3)).collect());
        self.earlier[usize::from(allows)] = Some(condition.clone());
        condition
    }

    /// The condition with places of its own.
    fn moved(&mut self, condition: Condition) -> Condition {
        match condition {
            Condition::All(parts) => Condition::All(parts.into_iter().map(|part| self.moved(part)).collect()),
            Condition::Any(parts) => Condition::Any(parts.into_iter().map(|part| self.moved(part)).collect()),
            Condition::Not(part) => Condition::Not(Box::new(self.moved(*part))),
            Condition::Test(test) => Condition::Test(Test { span: self.span(), ..test }),
        }
    }

    fn condition(&mut self, may_ask: bool, depth: usize) -> Condition {
        let parts = |writer: &mut Self, may_ask: bool| {
            let least = usize::from(writer.random.chance(97));
            let count = writer.random.between(least, 3 * least);
            (0..count).map(|_| writer.condition(may_ask, depth - 1)).collect()
        };
        match self.random.between(0, 99) {
            0..10 if depth > 0 => Condition::Any(parts(self, may_ask)),
            10..17 if depth > 0 => Condition::All(parts(self, may_ask)),
            17..30 if depth > 0 => Condition::Not(Box::new(self.condition(false, depth - 1))),
            30..39 => Condition::Test(self.schema()),
            39..48 => Condition::Test(self.circumstances()),
            _ => Condition::Test(self.test(may_ask)),
        }
    }

    fn schema(&mut self) -> Test {
        let check = aegis_policy::ast::Check::Schema(schema::of_params(&mut self.random).into());
        Test {
            subject: Subject::Params(Path::default()),
            checks: vec![check],
            optional: false,
            approvable: false,
            span: self.span(),
        }
    }

    /// A test of what is never undecided.
    fn circumstances(&mut self) -> Test {
        let subject = match self.random.between(0, 4) {
            0 | 1 => Subject::Callers {
                globs: self.globs(&pools::CALLER_GLOBS),
                none_allowed: self.random.chance(50),
            },
            2 => Subject::ChainDepth(u32::try_from(self.random.between(0, 3)).expect("a small number")),
            _ => Subject::Time(self.window()),
        };
        Test { subject, checks: Vec::new(), optional: false, approvable: false, span: self.span() }
    }

    fn window(&mut self) -> TimeWindow {
        let mut days = [true; 7];
        for day in &mut days {
            *day = self.random.chance(75);
        }
        let minute = |random: &mut Random, least: usize, most: usize| {
            u16::try_from(random.between(least, most)).expect("a minute of the day")
        };
        let (from_minute, to_minute) = match self.random.between(0, 3) {
            0 => (0, 1440),
            1 => (22 * 60, 6 * 60),
            _ => (minute(&mut self.random, 0, 1439), minute(&mut self.random, 1, 1440)),
        };
        TimeWindow { days, from_minute, to_minute, zone: (*self.random.pick(&pools::ZONES)).to_owned() }
    }

    fn test(&mut self, may_ask: bool) -> Test {
        let subject = match self.random.between(0, 99) {
            0..10 => Subject::Context(self.path()),
            10..20 => Subject::Token(self.path()),
            20..32 => Subject::Circumstance {
                name: (*self.random.pick(&pools::CIRCUMSTANCES)).to_owned(),
                verified_only: self.random.chance(35),
            },
            _ => Subject::Params(self.path()),
        };
        Test {
            subject,
            checks: checks(&mut self.random),
            optional: self.random.chance(15),
            approvable: may_ask && self.random.chance(30),
            span: self.span(),
        }
    }

    fn path(&mut self) -> Path {
        let mut path = vec![Segment::Key((*self.random.pick(&pools::FIELDS)).to_owned())];
        let inner = Segment::Key((*self.random.pick(&pools::INNER)).to_owned());
        let index = Segment::Index(u32::try_from(self.random.between(0, 1)).expect("a small number"));
        match self.random.between(0, 99) {
            0..12 => path.push(inner),
            12..18 => path.push(index),
            18..30 => path.push(Segment::Every),
            30..42 => path.extend([Segment::Every, inner]),
            42..46 => path.extend([Segment::Every, Segment::Every]),
            46..50 => path.extend([Segment::Every, inner.clone(), Segment::Every, inner]),
            50..52 => path.extend([inner, index, Segment::Every]),
            _ => {}
        }
        Path(path)
    }
}
