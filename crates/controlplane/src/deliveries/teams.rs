//! Microsoft Teams: an Adaptive Card 1.5, posted to a workflow's address. Its button opens the page where people sign in and answer.
//!
//! A workflow's message cannot be changed: what became of a request is another message. What an agent said stands only in text runs,
//! which are shown as they are, without Markdown.

use aegis_proto::control::ApprovalState;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::out::{Out, Undelivered};
use super::secrets::Secrets;
use super::story::{Story, cut};

/// How many characters are shown of the parameters, of a text, and of a fact: a message of Teams holds 28 KB.
const PARAMS_CHARS: usize = 3_000;
const TEXT_CHARS: usize = 900;
const FACT_CHARS: usize = 300;

/// How many characters may stand together without a place where a line can be broken: cards are narrow on a telephone.
const UNBROKEN_CHARS: usize = 24;
/// Such a place, which is not seen (zero width space). An agent's own are spelled out before.
const BREAK: char = '\u{200b}';

/// Whether there is something to say that was not said before: not that an approved call was made, or not made, as asked.
pub(super) fn is_news(told: ApprovalState, standing: ApprovalState) -> bool {
    told != standing && !matches!(told, ApprovalState::Approved | ApprovalState::Redeemed)
}

/// Tells how a request stands.
pub(super) async fn send(out: &Out, secrets: &Secrets, story: &Story) -> Result<(), Undelivered> {
    post(out, secrets, card(story)).await
}

/// Says something that asks nobody for anything.
pub(super) async fn test(out: &Out, secrets: &Secrets) -> Result<(), Undelivered> {
    post(out, secrets, greeting()).await
}

/// See [`test`].
pub(super) fn greeting() -> Value {
    let body = [run("Aegis can write here. Requests for approval will follow.", TEXT_CHARS, false)];
    envelope(&body, &[])
}

async fn post(out: &Out, secrets: &Secrets, message: Value) -> Result<(), Undelivered> {
    let url = out.address(&secrets.url)?;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = serde_json::to_vec(&message).expect("JSON is written as JSON");
    out.post(url, headers, body).await.map(|_taken| ())
}

fn envelope(body: &[Value], actions: &[Value]) -> Value {
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.5",
                "body": body,
                "actions": actions,
            },
        }],
    })
}

pub(super) fn card(story: &Story) -> Value {
    let mut body = vec![json!({
        "type": "RichTextBlock",
        "inlines": [{"type": "TextRun", "text": breakable(&cut(&story.headline(), TEXT_CHARS).0), "size": "Large", "weight": "Bolder"}],
    })];
    for warning in story.warnings() {
        body.push(json!({
            "type": "RichTextBlock",
            "inlines": [{"type": "TextRun", "text": warning, "color": "Attention", "weight": "Bolder"}],
        }));
    }
    for (name, value) in story.facts() {
        let value = breakable(&cut(&value, FACT_CHARS).0);
        body.push(json!({
            "type": "RichTextBlock",
            "spacing": "Small",
            "inlines": [
                {"type": "TextRun", "text": format!("{name}: "), "weight": "Bolder"},
                {"type": "TextRun", "text": value},
            ],
        }));
    }
    let (reasons, outcome) = (story.reasons(), story.outcome());
    if !reasons.is_empty() {
        body.push(run(&reasons, TEXT_CHARS, false));
    }
    let (params, whole) = story.params(PARAMS_CHARS);
    if !params.is_empty() {
        body.push(run(&params, PARAMS_CHARS + 1, true));
    }
    if !whole {
        let more = "The parameters are longer than this: look at the page before you decide.";
        body.push(run(more, TEXT_CHARS, false));
    }
    if !outcome.is_empty() {
        body.push(run(&outcome, TEXT_CHARS, false));
    }
    let title = if story.is_pending() { "Look at it and decide" } else { "Open in Aegis" };
    let actions = [json!({"type": "Action.OpenUrl", "title": title, "url": story.url})];
    envelope(&body, &actions)
}

fn run(text: &str, chars_max: usize, is_code: bool) -> Value {
    let font = if is_code { "Monospace" } else { "Default" };
    let run = json!({"type": "TextRun", "text": breakable(&cut(text, chars_max).0), "fontType": font});
    json!({"type": "RichTextBlock", "inlines": [run]})
}

