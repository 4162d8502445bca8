//! Taking a token back to its value.

use std::collections::BTreeMap;

use aegis_audit::record::Sealed;
use aegis_identity::sealing::SealingError;
use aegis_model::secret::Secret;
use aegis_proto::admin::{RevealValueRequest, RevealedValue, SealedValues};
use aegis_proto::control as rows;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::row;
use crate::admin::caller::Caller;
use crate::admin::{Problem, form};
use crate::keys;

/// Gives the value that a token stands for. The record comes first: whoever may not, learns nothing, and whoever asked is known.
pub(crate) async fn reveal(caller: &Caller, request: RevealValueRequest) -> Result<RevealedValue, Problem> {
    let tenant = form::tenant(&request.tenant)?;
    let SealedValues { key, tokens, values } = request.sealed.clone().unwrap_or_default();
    if !tokens.contains(&request.token) {
        let wanted = "`sealed` of a record whose `tokens` have this token among them";
        return Err(Problem::invalid("sealed", wanted));
    }
    let bytes =
        STANDARD.decode(&values).map_err(|_error| Problem::invalid("sealed", "`values` in base64"))?;
    let note = rows::NoteReveal {
        tenant: tenant.to_string(),
        token: request.token.clone(),
        reason: request.reason.clone(),
    };
    row!(caller.write("RevealValue", &request, note).await?, Tenant)?;
    let admin = caller.admin();
    let version = u32::try_from(key).unwrap_or(0);
    let opener = keys::sealing_key(&admin.control().view()?, admin.cluster_keys(), &tenant, version)?;
    let opener = opener.ok_or_else(|| {
        Problem::invalid(
            "sealed",
            format!("a version of the key that is kept; {key} is not, or never sealed"),
        )
    })?;
    let about = Sealed::about(&tenant, key, &tokens);
    let plain = opener.open(&about, &bytes).map_err(|error| match error {
        SealingError::Refused | SealingError::Key => {
            Problem::invalid("sealed", "`sealed` as the record of this tenant has it, unchanged")
        }
    })?;
    let mut values =
        read(plain.expose()).ok_or_else(|| Problem::invalid("sealed", "what a data node sealed"))?;
    let value = values
        .remove(&request.token)
        .ok_or_else(|| Problem::invalid("sealed", "`sealed` of a record in which this token was made"))?;
    Ok(RevealedValue { tenant: request.tenant, token: request.token, value: value.expose().clone() })
}

/// The values by their tokens. All of them are wiped, but for the one that is given.
fn read(plain: &[u8]) -> Option<BTreeMap<String, Secret<String>>> {
    let values: BTreeMap<String, String> = serde_json::from_slice(plain).ok()?;
    Some(values.into_iter().map(|(token, value)| (token, Secret::new(value))).collect())
}
