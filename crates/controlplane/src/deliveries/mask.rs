//! What leaves the house is masked: channels lead to programs of others, and a policy that names nothing sensitive is no reason to
//! send a card's number there. The page shows people everything that they are asked about.

use std::sync::Arc;

use aegis_dlp::redact::{Keep, Key, Outcome, Redactor, Rule, What, With};
use aegis_dlp::scanner::{BadDetectors, Precision};
use serde_json::Value;

use super::story::Story;

/// Of what is masked so many characters stay, so that people who know it know it again.
const KEPT: Keep = Keep(4);

/// Stands in the place of parameters or context that cannot be masked: something sensitive is a number or a name in them.
const WITHHELD: &str = r#"{"withheld":"sensitive, and no text that could be masked; open it in Aegis"}"#;

/// Masks what every detector is sure of. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Mask(Arc<Redactor>);

impl Mask {
    /// # Errors
    /// [`BadDetectors`]: never, with those that are built in.
    pub(super) fn new() -> Result<Self, BadDetectors> {
        let rule = Rule {
            what: What::Detect(vec!["all".into()], Precision::Strict),
            with: With::Mask { keep_last: KEPT },
        };
        Redactor::new(&[rule], &[]).map(|redactor| Self(Arc::new(redactor)))
    }

    /// The story, with what an agent said masked.
    pub(super) fn story(&self, mut story: Story) -> Story {
        for text in [&mut story.approval.params, &mut story.approval.context] {
            if !text.is_empty() {
                *text = self.json(text);
            }
        }
        story
    }

    /// JSON, masked.
    fn json(&self, text: &str) -> String {
        // A mask is made without a key.
        let key = Key::new(0, [0; 32]);
        match serde_json::from_str::<Value>(text).map(|value| self.0.json(value, &key)) {
            Ok(Outcome::Clean(_)) => text.to_owned(),
            Ok(Outcome::Cleaned(value, _)) => value.to_string(),
            Ok(Outcome::Refused(_)) | Err(_) => WITHHELD.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::ApprovalState;

    use super::super::story::tests::story;
    use super::*;

    #[test]
    fn what_an_agent_said_leaves_masked() {
        let mask = Mask::new().expect("detectors that are built in");
        let mut told = story(ApprovalState::Pending);
        told.approval.params =
            r#"{"amount":50000,"note":"ssn 536-22-8145","card":"4111 1111 1111 1111"}"#.to_owned();
        told.approval.context = r#"{"purpose":"mail to ann@example.com"}"#.to_owned();
        let told = mask.story(told);
        let (params, context) = (&told.approval.params, &told.approval.context);
        assert!(!params.contains("536-22") && !params.contains("4111"), "{params}");
        assert!(params.contains("50000") && params.contains("8145"), "{params}");
        assert!(!context.contains("ann@example"), "{context}");
        assert!(!told.document().to_string().contains("536-22"));
    }

    #[test]
    fn what_cannot_be_masked_does_not_leave() {
        let mask = Mask::new().expect("detectors that are built in");
        for bad in [r#"{"card":4111111111111111}"#, r#"{"536-22-8145":"the ssn"}"#, "{"] {
            assert_eq!(mask.json(bad), WITHHELD, "{bad}");
        }
        serde_json::from_str::<Value>(WITHHELD).expect("it is JSON, too");
        assert_eq!(
            mask.json(r#"{"b":1, "a":[]}"#),
            r#"{"b":1, "a":[]}"#,
            "byte for byte where nothing is found"
        );
    }
}
