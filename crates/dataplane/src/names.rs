//! Names that a client chooses are kept in records and metrics: tools, actions, request ids. One that is a secret or the number of
//! a person or an account is kept as a digest (AUD-2), whatever a policy says. It is judged as it was sent.

use std::sync::OnceLock;

use aegis_dlp::scanner::{Detectors, Precision, Scanner};
use aegis_model::call::ToolCall;
use aegis_model::ids::{ActionName, ToolName};

use crate::digest::{self, DigestKey};

/// Groups of kinds that no name may be. Addresses of networks name tools, so they may.
const GROUPS: [&str; 4] = ["personal", "financial", "health", "secrets"];

/// A shorter name with fewer digits than [`DIGITS_MIN`] holds nothing that is found.
const BYTES_MIN: usize = 16;

/// Fewest digits of a number of a person or an account.
const DIGITS_MIN: usize = 8;

/// Looks at names. The scanner takes some milliseconds to make, so it is made when a name is worth a look.
#[derive(Debug, Default)]
pub(crate) struct Names(OnceLock<Scanner>);

impl Names {
    /// Covers what is sensitive in the names of a call. To be called when it was judged, before anything is kept of it.
    pub(crate) fn cover(&self, call: &mut ToolCall, key: &DigestKey) {
        (call.tool, call.action) = self.shown(call, key);
        let request_id = call.request_id.as_ref().and_then(|id| self.covered(id.as_str(), key));
        if let Some(covered) = request_id {
            call.request_id = Some(covered.parse().expect("letters, digits and a dash"));
        }
    }

    /// The tool and the action as they may be kept or shown to people.
    pub(crate) fn shown(&self, call: &ToolCall, key: &DigestKey) -> (ToolName, ActionName) {
        let tool = self.covered(call.tool.as_str(), key);
        let action = self.covered(call.action.as_str(), key);
        (
            tool.map_or_else(
                || call.tool.clone(),
                |covered| covered.parse().expect("letters, digits and a dash"),
            ),
            action.map_or_else(
                || call.action.clone(),
                |covered| covered.parse().expect("letters, digits and a dash"),
            ),
        )
    }

    /// What is kept in the place of a name; nothing if the name may be.
    fn covered(&self, name: &str, key: &DigestKey) -> Option<String> {
        let digits = || name.bytes().filter(u8::is_ascii_digit).count();
        if name.len() < BYTES_MIN && digits() < DIGITS_MIN {
            return None;
        }
        let report = self.0.get_or_init(scanner).scan(name.as_bytes());
        let nothing = report.findings.is_empty() && report.unread.is_empty();
        (!nothing).then(|| format!("withheld-{}", &digest::hex(&key.of(name.as_bytes()))[..32]))
    }
}

fn scanner() -> Scanner {
    let detectors =
        GROUPS.iter().try_fold(Detectors::new(), |all, group| all.named(group, Precision::Strict));
    detectors.and_then(Scanner::new).expect("the groups are built in")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::call;

    #[test]
    fn secrets_and_numbers_of_people_are_covered_and_names_are_not() {
        let (names, key) = (Names::default(), DigestKey::new(&[7; 32]));
        let covered = |name: &str| names.covered(name, &key);
        for name in [
            "stripe-payments",
            "mcp/github.create_pull_request",
            "3f2b8c1e-7d44-4c9b-9a51-0f6e2d7c8b90",
            "http://10.0.0.1/tool",
            // Was printed in advertisements: nobody's number.
            "ssn/219-09-9999",
        ] {
            assert_eq!(covered(name), None, "{name}");
        }
        for name in ["ghp_1234567890abcdefghijklmnopqrstuvwxyz", "ssn/219-09-9998", "4111111111111111"] {
            let instead = covered(name).unwrap_or_else(|| panic!("{name} is kept"));
            assert!(instead.starts_with("withheld-") && !instead.contains(name));
            assert_eq!(covered(name), Some(instead), "always the same");
        }
    }

    #[test]
    fn the_names_of_a_call_are_covered_each() {
        let (names, key) = (Names::default(), DigestKey::new(&[7; 32]));
        let secret = "ghp_1234567890abcdefghijklmnopqrstuvwxyz";
        let mut call = ToolCall {
            tool: secret.parse().unwrap(),
            action: secret.parse().unwrap(),
            request_id: Some(secret.parse().unwrap()),
            ..call(1)
        };
        names.cover(&mut call, &key);
        assert!(!format!("{call:?}").contains(secret), "{call:?}");
    }
}