/// A text that a line can be broken in everywhere it has to be: what is written without spaces, as JSON is, would run out of the card, and what
/// stands at its end would not be seen. Nor can it be read as a link, should a client read Markdown in text runs.
fn breakable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let (mut unbroken, mut before) = (0, ' ');
    for it in text.chars() {
        if unbroken == UNBROKEN_CHARS || (before == ']' && it == '(') {
            shown.push(BREAK);
            unbroken = 0;
        }
        shown.push(it);
        unbroken = if it.is_whitespace() { 0 } else { unbroken + 1 };
        before = it;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::super::story::tests::story;
    use super::*;

    const STATES: [ApprovalState; 6] = [
        ApprovalState::Pending,
        ApprovalState::Approved,
        ApprovalState::Rejected,
        ApprovalState::Expired,
        ApprovalState::Redeemed,
        ApprovalState::Cancelled,
    ];

    #[test]
    fn what_is_said_twice_is_said_once() {
        use ApprovalState::{Approved, Expired, Pending, Redeemed, Rejected, Unspecified};
        assert!(
            is_news(Unspecified, Pending) && is_news(Unspecified, Rejected) && is_news(Pending, Approved)
        );
        assert!(!is_news(Pending, Pending) && !is_news(Approved, Redeemed) && !is_news(Approved, Expired));
    }

    fn members(value: &Value, may: &[&str]) {
        let object = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
        for name in object.keys() {
            assert!(may.contains(&name.as_str()), "`{name}` in {value}");
        }
    }

    fn one_of(value: &Value, may: &[&str]) {
        assert!(
            value.is_null() || value.as_str().is_some_and(|text| may.contains(&text)),
            "{value}: {may:?}"
        );
    }

    /// The elements that are used here, by the published schema of Adaptive Cards 1.5: every member, its type and its values.
    fn check_element(element: &Value) {
        members(element, &["type", "inlines", "spacing"]);
        assert_eq!(element["type"], "RichTextBlock");
        one_of(
            &element["spacing"],
            &["Default", "None", "Small", "Medium", "Large", "ExtraLarge", "Padding"],
        );
        let inlines = element["inlines"].as_array().expect("inlines");
        assert!(!inlines.is_empty());
        for inline in inlines {
            members(inline, &["type", "text", "size", "weight", "color", "fontType"]);
            assert!(
                inline["type"] == "TextRun" && inline["text"].as_str().is_some_and(|text| !text.is_empty())
            );
            one_of(&inline["size"], &["Default", "Small", "Medium", "Large", "ExtraLarge"]);
            one_of(&inline["weight"], &["Default", "Lighter", "Bolder"]);
            one_of(&inline["color"], &["Default", "Dark", "Light", "Accent", "Good", "Warning", "Attention"]);
            one_of(&inline["fontType"], &["Default", "Monospace"]);
        }
    }

    #[test]
    fn every_card_has_the_form_that_is_published() {
        for state in STATES {
            let message = card(&story(state));
            members(&message, &["type", "attachments"]);
            let attachments = message["attachments"].as_array().expect("attachments");
            assert!(message["type"] == "message" && attachments.len() == 1);
            members(&attachments[0], &["contentType", "content"]);
            let card = &attachments[0]["content"];
            members(card, &["$schema", "type", "version", "body", "actions"]);
            assert!(card["type"] == "AdaptiveCard" && card["version"] == "1.5");
            card["body"].as_array().expect("a body").iter().for_each(check_element);
            for action in card["actions"].as_array().expect("actions") {
                members(action, &["type", "title", "url"]);
                assert!(action["type"] == "Action.OpenUrl" && action["title"].is_string());
                assert!(action["url"].as_str().is_some_and(|url| url.starts_with("https://")));
            }
        }
    }

    #[test]
    fn nothing_runs_out_of_a_card_and_nothing_reads_as_a_link() {
        let json = format!("{{\"memo\":\"{}\",\"amount\":50000}}", "x".repeat(100));
        let shown = breakable(&json);
        assert!(shown.split([BREAK, ' ']).all(|part| part.chars().count() <= UNBROKEN_CHARS), "{shown}");
        assert_eq!(shown.replace(BREAK, ""), json, "nothing else is changed");
        assert_eq!(breakable("a few words"), "a few words");
        assert_eq!(breakable("[c](https://evil)"), "[c]\u{200b}(https://evil)");
        for state in STATES {
            let card = card(&story(state));
            for block in card["attachments"][0]["content"]["body"].as_array().expect("a body") {
                for run in block["inlines"].as_array().expect("inlines") {
                    let text = run["text"].as_str().expect("a text");
                    let long = text.split(|it: char| it == BREAK || it.is_whitespace());
                    assert!(
                        long.map(|part| part.chars().count()).all(|part| part <= UNBROKEN_CHARS),
                        "{text}"
                    );
                    assert!(!text.contains("]("), "{text}");
                }
            }
        }
    }

    #[test]
    fn a_card_is_small_enough_and_reads_nothing_of_what_an_agent_says() {
        for state in STATES {
            let card = card(&story(state));
            let text = card.to_string();
            assert!(text.len() < 28_000, "{state:?}: {}", text.len());
            assert!(!text.contains("TextBlock\",\"text") && !text.contains('\u{202e}'), "{text}");
            let action = &card["attachments"][0]["content"]["actions"][0];
            assert_eq!(
                (&action["type"], &action["url"]),
                (&json!("Action.OpenUrl"), &json!(story(state).url))
            );
        }
    }
}
