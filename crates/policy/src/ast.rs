//! The checked policy set: what the sources mean, with every shorthand already spelled out.
//!
//! The front (`read`, `check`) makes it from YAML; the back (`compile`) turns it into Rego units and an
//! index; `diff` draws boundary calls from it. It is the one intermediate form: a condition is a formula of
//! [`Test`]s under Kleene's three-valued logic.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

pub use crate::redaction::{Detector, Redaction};

/// Where something stands in the sources. Lines and columns count from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// Index into [`PolicySet::files`].
    pub file: u32,
    /// Byte offset of the first byte in the file.
    pub start: u32,
    /// Byte offset behind the last byte.
    pub end: u32,
    /// Line of `start`.
    pub line: u32,
    /// Column of `start`.
    pub column: u32,
}

/// One source file of the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Path relative to the folder of the set, with `/`.
    pub path: String,
    /// The text as read.
    pub text: Arc<str>,
}

/// A whole, checked policy set of one tenant.
#[derive(Debug, Clone, Default)]
pub struct PolicySet {
    /// Every file that was read, sorted by path: YAML, JSON, schemas, Rego.
    pub files: Vec<SourceFile>,
    /// The documents that name agents, in order of file and place.
    pub documents: Vec<Document>,
    /// The `defaults` document, if there is one.
    pub defaults: Option<Document>,
    /// `defaults: {mode: shadow}`: the tenant only observes.
    pub observe_only: bool,
    /// Every `mode: shadow` in the sources.
    pub shadow: Vec<Span>,
    /// Limits of the tenant as a whole.
    pub tenant: Option<Limits>,
    /// The tenant's own detectors, in order.
    pub detectors: Vec<Detector>,
}

/// Whether a part takes part in the enforced verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It does.
    #[default]
    Enforce,
    /// It counts in the second verdict only.
    Shadow,
}

/// A document: rules for the agents it names, or the defaults.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// Unique within the set; begins each rule's name: the agents' names joined by `,`, or `defaults`;
    /// from the second document of the same label on with `#2`, `#3`, ….
    pub label: String,
    /// The agents it applies to, as globs. Empty in `defaults`.
    pub agents: Vec<Glob>,
    /// Allowing entries, in order. `None`: the field is absent, so that the default's applies.
    pub allowed: Option<Vec<Entry>>,
    /// Denying entries, in order.
    pub denied: Vec<Entry>,
    /// Outbound domains, when the document restricts them.
    pub egress: Option<Egress>,
    /// Limits of the agent as a whole.
    pub limits: Limits,
    /// The custom module.
    pub custom: Option<CustomModule>,
    /// The whole document.
    pub span: Span,
}

/// A name pattern: `*` is any run of characters, nothing else is special.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Glob(pub String);

impl Glob {
    /// Whether it names exactly one name.
    pub fn is_exact(&self) -> bool {
        !self.0.contains('*')
    }

    /// Whether `name` matches; case counts.
    pub fn matches(&self, name: &str) -> bool {
        aegis_model::scope::glob_matches(&self.0, name)
    }
}

/// One element of `allowed_tools` or `denied_tools`.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name in reasons and records, e.g. `finance-agent/allowed_tools[0]`.
    pub rule: String,
    /// The tools it speaks of. In a denying entry already in lower case.
    pub tool: Glob,
    /// The actions; `None`: every action. In a denying entry already in lower case.
    pub actions: Option<Vec<Glob>>,
    /// Its conditions; `Condition::All(vec![])` where it has none.
    pub condition: Condition,
    /// Whether it asks a person even when all conditions hold.
    pub always_ask: bool,
    /// How an approval is given, when the entry says so.
    pub approval: Option<ApprovalTerms>,
    /// Redactions, in order.
    pub redact: Vec<Redaction>,
    /// Limits of the entry.
    pub limits: Limits,
    /// Whether it is enforced (an entry of a shadow document is `Shadow` too).
    pub mode: Mode,
    /// The entry's name field, for positions.
    pub span: Span,
}

/// A formula over tests. In an allowing entry it has to be true; in a denying entry it has to be false
/// for the call to escape the denial.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Every part; empty is true.
    All(Vec<Condition>),
    /// At least one part; empty is false.
    Any(Vec<Condition>),
    /// The opposite; undecided stays undecided.
    Not(Box<Condition>),
    /// A leaf.
    Test(Test),
}

impl Condition {
    /// Whether there is nothing to test.
    pub fn is_always(&self) -> bool {
        matches!(self, Self::All(parts) if parts.iter().all(Condition::is_always))
    }

    /// Calls `visit` for every test, in order.
    pub fn for_each_test<'a>(&'a self, visit: &mut dyn FnMut(&'a Test)) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.for_each_test(visit)),
            Self::Not(part) => part.for_each_test(visit),
            Self::Test(test) => visit(test),
        }
    }
}

