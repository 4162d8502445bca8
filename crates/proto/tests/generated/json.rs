//! The JSON form of the admin API's messages: attributes that the generator puts on them.

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// Bundles: kept as slices of the received message instead of copies.
pub(crate) const BYTES_FIELDS: [&str; 2] =
    [".aegis.v1.PublishVersionRequest.bundle", ".aegis.v1.BundlePiece.data"];

/// Messages that hold tokens, policies or bundles: `src/redacted.rs` writes their `Debug`.
pub(crate) const WITHOUT_DEBUG: [&str; 9] = [
    ".aegis.v1.FoundDecision",
    ".aegis.v1.SetChannelRequest",
    ".aegis.v1.Approval",
    ".aegis.v1.MintedToken",
    ".aegis.v1.IssuedPersonToken",
    ".aegis.v1.PolicySource",
    ".aegis.v1.RevealedValue",
    ".aegis.v1.PublishVersionRequest",
    ".aegis.v1.BundlePiece",
];

/// Messages that are no JSON documents.
const NOT_JSON: [&str; 1] = ["BundlePiece"];

/// Parts of requests: read as strictly as requests.
const PARTS: [&str; 5] = ["PolicySource", "TokenClaim", "CanaryShare", "ChannelMember", "SealedValues"];

/// What stands in the path of a REST operation, or is its body as it is, and so not in the JSON document.
const OUTSIDE: [&str; 28] = [
    "UpdateTenantRequest.tenant",
    "RegisterAgentRequest.tenant",
    "UpdateAgentRequest.tenant",
    "UpdateAgentRequest.agent",
    "SetAgentKeysRequest.tenant",
    "SetAgentKeysRequest.agent",
    "AddAgentKeyRequest.tenant",
    "AddAgentKeyRequest.agent",
    "SetIssuerRequest.tenant",
    "SetIssuerRequest.issuer",
    "MintTokenRequest.tenant",
    "RevealValueRequest.tenant",
    "RevokeRequest.tenant",
    "PublishVersionRequest.tenant",
    "PublishVersionRequest.bundle",
    "PutLabelRequest.tenant",
    "PutLabelRequest.label",
    "ActivateRequest.tenant",
    "RollbackRequest.tenant",
    "AdjustBudgetRequest.tenant",
    "SetChannelRequest.tenant",
    "SetChannelRequest.channel",
    "ApprovalVoteRequest.tenant",
    "ApprovalVoteRequest.approval",
    "AdjustOrganizationBudgetRequest.organization",
    "SetOrganizationLimitsRequest.organization",
    "PutPersonRequest.person",
    "IssuePersonTokenRequest.person",
];

/// What a request cannot do without.
const REQUIRED: [&str; 21] = [
    "CreateTenantRequest.name",
    "RegisterAgentRequest.name",
    "SetAgentKeysRequest.public_keys",
    "AddAgentKeyRequest.public_key",
    "SetIssuerRequest.iss",
    "SetIssuerRequest.aud",
    "SetIssuerRequest.algorithm",
    "SetIssuerRequest.key_set",
    "MintTokenRequest.agent",
    "MintTokenRequest.scope",
    "RevokeRequest.kind",
    "RevokeRequest.subject",
    "PublishVersionRequest.sources",
    "AdjustBudgetRequest.unit",
    "AdjustOrganizationBudgetRequest.unit",
    "PutLabelRequest.version",
    "SetChannelRequest.kind",
    "ActivateRequest.enforced",
    "AddMemberRequest.name",
    "AddMemberRequest.address",
    "RotateKeyRequest.kind",
];

/// Texts that hold JSON objects, and stand in the document as objects.
const JSON_TEXTS: [&str; 4] =
    ["CallChange.params", "CallChange.context", "CallChange.token", "FoundDecision.record"];

const DOCUMENT: &str = "#[derive(serde::Serialize, serde::Deserialize)]\n#[serde(default)]";
const STRICT: &str = "#[serde(deny_unknown_fields)]";
const SCHEMA: &str = "#[cfg_attr(feature = \"openapi\", derive(utoipa::ToSchema))]";

/// Attributes of messages, by path.
pub(crate) fn message_attributes(set: &FileDescriptorSet) -> Vec<(String, &'static str)> {
    let mut attributes = Vec::new();
    for message in messages(set).filter(|message| !NOT_JSON.contains(&message.name())) {
        let path = format!(".aegis.v1.{}", message.name());
        attributes.push((path.clone(), DOCUMENT));
        if is_read(message) {
            attributes.push((path.clone(), STRICT));
        }
        attributes.push((path, SCHEMA));
    }
    attributes
}

/// Attributes of fields, by path.
pub(crate) fn field_attributes(set: &FileDescriptorSet) -> Vec<(String, &'static str)> {
    let mut attributes = Vec::new();
    for message in messages(set).filter(|message| !NOT_JSON.contains(&message.name())) {
        for field in &message.field {
            let name = format!("{}.{}", message.name(), field.name());
            let path = format!(".aegis.v1.{name}");
            if OUTSIDE.contains(&name.as_str()) {
                attributes.push((path, "#[serde(skip)]"));
                continue;
            }
            if JSON_TEXTS.contains(&name.as_str()) {
                attributes.push((path.clone(), "#[serde(with = \"crate::json_text\")]"));
                let schema = "#[cfg_attr(feature = \"openapi\", schema(value_type = Object))]";
                attributes.push((path.clone(), schema));
            }
            if is_optional(field) {
                attributes.push((path.clone(), "#[serde(skip_serializing_if = \"Option::is_none\")]"));
            }
            let answered = !is_read(message) && !is_optional(field);
            if answered || REQUIRED.contains(&name.as_str()) {
                attributes.push((path, "#[cfg_attr(feature = \"openapi\", schema(required = true))]"));
            }
        }
    }
    attributes
}

fn messages(set: &FileDescriptorSet) -> impl Iterator<Item = &DescriptorProto> {
    set.file.iter().flat_map(|file| &file.message_type)
}

/// Whether clients send it.
fn is_read(message: &DescriptorProto) -> bool {
    message.name().ends_with("Request") || PARTS.contains(&message.name())
}

/// Whether the generated field is an `Option`.
fn is_optional(field: &FieldDescriptorProto) -> bool {
    field.proto3_optional() || (field.r#type() == Type::Message && field.label() != Label::Repeated)
}
