//! What a call costs, from what the policy says and from what the call says of itself. A call is hostile input: what it
//! says may raise its cost, and is refused where it is no amount or more than the policy believes.

use std::fmt::Write as _;

use aegis_limits::amount;
use aegis_model::call::ToolCall;
use aegis_model::decision::Reason;
use aegis_model::json::JsonObject;
use aegis_model::money::Micros;
use aegis_model::reason::ReasonCode;
use aegis_policy::ast::{Path, Segment};
use aegis_policy::obligation::{Budget, CALLS, Price, Whose};
use serde_json::Value;

/// What a call costs of one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    /// What is reserved.
    pub(crate) reserved: Micros,
    /// What the call's parameters say, where the policy has them read. It settles the cost unless somebody knows better.
    pub(crate) stated: Option<Micros>,
}

/// The prices that a verdict names, and the call they are asked of.
#[derive(Debug)]
pub(crate) struct Prices<'v> {
    /// Each with the budget obligation that it stands in, which has its unit and its rule.
    named: Vec<(&'v Budget, &'v Price)>,
    call: &'v ToolCall,
}

impl<'v> Prices<'v> {
    /// The prices among the budgets of a verdict.
    pub(crate) fn new(budgets: impl Iterator<Item = &'v Budget>, call: &'v ToolCall) -> Self {
        let named = budgets.filter_map(|budget| Some((budget, budget.cost.as_ref()?))).collect();
        Self { named, call }
    }

    /// What the call costs at a budget that counts `unit`.
    ///
    /// - The most specific price in that unit counts: of the entries, else of the documents, else of the tenant; the
    ///   largest, if there are several.
    /// - Without any, a call costs one call; of another unit, what it says itself.
    /// - What it says itself otherwise only raises the cost.
    ///
    /// # Errors
    /// The reason to deny the call: nobody says what it costs, or what it says is no amount, or too much to believe.
    pub(crate) fn at(&self, unit: &str) -> Result<Cost, Reason> {
        let rank = |budget: &Budget| match budget.whose {
            Whose::Entry(_) => 2,
            Whose::Agent => 1,
            Whose::Tenant => 0,
        };
        let in_unit = || self.named.iter().filter(|(budget, _)| *budget.unit == *unit);
        let own = self.call.cost.filter(|_| unit != CALLS);
        let Some(nearest) = in_unit().map(|(budget, _)| rank(budget)).max() else {
            return match own {
                _ if unit == CALLS => Ok(Cost { reserved: ONE_CALL, stated: None }),
                Some(cost) => Ok(Cost { reserved: cost, stated: None }),
                None => {
                    let message =
                        format!("a budget counts `{unit}`, and nothing says what this call costs of it");
                    Err(Reason {
                        path: Some("/cost".to_owned()),
                        ..Reason::plain(ReasonCode::ParameterMissing, message)
                    })
                }
            };
        };
        let mut cost = Cost { reserved: Micros::ZERO, stated: None };
        for (budget, price) in in_unit().filter(|(budget, _)| rank(budget) == nearest) {
            cost.reserved = cost.reserved.max(price.most());
            if let Price::Stated { path, max } = price {
                let stated =
                    stated(path, *max, &self.call.params).map_err(|fault| fault.reason(path, budget))?;
                cost.stated = cost.stated.max(Some(stated));
            }
        }
        match own {
            // What is reserved for a stated cost is the most that is believed of it, whoever states it.
            Some(own) if own > cost.reserved && cost.stated.is_some() => {
                let message = "the call states a higher cost than the policy permits";
                let reason = Reason::plain(ReasonCode::ParameterOutOfRange, message);
                Err(Reason { path: Some("/cost".to_owned()), ..reason })
            }
            Some(own) => {
                let stated = cost.stated.map(|stated| stated.max(own));
                Ok(Cost { reserved: cost.reserved.max(own), stated })
            }
            None => Ok(cost),
        }
    }
}

const ONE_CALL: Micros = Micros(1_000_000);

/// What is wrong with the parameter that states a cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Missing,
    NoAmount,
    TooMuch,
}

impl Fault {
    fn reason(self, path: &Path, budget: &Budget) -> Reason {
        let (code, message) = match self {
            Self::Missing => (ReasonCode::ParameterMissing, "the parameter that states the cost is missing"),
            Self::NoAmount => {
                let message = "the parameter that states the cost is no amount: a decimal number, not negative, with at most 6 decimals";
                (ReasonCode::ParameterType, message)
            }
            Self::TooMuch => {
                (ReasonCode::ParameterOutOfRange, "the stated cost is more than the policy permits")
            }
        };
        let rule = Some(budget.rule.to_string());
        Reason { path: Some(pointer(path)), rule, ..Reason::plain(code, message) }
    }
}

fn stated(path: &Path, max: Micros, params: &JsonObject) -> Result<Micros, Fault> {
    let value = find(path, params).ok_or(Fault::Missing)?;
    let amount = amount::from_json(value).map_err(|bad| match bad {
        amount::BadAmount::TooLarge => Fault::TooMuch,
        amount::BadAmount::NotANumber | amount::BadAmount::Negative | amount::BadAmount::TooFine => {
            Fault::NoAmount
        }
    })?;
    if amount > max { Err(Fault::TooMuch) } else { Ok(amount) }
}

/// The value at a path of the parameters. `[*]` names no single one, and a policy with it is refused.
fn find<'p>(path: &Path, params: &'p JsonObject) -> Option<&'p Value> {
    let (first, rest) = path.0.split_first()?;
    let Segment::Key(first) = first else { return None };
    rest.iter().try_fold(params.get(first)?, |value, segment| match segment {
        Segment::Key(key) => value.as_object()?.get(key),
        Segment::Index(index) => value.as_array()?.get(*index as usize),
        Segment::Every => None,
    })
}