/// A leaf: what is looked at, and all checks that one value has to pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// What is looked at.
    pub subject: Subject,
    /// All have to hold of the same value; never empty for subjects that are values.
    pub checks: Vec<Check>,
    /// An absent value (or `[*]` over nothing) counts as whatever lets the call pass this test.
    pub optional: bool,
    /// A false result (not an undecided one) asks a person instead of denying. Never under `not` and
    /// never in a denying entry.
    pub approvable: bool,
    /// The matcher in the source.
    pub span: Span,
}

/// What a test looks at.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// `input.params` + path. The empty path is the whole object (for schemas).
    Params(Path),
    /// `input.context` + path: the caller's word.
    Context(Path),
    /// `input.token` + path: fixed when the token was minted.
    Token(Path),
    /// `purpose` or `environment`: `input.token.NAME`, else (unless `verified_only`) `input.context.NAME`.
    Circumstance {
        /// `purpose` or `environment`.
        name: String,
        /// `require: verified`: only the token counts.
        verified_only: bool,
    },
    /// The delegation chain, against globs: every member must match; an empty chain passes only if
    /// `none_allowed`. Always decided; `checks` is empty.
    Callers {
        /// Permitted members.
        globs: Vec<Glob>,
        /// `none` stands in the list.
        none_allowed: bool,
    },
    /// At most so many members in the delegation chain. Always decided; `checks` is empty.
    ChainDepth(u32),
    /// Within a time window. Always decided; `checks` is empty.
    Time(TimeWindow),
}

/// A path into a JSON document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path(pub Vec<Segment>);

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// A member of an object.
    Key(String),
    /// An element of an array, from 0.
    Index(u32),
    /// `[*]`: every element of an array. At most [`STARS_MAX`] in a path.
    Every,
}

/// Most `[*]` in one path.
pub const STARS_MAX: usize = 3;

/// A window of local time that recurs weekly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeWindow {
    /// Days on which it begins; index 0 is Monday.
    pub days: [bool; 7],
    /// First minute of the day that is inside, 0 to 1439.
    pub from_minute: u16,
    /// First minute that is outside again, 1 to 1440. Not above `from_minute`: the window ends on the next day.
    pub to_minute: u16,
    /// IANA name of the zone, as checked against the time zone database.
    pub zone: String,
}

/// JSON's types, and `integer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JsonType {
    /// `null`
    Null,
    /// `boolean`
    Boolean,
    /// `number`
    Number,
    /// `integer`: a number without a fraction
    Integer,
    /// `string`
    String,
    /// `array`
    Array,
    /// `object`
    Object,
}

/// One check of one value: true, false, or undecided (wrong type, not canonical).
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// Deep equality. A value of another JSON type is undecided.
    Equals(Value),
    /// Equal to one of them. A value whose JSON type none of them has is undecided.
    OneOf(Vec<Value>),
    /// A number, at least this. Not a number: undecided.
    Min(serde_json::Number),
    /// A number, at most this. Not a number: undecided.
    Max(serde_json::Number),
    /// Has this type. Always decided.
    Type(JsonType),
    /// The whole string matches. Not a string: undecided. The pattern is already in the common subset,
    /// with explicit classes, and anchored: `^(?:…)$` in single-line text mode with `\z` semantics.
    Matches(String),
    /// The string matches somewhere. As `Matches`, not anchored.
    Finds(String),
    /// Begins with one of them. Not a string: undecided.
    StartsWith(Vec<String>),
    /// Ends with one of them. Not a string: undecided.
    EndsWith(Vec<String>),
    /// Number of characters (Unicode scalar values), elements or members. Another type: undecided.
    Length {
        /// At least; `None`: no bound.
        min: Option<u32>,
        /// At most; `None`: no bound.
        max: Option<u32>,
    },
    /// An array that has an element equal to one of them / a string that contains one of them (those that are
    /// strings). False for an array needs every element to have the JSON type of one of them, else undecided.
    ContainsAny(Vec<Value>),
    /// Like `ContainsAny`, but all of them. (`contains: x` is `ContainsAll([x])`.)
    ContainsAll(Vec<Value>),
    /// A non-empty array whose every element passes all. Kleene's "and" over elements; not an array or empty: undecided.
    Each(Vec<Check>),
    /// A canonical URL or host (with optional port) whose host is one of them. Otherwise not canonical: undecided.
    HostIn(Vec<String>),
    /// As `HostIn`, but subdomains count too.
    DomainIn(Vec<String>),
    /// A canonical absolute path that is one of these folders or lies below one.
    Within(Vec<String>),
    /// A canonical IP address in one of these networks (canonical `address/bits`).
    CidrIn(Vec<String>),
    /// The opposite; undecided stays undecided (`not_…` forms).
    Not(Box<Check>),
    /// Satisfies the schema. Always decided. The schema is checked: local `$ref`s are resolved, only
    /// compilable keywords remain.
    Schema(Arc<Schema>),
}

