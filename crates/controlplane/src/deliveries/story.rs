//! What is told of a request: one account of it, which each kind of channel puts into its own form.

use aegis_model::ids::TenantId;
use aegis_proto::admin;
use aegis_proto::control::{Approval, ApprovalState};
use serde_json::Value;

use crate::admin::approval_document;
use crate::control::Applied;
use crate::state::approvals;

/// A request as it is told.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) standing: ApprovalState,
    /// As REST shows it.
    pub(crate) approval: admin::Approval,
    /// The page where people look at it, and answer.
    pub(crate) url: String,
    /// How many more of the agent wait behind it.
    pub(crate) behind: u64,
    /// How often it was given back after it was used: then it stands as before once more.
    given_back: usize,
}

impl Story {
    /// The story of `row` at this moment, for people who reach control nodes at `public_url`.
    pub(crate) fn of(row: &Approval, now: Applied, public_url: &str, behind: u64) -> Self {
        Self {
            standing: approvals::standing(row, now.history, now.log_time_ms),
            approval: approval_document(row.clone(), now),
            url: page(public_url, &row.tenant, &row.id),
            behind,
            given_back: row.given_back.len(),
        }
    }

    /// How it stands, as everywhere.
    pub(crate) fn state(&self) -> &'static str {
        approvals::state_name(self.standing)
    }

    /// Whether people are asked still.
    pub(crate) fn is_pending(&self) -> bool {
        self.standing == ApprovalState::Pending
    }

    /// When it came to stand so.
    pub(super) fn at(&self) -> &str {
        let Self { approval, .. } = self;
        match self.standing {
            ApprovalState::Pending | ApprovalState::Unspecified => &approval.opened_at,
            ApprovalState::Approved => &approval.decided_at,
            _ if approval.ended_at.is_empty() => &approval.expires_at,
            _ => &approval.ended_at,
        }
    }

    /// Names what is told: the same for each attempt, and of its own for each way in which the request came to stand so.
    pub(super) fn message_id(&self) -> String {
        format!("{}.{}.{}", self.approval.id, self.state(), self.given_back)
    }

    /// The request as a document, with the address of its page.
    pub(super) fn document(&self) -> Value {
        let mut document = serde_json::to_value(&self.approval).expect("a message is written as JSON");
        if let Value::Object(members) = &mut document {
            members.insert("url".to_owned(), Value::from(self.url.as_str()));
        }
        document
    }

    /// One line: who wants to do what.
    pub(super) fn headline(&self) -> String {
        let Self { approval, .. } = self;
        let head = if self.is_pending() { "Approval needed" } else { capital(self.state()) };
        let action = if approval.action == "call" { String::new() } else { format!(" {}", approval.action) };
        visible(&format!("{head}: {}{action}", approval.tool))
    }

    /// What there is to know, by name, in the order in which it matters.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let Self { approval, .. } = self;
        let mut facts = vec![
            ("Agent", approval.agent.clone()),
            ("Called by", approval.callers.join(", called by ")),
            ("Tool", approval.tool.clone()),
            ("Action", approval.action.clone()),
            ("Cost", approval.cost.clone()),
            ("Tenant", approval.tenant.clone()),
            ("Policy", format!("version {}: {}", approval.version, self.rules())),
            ("Asked", self.asked()),
        ];
        if self.is_pending() {
            facts.push(("Until", approval.expires_at.replace(".000000000Z", "Z")));
        }
        facts.retain(|(_, value)| !value.is_empty());
        for (_, value) in &mut facts {
            *value = visible(value);
        }
        facts
    }

    /// Why people are asked, a line each.
    pub(super) fn reasons(&self) -> String {
        let line = |reason: &admin::ApprovalReason| {
            let at = if reason.path.is_empty() { String::new() } else { format!(" at {}", reason.path) };
            visible(&format!("{}{at}: {}", reason.code, reason.message))
        };
        self.approval.reasons.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Who said what, and what became of it; nothing while nobody has said anything.
    pub(super) fn outcome(&self) -> String {
        let mut lines = Vec::new();
        for vote in &self.approval.votes {
            let said = if vote.approve { "agreed" } else { "said no" };
            let why = if vote.reason.is_empty() { String::new() } else { format!(": {}", vote.reason) };
            lines.push(format!("{} {said}{why}", vote.person));
        }
        if !self.approval.cancelled_because.is_empty() {
            lines.push(format!("Cancelled: {}", self.approval.cancelled_because));
        }
        if self.standing == ApprovalState::Redeemed {
            lines.push("The call was made.".to_owned());
        }
        lines.iter().map(|line| visible(line)).collect::<Vec<_>>().join("\n")
    }

    /// What should make one look twice; nothing where nothing does.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.is_pending() {
            return warnings;
        }
        if self.approval.similar > 0 {
            let similar = self.approval.similar;
            let plural = if similar == 1 { "request" } else { "requests" };
            warnings.push(format!(
                "Similar: {similar} {plural} of this agent for this tool and action within the day before."
            ));
        }
        if self.behind > 0 {
            let plural = if self.behind == 1 { "request" } else { "requests" };
            warnings.push(format!("{} more {plural} of this agent wait behind this one.", self.behind));
        }
        warnings
    }

    /// The parameters, at most so many characters of them, and whether that is all.
    pub(super) fn params(&self, chars_max: usize) -> (String, bool) {
        cut(&visible(&self.approval.params), chars_max)
    }

    fn rules(&self) -> String {
        let mut rules: Vec<&str> = self.approval.terms.iter().map(|terms| terms.rule.as_str()).collect();
        rules.retain(|rule| !rule.is_empty());
        rules.dedup();
        rules.join(", ")
    }

    fn asked(&self) -> String {
        let of = |terms: &admin::ApprovalTerms| format!("{} of {}", terms.of, terms.by.join(", "));
        self.approval.terms.iter().map(of).collect::<Vec<_>>().join(", and ")
    }
}

