//! `Admitted` → `Inspected`: what the policy calls sensitive is taken out of the parameters, or the call is denied.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use aegis_dlp::redact::{Found, Key, Outcome as Looked, Redactor};
use aegis_model::decision::{Outcome, Reason, Redaction};
use aegis_model::json::JsonObject;
use aegis_model::reason::ReasonCode;
use aegis_policy::obligation::{Duty, Obligation};
use aegis_policy::prepared::redactors::Cleaning;
use serde_json::{Value, json};

use crate::case::{Admitted, Case, Inspected, Refusal};
use crate::decider::Decider;
use crate::laps::Stage;
use crate::sealing::Sealer;
use crate::sensitive::{self, Cleaner, Place, ResultRules};

/// Cleans the parameters, and notes what becomes of the result. Pure: the same parameters under the same version and key are
/// cleaned alike on every node (DLP-1).
///
/// Refuses for: what a rule blocks; what was found where it cannot be cleaned, as in a number or a key; what cannot be looked
/// at. Then the call costs nothing.
pub(crate) fn inspect(decider: &Decider, admitted: Admitted) -> Result<Inspected, Refusal> {
    let Admitted { mut case, verdict, admission } = admitted;
    if !verdict.obligations.iter().any(asks_to_redact) {
        return Ok(Inspected { case, verdict, admission });
    }
    // A panic leaves half-cleaned parameters behind, which nobody uses: the call is denied.
    let asks = verdict.outcome != Outcome::Allow;
    let looked = catch_unwind(AssertUnwindSafe(|| look(&mut case, &verdict.obligations, asks)));
    case.laps.lap(Stage::Inspect);
    decider.metrics.found(&case.findings);
    let reasons = match looked {
        Ok(Ok(())) => return Ok(Inspected { case, verdict, admission }),
        Ok(Err(reasons)) => reasons,
        Err(_panic) => {
            // The payload may quote the call, so it is not shown.
            tracing::error!("looking for sensitive data panicked; the call is denied");
            vec![Reason::plain(ReasonCode::SensitiveData, "the parameters could not be looked at")]
        }
    };
    admission.refund(decider.clock.monotonic());
    case.limits = None;
    Err(Refusal { case, outcome: Outcome::Deny, reasons })
}

fn asks_to_redact(obligation: &Obligation) -> bool {
    matches!(obligation.duty(), Duty::Redact(_))
}

fn look(case: &mut Case, obligations: &[Obligation], asks: bool) -> Result<(), Vec<Reason>> {
    let (Some(version), Some(tenant)) = (case.version.clone(), case.tenant.clone()) else {
        return Err(vec![Reason::plain(ReasonCode::SensitiveData, "no policy says what is sensitive")]);
    };
    let cleaning = version.cleaning(obligations).map_err(|bad| {
        vec![Reason::plain(ReasonCode::SensitiveData, format!("the rules cannot be applied together: {bad}"))]
    })?;
    let Some(key) = tenant.redaction_key(cleaning.needs_key) else {
        let message =
            "the tenant has no secret key yet, and without it nothing stands in the place of a value";
        return Err(vec![Reason::plain(ReasonCode::PolicyUnavailable, message)]);
    };
    let sealer = tenant.sealer().filter(|_| cleaning.needs_seal).cloned();
    if cleaning.needs_seal && sealer.is_none() {
        let message = "the tenant has no key to seal values with yet; `aegis tenant rotate-key` makes one";
        return Err(vec![Reason::plain(ReasonCode::PolicyUnavailable, message)]);
    }
    let Cleaning { params, result, record, needs_key: _, needs_seal: _ } = cleaning;
    if let Some(redactor) = &params {
        clean(case, redactor, &key, sealer.as_deref(), obligations)?;
        let cleaner = || Cleaner { redactor: Arc::clone(redactor), key: Arc::clone(&key) };
        case.cleaned_by = (!case.redactions.is_empty()).then(cleaner);
    }
    if let Some(redactor) = &record {
        case.stored_params = Some(clean_for_record(case, redactor, &key));
    }
    if asks {
        // People are shown the circumstances as well.
        let redactors = [&params, &record].into_iter().flatten();
        let cleaned = redactors
            .fold(case.call.context.clone(), |context, redactor| cleaned_or_nothing(context, redactor, &key));
        case.stored_context = Some(cleaned);
    }
    if result.is_some() || record.is_some() {
        case.result_rules = Some(Box::new(ResultRules { result, record, key, sealer }));
    }
    explain(case);
    Ok(())
}