/// The path as a JSON Pointer into the call.
fn pointer(path: &Path) -> String {
    let mut text = "/params".to_owned();
    for segment in &path.0 {
        // Writing to a text cannot fail.
        let _ = match segment {
            Segment::Key(key) => write!(text, "/{}", key.replace('~', "~0").replace('/', "~1")),
            Segment::Index(index) => write!(text, "/{index}"),
            Segment::Every => write!(text, "/*"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::call;

    fn priced(whose: Whose, unit: &str, cost: Price) -> Budget {
        Budget { whose, rule: "a".into(), limit: None, unit: unit.into(), cost: Some(cost), zone: None }
    }

    fn entry() -> Whose {
        Whose::Entry("pay".into())
    }

    fn from(max: u64) -> Price {
        Price::Stated {
            path: Path(vec![Segment::Key("quote/s".into()), Segment::Index(0)]),
            max: Micros(max),
        }
    }

    /// (reserved, stated), or the code and the path of the denial.
    fn asked(
        budgets: &[Budget],
        unit: &str,
        own: Option<u64>,
        params: Value,
    ) -> Result<(u64, Option<u64>), (ReasonCode, String)> {
        let Value::Object(params) = params else { unreachable!() };
        let call = ToolCall { params, cost: own.map(Micros), ..call(0) };
        match Prices::new(budgets.iter(), &call).at(unit) {
            Ok(cost) => Ok((cost.reserved.0, cost.stated.map(|stated| stated.0))),
            Err(reason) => Err((reason.code, reason.path.unwrap_or_default())),
        }
    }

    #[test]
    fn the_most_specific_price_of_the_unit_counts_and_the_largest_of_several() {
        let fixed = |micros| Price::Fixed(Micros(micros));
        let budgets = [
            priced(Whose::Tenant, "usd", fixed(9)),
            priced(Whose::Agent, "usd", fixed(5)),
            priced(Whose::Agent, "tokens", fixed(70)),
            priced(entry(), "usd", fixed(2)),
            priced(entry(), "usd", fixed(3)),
        ];
        for (budgets, unit, reserved) in [
            (&budgets[..], "usd", 3),
            (&budgets[..], "tokens", 70),
            (&budgets[..2], "usd", 5),
            (&budgets[..1], "usd", 9),
            (&budgets[..], "calls", 1_000_000),
        ] {
            assert_eq!(asked(budgets, unit, None, json!({})), Ok((reserved, None)));
        }
    }

    #[test]
    fn a_call_raises_its_cost_and_never_lowers_it() {
        let budgets = [
            priced(entry(), "usd", Price::Fixed(Micros(5))),
            priced(entry(), "calls", Price::Fixed(Micros(7))),
        ];
        assert_eq!(asked(&budgets, "usd", Some(4), json!({})), Ok((5, None)));
        assert_eq!(asked(&budgets, "usd", Some(6), json!({})), Ok((6, None)));
        assert_eq!(
            asked(&budgets, "calls", Some(9), json!({})),
            Ok((7, None)),
            "calls are counted, not stated"
        );
        assert_eq!(asked(&[], "calls", Some(9), json!({})), Ok((1_000_000, None)));
    }

    #[test]
    fn what_nobody_prices_is_denied() {
        assert_eq!(asked(&[], "usd", None, json!({})), Err((ReasonCode::ParameterMissing, "/cost".into())));
        assert_eq!(asked(&[], "usd", Some(3), json!({})), Ok((3, None)));
    }

    #[test]
    fn a_stated_cost_is_an_amount_within_its_maximum() {
        let budgets = [priced(entry(), "usd", from(5_000_000))];
        let at = |value: Value| asked(&budgets, "usd", None, json!({ "quote/s": [value] }));
        assert_eq!(at(json!(0.25)), Ok((5_000_000, Some(250_000))));
        assert_eq!(at(json!("5")), Ok((5_000_000, Some(5_000_000))));
        let path = "/params/quote~1s/0".to_owned();
        for (value, code) in [
            (json!("5.000001"), ReasonCode::ParameterOutOfRange),
            (json!(1e300), ReasonCode::ParameterOutOfRange),
            (json!(-1), ReasonCode::ParameterType),
            (json!(-0.0), ReasonCode::ParameterType),
            (json!(null), ReasonCode::ParameterType),
            (json!("1e1"), ReasonCode::ParameterType),
            (json!(0.000_000_1), ReasonCode::ParameterType),
        ] {
            assert_eq!(at(value.clone()), Err((code, path.clone())), "{value}");
        }
        for params in [json!({}), json!({"quote/s": []}), json!({"quote/s": {"0": 1}})] {
            assert_eq!(
                asked(&budgets, "usd", None, params),
                Err((ReasonCode::ParameterMissing, path.clone()))
            );
        }
    }

    #[test]
    fn the_calls_own_cost_stays_within_what_is_believed_and_raises_what_is_stated() {
        let budgets = [priced(entry(), "usd", from(5))];
        let params = || json!({"quote/s": [0.000_002]});
        assert_eq!(asked(&budgets, "usd", Some(4), params()), Ok((5, Some(4))));
        assert_eq!(asked(&budgets, "usd", Some(1), params()), Ok((5, Some(2))));
        assert_eq!(
            asked(&budgets, "usd", Some(6), params()),
            Err((ReasonCode::ParameterOutOfRange, "/cost".into()))
        );
    }
}
