//! Strict JSON: what is judged is what is forwarded, so nothing ambiguous is read.

/// A JSON object with sorted keys.
pub type JsonObject = serde_json::Map<String, serde_json::Value>;
