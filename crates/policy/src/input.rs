//! `input`: the document that conditions read, for a stock OPA as JSON and for this process as a value.
//!
//! Shape: `{agent, org, tenant, tool, action, params, context, token, callers, now_ns, local}`. `token` holds the
//! claims fixed at minting and `scope`; `callers` is nearest first; `local` gives, for every zone that the set
//! uses, `{date: "2026-11-23", day: 0 (Monday) to 6, minute: 0 to 1439}`.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use regorus::Value;
use serde_json::json;

use aegis_model::clock::UnixNanos;
use aegis_model::principal::Principal;

use crate::compile::Reads;
use crate::judge::Question;

/// The zones of a set, resolved once.
#[derive(Debug, Clone, Default)]
pub struct Zones(Vec<(String, TimeZone)>);

/// A zone's name that the time zone database does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the time zone database has no zone `{0}`")]
pub struct UnknownZone(String);

impl Zones {
    /// Looks the names up.
    ///
    /// # Errors
    /// The first name that is not known.
    pub fn resolve(names: &[String]) -> Result<Self, UnknownZone> {
        let resolve = |name: &String| {
            TimeZone::get(name).map(|zone| (name.clone(), zone)).map_err(|_| UnknownZone(name.clone()))
        };
        names.iter().map(resolve).collect::<Result<Vec<_>, _>>().map(Self)
    }

    fn local(&self, now: UnixNanos) -> impl Iterator<Item = (&str, i64, i64, String)> {
        let nanos = i128::from(now.0);
        let moment = Timestamp::from_nanosecond(nanos).unwrap_or(Timestamp::UNIX_EPOCH);
        self.0.iter().map(move |(name, zone)| {
            let local = moment.to_zoned(zone.clone());
            let day = i64::from(local.weekday().to_monday_zero_offset());
            let minute = i64::from(local.hour()) * 60 + i64::from(local.minute());
            (name.as_str(), day, minute, local.date().to_string())
        })
    }
}

/// The document as JSON: what a stock OPA is asked with.
pub fn document(question: &Question<'_>, zones: &Zones) -> serde_json::Value {
    let Question { principal, call, now } = question;
    let mut token = principal.claims.clone();
    token.insert("scope".to_owned(), principal.scope.to_string().into());
    let local: serde_json::Map<String, serde_json::Value> = zones
        .local(*now)
        .map(|(name, day, minute, date)| {
            (name.to_owned(), json!({"date": date, "day": day, "minute": minute}))
        })
        .collect();
    json!({
        "agent": principal.agent, "org": principal.org, "tenant": principal.tenant,
        "tool": call.tool, "action": call.action, "params": call.params, "context": call.context,
        "token": token, "callers": principal.callers, "now_ns": now.0, "local": local,
    })
}

/// The parts of the document that a unit reads, as the virtual machine's value.
pub(crate) fn parts(question: &Question<'_>, zones: &Zones, reads: &Reads) -> Value {
    let Question { principal, call, now } = question;
    let mut input = BTreeMap::new();
    let params = if reads.params_whole {
        object(&call.params)
    } else {
        let member = |name: &String| Some((Value::from(name.as_str()), convert(call.params.get(name)?)));
        reads.params_members.iter().filter_map(member).collect()
    };
    input.insert(Value::from("params"), Value::from(params));
    if reads.context {
        input.insert("context".into(), object(&call.context).into());
    }
    if reads.token {
        input.insert("token".into(), token(principal));
    }
    if reads.callers {
        input.insert("callers".into(), callers(principal));
    }
    if reads.local {
        input.insert("local".into(), local_value(zones, *now));
    }
    input.into()
}

/// The whole document as the virtual machine's value, for custom modules.
pub(crate) fn whole(question: &Question<'_>, zones: &Zones) -> Value {
    let Question { principal, call, now } = question;
    let members: [(&str, Value); 11] = [
        ("agent", principal.agent.as_str().into()),
        ("org", principal.org.as_str().into()),
        ("tenant", principal.tenant.as_str().into()),
        ("tool", call.tool.as_str().into()),
        ("action", call.action.as_str().into()),
        ("params", object(&call.params).into()),
        ("context", object(&call.context).into()),
        ("token", token(principal)),
        ("callers", callers(principal)),
        ("now_ns", now.0.into()),
        ("local", local_value(zones, *now)),
    ];
    Value::from(
        members.into_iter().map(|(name, member)| (name.into(), member)).collect::<BTreeMap<Value, Value>>(),
    )
}

fn token(principal: &Principal) -> Value {
    let mut token = object(&principal.claims);
    token.insert("scope".into(), principal.scope.to_string().into());
    token.into()
}

fn callers(principal: &Principal) -> Value {
    Value::from(principal.callers.iter().map(|caller| caller.as_str().into()).collect::<Vec<Value>>())
}

fn local_value(zones: &Zones, now: UnixNanos) -> Value {
    let zones = zones.local(now).map(|(name, day, minute, date)| {
        let members = [("date", Value::from(date)), ("day", day.into()), ("minute", minute.into())];
        let members: BTreeMap<Value, Value> =
            members.into_iter().map(|(key, value)| (key.into(), value)).collect();
        (Value::from(name), Value::from(members))
    });
    Value::from(zones.collect::<BTreeMap<Value, Value>>())
}

fn object(members: &aegis_model::json::JsonObject) -> BTreeMap<Value, Value> {
    members.iter().map(|(name, member)| (Value::from(name.as_str()), convert(member))).collect()
}

/// A JSON value as the virtual machine's.
pub(crate) fn convert(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(flag) => Value::Bool(*flag),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(integer), _, _) => integer.into(),
            (None, Some(integer), _) => integer.into(),
            (None, None, float) => float.unwrap_or_default().into(),
        },
        serde_json::Value::String(text) => Value::String(Arc::from(text.as_str())),
        serde_json::Value::Array(items) => Value::from(items.iter().map(convert).collect::<Vec<_>>()),
        serde_json::Value::Object(members) => object(members).into(),
    }
}
