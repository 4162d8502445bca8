//! The messages of Slack and Teams as they leave, against goldens. `AEGIS_GOLDENS=write` writes them anew; `.ci/payloads` holds them
//! against what the vendors publish, and draws them.

use std::path::Path;

use aegis_proto::control::ApprovalState;
use serde_json::{Map, Value};

use super::story::Story;
use super::story::tests::{everyday, story};
use super::{slack, teams};

/// Every state in which a request is told.
const STATES: [(&str, ApprovalState); 6] = [
    ("pending", ApprovalState::Pending),
    ("approved", ApprovalState::Approved),
    ("rejected", ApprovalState::Rejected),
    ("expired", ApprovalState::Expired),
    ("redeemed", ApprovalState::Redeemed),
    ("cancelled", ApprovalState::Cancelled),
];

/// One message per state of an everyday request, two of a hostile one, and what else `kind` says.
fn messages(of: impl Fn(&Story) -> Value, more: &[(&str, Value)]) -> Value {
    let everyday = STATES.iter().map(|(name, state)| (format!("everyday {name}"), of(&everyday(*state))));
    let hostile = [STATES[0], STATES[2]].map(|(name, state)| (format!("hostile {name}"), of(&story(state))));
    let more = more.iter().map(|(name, message)| ((*name).to_owned(), message.clone()));
    Value::Object(everyday.chain(hostile).chain(more).collect::<Map<_, _>>())
}

fn check(kind: &str, made: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/deliveries/{kind}.json"));
    let made = format!("{made:#}\n");
    if std::env::var("AEGIS_GOLDENS").is_ok_and(|mode| mode == "write") {
        std::fs::write(&path, &made).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(made == golden, "{} differs; look, and write it anew with AEGIS_GOLDENS=write", path.display());
}

#[test]
fn messages_of_slack_are_what_they_were() {
    check("slack", &messages(slack::message, &[("whispered", slack::whispered("U1", "<!channel> no"))]));
}

#[test]
fn messages_of_teams_are_what_they_were() {
    check("teams", &messages(teams::card, &[("test", teams::greeting())]));
}