/// A checked JSON Schema (2020-12): the conjunction of its keywords.
#[derive(Debug, Clone, PartialEq)]
pub enum Schema {
    /// `true` or `false`.
    Bool(bool),
    /// Keywords in a fixed order.
    Keywords(Vec<Keyword>),
}

/// One assertion of a schema. Those that speak of one type hold for every value of another type.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names and meanings are those of JSON Schema 2020-12")]
pub enum Keyword {
    Type(Vec<JsonType>),
    Enum(Vec<Value>),
    Const(Value),
    Minimum(serde_json::Number),
    Maximum(serde_json::Number),
    ExclusiveMinimum(serde_json::Number),
    ExclusiveMaximum(serde_json::Number),
    /// A positive integer.
    MultipleOf(u64),
    MinLength(u32),
    MaxLength(u32),
    /// In the common regex subset, not anchored.
    Pattern(String),
    MinItems(u32),
    MaxItems(u32),
    UniqueItems,
    PrefixItems(Vec<Schema>),
    /// For the elements behind `PrefixItems` (its length is given).
    Items {
        from: u32,
        schema: Box<Schema>,
    },
    Contains(Box<Schema>),
    MinProperties(u32),
    MaxProperties(u32),
    Required(Vec<String>),
    Properties(Vec<(String, Schema)>),
    /// For members whose name is none of `except`.
    AdditionalProperties {
        except: Vec<String>,
        schema: Box<Schema>,
    },
    PropertyNamesPattern(String),
    AllOf(Vec<Schema>),
    AnyOf(Vec<Schema>),
    OneOf(Vec<Schema>),
    Not(Box<Schema>),
    IfThenElse {
        condition: Box<Schema>,
        then: Box<Schema>,
        otherwise: Box<Schema>,
    },
}

/// How an approval is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApprovalTerms {
    /// Roles or people who may approve.
    pub by: Vec<String>,
    /// How many of them have to.
    pub of: u32,
    /// For how many seconds the request stays open.
    pub within_seconds: u64,
    /// Channels to tell.
    pub notify: Vec<String>,
    /// The field in the source.
    #[serde(skip)]
    pub span: Span,
}

/// Outbound domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Egress {
    /// `example.com` or `*.example.com` (exactly one label more), lower case.
    pub allow: Vec<String>,
    /// The field in the source.
    pub span: Span,
}

/// Limits of a tenant, an agent or an entry.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    /// Calls per second, in millionths of a call.
    pub rps_limit: Option<(aegis_model::money::Micros, Span)>,
    /// Calls at once.
    pub burst: Option<(u32, Span)>,
    /// Amount per day, decimal text.
    pub daily_budget: Option<(aegis_model::money::Micros, Span)>,
    /// What one call costs.
    pub cost: Option<(Cost, Span)>,
    /// IANA zone in which the day begins.
    pub timezone: Option<(String, Span)>,
}

impl Limits {
    /// The unit of the cost, if one is stated.
    pub fn unit(&self) -> Option<&str> {
        self.cost.as_ref().map(|(cost, _)| cost.unit())
    }

    /// The zone in which days begin, if one is stated.
    pub fn zone(&self) -> Option<&str> {
        self.timezone.as_ref().map(|(zone, _)| zone.as_str())
    }
}

impl Document {
    /// The unit in which its entries cost. A set is checked to have one only, where it matters.
    pub fn unit_of_entries(&self) -> Option<&str> {
        self.allowed.iter().flatten().find_map(|entry| entry.limits.unit())
    }
}

/// What one call costs.
#[derive(Debug, Clone, PartialEq)]
pub enum Cost {
    /// Always the same.
    Fixed {
        /// Amount of `unit`.
        value: aegis_model::money::Micros,
        /// The currency or other unit.
        unit: String,
    },
    /// Read from the call.
    From {
        /// `params.…`, without `[*]`.
        path: Path,
        /// Reserved while unknown, and the most that is believed.
        max: aegis_model::money::Micros,
        /// The currency or other unit.
        unit: String,
    },
}

impl Cost {
    /// The currency or other unit.
    pub fn unit(&self) -> &str {
        match self {
            Self::Fixed { unit, .. } | Self::From { unit, .. } => unit,
        }
    }

    /// The most that one call costs.
    pub fn most(&self) -> aegis_model::money::Micros {
        match self {
            Self::Fixed { value: most, .. } | Self::From { max: most, .. } => *most,
        }
    }
}

/// A custom Rego module of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomModule {
    /// Index into [`PolicySet::files`].
    pub file: u32,
    /// The `rego:` field that names it.
    pub span: Span,
}
