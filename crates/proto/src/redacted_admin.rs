//! `Debug` of the admin API's messages that hold tokens, policies or bundles: sizes and names only.

use std::fmt::{Debug, Formatter, Result};

use crate::admin::{
    Approval, BundlePiece, FoundDecision, IssuedPersonToken, MintedToken, PolicySource,
    PublishVersionRequest, RevealedValue, SetChannelRequest,
};

impl Debug for MintedToken {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("MintedToken")
            .field("token_id", &self.token_id)
            .field("tenant", &self.tenant)
            .field("agent", &self.agent)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl Debug for RevealedValue {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("RevealedValue")
            .field("tenant", &self.tenant)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

impl Debug for IssuedPersonToken {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("IssuedPersonToken")
            .field("token_id", &self.token_id)
            .field("person", &self.person)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl Debug for Approval {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("Approval")
            .field("tenant", &self.tenant)
            .field("id", &self.id)
            .field("state", &self.state)
            .field("agent", &self.agent)
            .field("tool", &self.tool)
            .field("action", &self.action)
            .field("params_bytes", &self.params.len())
            .field("context_bytes", &self.context.len())
            .field("votes", &self.votes)
            .finish_non_exhaustive()
    }
}

impl Debug for FoundDecision {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("FoundDecision")
            .field("log", &self.log)
            .field("index", &self.index)
            .field("at", &self.at)
            .field("record_bytes", &self.record.len())
            .field("linked", &self.linked)
            .finish_non_exhaustive()
    }
}

impl Debug for PolicySource {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("PolicySource")
            .field("path", &self.path)
            .field("text_bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

impl Debug for SetChannelRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("SetChannelRequest")
            .field("tenant", &self.tenant)
            .field("channel", &self.channel)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Debug for PublishVersionRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("PublishVersionRequest")
            .field("tenant", &self.tenant)
            .field("sources", &self.sources.len())
            .field("bundle_bytes", &self.bundle.len())
            .finish_non_exhaustive()
    }
}

impl Debug for BundlePiece {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("BundlePiece").field("data_bytes", &self.data.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_shows_a_token_or_a_policy() {
        let text = || "KEEP-OUT".to_owned();
        let minted = MintedToken { token: text(), ..Default::default() };
        let issued = IssuedPersonToken { token: text(), ..Default::default() };
        let revealed = RevealedValue { value: text(), ..Default::default() };
        let source = PolicySource { path: "a.yaml".to_owned(), text: text() };
        let publish = PublishVersionRequest {
            sources: vec![source.clone()],
            bundle: "KEEP-OUT".into(),
            ..Default::default()
        };
        let piece = BundlePiece { data: "KEEP-OUT".into() };
        let approval = Approval { params: text(), context: text(), ..Default::default() };
        let channel = SetChannelRequest { url: text(), secret: text(), token: text(), ..Default::default() };
        let shown = format!(
            "{minted:?} {issued:?} {revealed:?} {source:?} {publish:?} {piece:?} {approval:?} {channel:?}"
        );
        assert!(!shown.contains("KEEP-OUT"), "{shown}");
    }
}
