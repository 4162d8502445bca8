//! Redactors, made ready: what cleans the parameters and results of a call under the entries that allowed it.
//!
//! Which detectors look at a text has to be known together, since of values within each other the surest counts. So there is one
//! redactor for each *set* of redactions, not one for each redaction. Those of single entries are made when a version is
//! prepared; where several entries with different redactions allow the same call, theirs is made when that happens first, and
//! kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use aegis_dlp::custom::Custom;
use aegis_dlp::redact::{Redactor, Rule};
use aegis_dlp::scanner::BadDetectors;
use aegis_model::caps::{REDACTORS_KEPT_MAX, REDACTORS_READY_MAX};
use papaya::HashMap;

use crate::obligation::{Duty, Obligation};
use crate::redaction::{On, needs_key, needs_seal};

/// The redactors of a version.
#[derive(Debug)]
pub struct Redactors {
    rules: Vec<(Rule, On)>,
    customs: Vec<Custom>,
    /// By the numbers of their rules, ascending.
    made: HashMap<Box<[u32]>, Arc<Redactor>>,
}

/// What becomes of a call's parameters and result.
#[derive(Debug, Clone, Default)]
pub struct Cleaning {
    /// Cleans the parameters before they are passed on; nothing if no rule speaks of them.
    pub params: Option<Arc<Redactor>>,
    /// Cleans the result before it is given back.
    pub result: Option<Arc<Redactor>>,
    /// Cleans what is kept or shown of either, beyond that.
    pub record: Option<Arc<Redactor>>,
    /// Whether any of them makes something with the tenant's secret key.
    pub needs_key: bool,
    /// Whether any of them seals values beside their tokens.
    pub needs_seal: bool,
}

impl Cleaning {
    /// Whether nothing is cleaned.
    pub fn is_empty(&self) -> bool {
        self.params.is_none() && self.result.is_none() && self.record.is_none()
    }
}

impl Redactors {
    /// Makes those of single entries ready, as far as they are few. `entries` are the obligations of each.
    pub(super) fn new<'o>(
        rules: Vec<(Rule, On)>,
        customs: Vec<Custom>,
        entries: impl Iterator<Item = &'o [Obligation]>,
    ) -> Result<Self, BadDetectors> {
        let redactors = Self { rules, customs, made: HashMap::new() };
        let sets: BTreeSet<Vec<u32>> = entries.map(numbers).filter(|set| !set.is_empty()).collect();
        for set in sets.iter().take(REDACTORS_READY_MAX) {
            redactors.cleaning(set)?;
        }
        Ok(redactors)
    }

    /// What these obligations ask for.
    ///
    /// # Errors
    /// The rules cannot be applied together: more detectors than fit.
    pub fn of(&self, obligations: &[Obligation]) -> Result<Cleaning, BadDetectors> {
        if !obligations.iter().any(|obligation| matches!(obligation.duty(), Duty::Redact(_))) {
            return Ok(Cleaning::default());
        }
        self.cleaning(&numbers(obligations))
    }

    fn cleaning(&self, numbers: &[u32]) -> Result<Cleaning, BadDetectors> {
        let rules = || numbers.iter().filter_map(|&number| self.rules.get(number as usize));
        Ok(Cleaning {
            params: self.redactor(numbers, On::params)?,
            result: self.redactor(numbers, On::result)?,
            record: self.redactor(numbers, |on| on == On::Record)?,
            needs_key: rules().any(|(rule, _)| needs_key(rule)),
            needs_seal: rules().any(|(rule, _)| needs_seal(rule)),
        })
    }

    /// The redactor of those rules that speak of what `wanted` says; nothing if none does.
    fn redactor(
        &self,
        numbers: &[u32],
        wanted: impl Fn(On) -> bool,
    ) -> Result<Option<Arc<Redactor>>, BadDetectors> {
        let wanted = |&number: &u32| self.rules.get(number as usize).is_some_and(|(_, on)| wanted(*on));
        let numbers: Box<[u32]> = numbers.iter().copied().filter(wanted).collect();
        if numbers.is_empty() {
            return Ok(None);
        }
        let made = self.made.pin();
        if let Some(redactor) = made.get(&numbers) {
            return Ok(Some(Arc::clone(redactor)));
        }
        let rules: Vec<Rule> = numbers.iter().map(|&number| self.rules[number as usize].0.clone()).collect();
        let redactor = Arc::new(Redactor::new(&rules, &self.customs)?);
        if made.len() < REDACTORS_KEPT_MAX {
            made.insert(numbers, Arc::clone(&redactor));
        }
        Ok(Some(redactor))
    }
}

/// The numbers of the redactions among obligations, ascending.
fn numbers(obligations: &[Obligation]) -> Vec<u32> {
    let numbers = obligations.iter().filter_map(|obligation| match obligation.duty() {
        Duty::Redact(redact) => Some(redact.number),
        Duty::Rate(_) | Duty::Budget(_) | Duty::Approval(_) | Duty::Egress => None,
    });
    numbers.collect::<BTreeSet<u32>>().into_iter().collect()
}