/// What is passed on.
fn clean(
    case: &mut Case,
    redactor: &Redactor,
    key: &Key,
    sealer: Option<&Sealer>,
    obligations: &[Obligation],
) -> Result<(), Vec<Reason>> {
    let (looked, kept) = redactor.json_keeping(Value::Object(case.call.params.clone()), key);
    match looked {
        Looked::Clean(_) => Ok(()),
        Looked::Cleaned(Value::Object(params), found) => {
            case.findings.add(&found, Place::Params);
            case.sealed = sensitive::sealed(sealer, &kept).map_err(|not_sealed| {
                vec![Reason::plain(ReasonCode::SensitiveData, format!("the parameters: {not_sealed}"))]
            })?;
            case.call.params = params;
            case.redactions = sensitive::redactions(&found);
            Ok(())
        }
        // Parameters are an object, and no rule takes away the whole of them.
        Looked::Cleaned(_, found) | Looked::Refused(found) => {
            let found = sensitive::without_sensitive_keys(found);
            case.findings.add(&found, Place::Params);
            Err(refused(&found, obligations))
        }
    }
}

/// What is kept or shown of the parameters: nothing at all where they cannot be cleaned for that.
fn clean_for_record(case: &mut Case, redactor: &Redactor, key: &Key) -> JsonObject {
    match redactor.json(Value::Object(case.call.params.clone()), key) {
        Looked::Clean(Value::Object(params)) => params,
        Looked::Cleaned(Value::Object(params), found) => {
            case.findings.add(&found, Place::Record);
            params
        }
        Looked::Clean(_) => JsonObject::new(),
        Looked::Cleaned(_, found) | Looked::Refused(found) => {
            case.findings.add(&sensitive::without_sensitive_keys(found), Place::Record);
            JsonObject::new()
        }
    }
}

/// Nothing at all where it cannot be cleaned.
fn cleaned_or_nothing(object: JsonObject, redactor: &Redactor, key: &Key) -> JsonObject {
    match redactor.json(Value::Object(object), key) {
        Looked::Clean(Value::Object(object)) | Looked::Cleaned(Value::Object(object), _) => object,
        Looked::Clean(_) | Looked::Cleaned(..) | Looked::Refused(_) => JsonObject::new(),
    }
}

/// Why the call is denied: kinds and places, without a value.
fn refused(found: &[Found], obligations: &[Obligation]) -> Vec<Reason> {
    let mut rules = obligations.iter().filter_map(|obligation| match obligation.duty() {
        Duty::Redact(redact) => Some(&redact.rule),
        Duty::Rate(_) | Duty::Budget(_) | Duty::Approval(_) | Duty::Egress => None,
    });
    let first = rules.next();
    // Where several entries have redactions, it takes all of them to say which counts.
    let rule = first.filter(|first| rules.all(|other| other == *first)).map(|rule| rule.to_string());
    sensitive::blocked(found, "/params", "the parameters", rule)
}

/// The steps of the judgement go on with what was found.
fn explain(case: &mut Case) {
    let steps = case.explanation.as_mut().and_then(|explanation| explanation.get_mut("steps"));
    if let Some(Value::Array(steps)) = steps {
        for Redaction { path, kind, with } in &case.redactions {
            steps.push(json!({"finding": format!("the parameter `{path}` holds `{kind}`: {with}")}));
        }
    }
}

#[cfg(test)]
mod tests;