/// Where people look at a request. Tenants and ids have no character that means something in an address, but `/`.
pub(crate) fn page(base: &str, tenant: &str, approval: &str) -> String {
    format!("{}{}", base.trim_end_matches('/'), page_path(tenant, approval))
}

/// The path of that page.
pub(crate) fn page_path(tenant: &str, approval: &str) -> String {
    format!("/approvals/{}/{approval}", tenant.replace('/', "%2F"))
}

/// Where Slack sends what people press, for a channel: a path.
pub(crate) fn callback_path(tenant: &TenantId, channel: &str) -> String {
    let segment = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        text.bytes().map(one).collect::<String>()
    };
    format!("/callbacks/slack/{}/{}", segment(tenant.as_str()), segment(channel))
}

/// A text of an agent as people are shown it: what is invisible, or makes text read otherwise than it is, is spelled out.
pub(crate) fn visible(text: &str) -> String {
    let hides = |it: char| {
        (it.is_control() && it != '\n')
            || matches!(it, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    let mut shown = String::with_capacity(text.len());
    for it in text.chars() {
        if hides(it) { shown.push_str(&format!("\\u{{{:x}}}", u32::from(it))) } else { shown.push(it) }
    }
    shown
}

/// As many characters as fit, and whether that is all.
pub(super) fn cut(text: &str, chars_max: usize) -> (String, bool) {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => (format!("{}…", text.get(..at).unwrap_or_default()), false),
        None => (text.to_owned(), true),
    }
}

fn capital(state: &'static str) -> &'static str {
    match state {
        "approved" => "Approved",
        "rejected" => "Rejected",
        "expired" => "Expired",
        "redeemed" => "Approved and made",
        "cancelled" => "Cancelled",
        _ => "Request",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use aegis_proto::control::{ApprovalCall, ApprovalReason, ApprovalTerms, ApprovalVote};

    use super::*;

    /// A request with everything in it that an agent can say, of which as much as possible is hostile.
    pub(in crate::deliveries) fn story(state: ApprovalState) -> Story {
        let long = "x".repeat(20_000);
        let hostile = "<!channel> *b* [c](https://evil.example) ```\" \\ \u{202e}gpj <script>";
        let call = ApprovalCall {
            agent: "payer".to_owned(),
            callers: vec!["planner".to_owned(); 4],
            tool: "t".repeat(256),
            action: "create_payment".to_owned(),
            params: format!("{{\"amount\":50000,\"note\":{:?},\"rest\":\"{long}\"}}", hostile).into_bytes(),
            context: b"{}".to_vec(),
            cost: "0.25".to_owned(),
            version: 12,
            reasons: vec![
                ApprovalReason {
                    code: "ParameterOutOfRange".to_owned(),
                    message: hostile.repeat(7),
                    path: "/params/amount".to_owned(),
                    rule: "finance-agent/allowed_tools[0]".to_owned(),
                };
                16
            ],
            ..ApprovalCall::default()
        };
        let terms = ApprovalTerms {
            rule: "finance-agent/allowed_tools[0]".to_owned(),
            by: vec!["finance-lead".to_owned(); 64],
            of: 2,
            ..ApprovalTerms::default()
        };
        let vote = |person: &str, reason: &str| ApprovalVote {
            person: person.to_owned(),
            approve: state != ApprovalState::Rejected,
            reason: reason.to_owned(),
            at_ms: 2,
        };
        let row = Approval {
            tenant: "acme/eu".to_owned(),
            id: "Zr5C4lYqk0vZJ1c7m2Hn9A".to_owned(),
            number: 1,
            history: 1,
            state: state.into(),
            call: Some(call),
            terms: vec![terms; 3],
            opened_ms: 1,
            expires_ms: 1_000,
            similar: 7,
            votes: if state == ApprovalState::Pending {
                vec![]
            } else {
                vec![vote("ann", hostile), vote("bob", &long)]
            },
            ..Approval::default()
        };
        let now = Applied { history: 1, log_time_ms: 5, ..Applied::default() };
        Story::of(&row, now, "https://aegis.example.com/", 2)
    }

    /// A request as they mostly are.
    pub(in crate::deliveries) fn everyday(state: ApprovalState) -> Story {
        let call = ApprovalCall {
            agent: "finance-agent".to_owned(),
            callers: vec!["planner".to_owned()],
            tool: "stripe-payments".to_owned(),
            action: "create_payment".to_owned(),
            params: br#"{"amount":50000,"currency":"EUR","invoice":"2026-1041","note":"second half, as agreed","vendor":"acme"}"#
                .to_vec(),
            context: b"{}".to_vec(),
            cost: "0.25".to_owned(),
            version: 12,
            reasons: vec![ApprovalReason {
                code: "ParameterOutOfRange".to_owned(),
                message: "`50000` is more than `5000`".to_owned(),
                path: "/params/amount".to_owned(),
                rule: "finance-agent/allowed_tools[0]".to_owned(),
            }],
            ..ApprovalCall::default()
        };
        let terms = ApprovalTerms {
            rule: "finance-agent/allowed_tools[0]".to_owned(),
            by: vec!["finance-lead".to_owned()],
            of: 1,
            ..ApprovalTerms::default()
        };
        let vote = ApprovalVote {
            person: "ann@acme.example".to_owned(),
            approve: state != ApprovalState::Rejected,
            reason: "the invoice is right".to_owned(),
            at_ms: 1_795_780_900_000,
        };
        let row = Approval {
            tenant: "acme".to_owned(),
            id: "Zr5C4lYqk0vZJ1c7m2Hn9A".to_owned(),
            number: 1,
            history: 1,
            state: state.into(),
            call: Some(call),
            terms: vec![terms],
            opened_ms: 1_795_780_800_000,
            expires_ms: 1_795_784_400_000,
            votes: if matches!(state, ApprovalState::Pending | ApprovalState::Expired) {
                vec![]
            } else {
                vec![vote]
            },
            ..Approval::default()
        };
        let now = Applied { history: 1, log_time_ms: 1_795_781_000_000, ..Applied::default() };
        Story::of(&row, now, "https://aegis.example.com/", 0)
    }

    #[test]
    fn what_hides_is_spelled_out() {
        assert_eq!(visible("a\u{202e}b\u{200b}\u{1}\né"), "a\\u{202e}b\\u{200b}\\u{1}\né");
        let (params, whole) = story(ApprovalState::Pending).params(100);
        assert!(!whole && params.chars().count() == 101 && !params.contains('\u{202e}'));
    }

    #[test]
    fn addresses_of_tenants_with_slashes_are_whole() {
        assert_eq!(
            story(ApprovalState::Pending).url,
            "https://aegis.example.com/approvals/acme%2Feu/Zr5C4lYqk0vZJ1c7m2Hn9A"
        );
        let path = callback_path(&"acme/eu".parse().expect("a name"), "#pay ments");
        assert_eq!(path, "/callbacks/slack/acme%2Feu/%23pay%20ments");
    }

    #[test]
    fn a_message_is_known_again_by_its_id() {
        let pending = story(ApprovalState::Pending);
        assert_eq!(pending.message_id(), story(ApprovalState::Pending).message_id());
        assert_ne!(pending.message_id(), story(ApprovalState::Approved).message_id());
        assert_eq!(pending.document()["url"], pending.url.as_str());
        assert_eq!(pending.document()["state"], "pending");
    }
}
