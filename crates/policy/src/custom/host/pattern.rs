//! Regular expressions. Modules hold them as literals, checked and translated; they are compiled once per
//! thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use aegis_model::caps;
use regex::{Regex, RegexBuilder};
use regorus::Value;

use super::{Call, HostError};

/// What a byte of text costs: a regular expression looks at it several times.
pub(super) const BYTE_COST: usize = 4;

thread_local! {
    /// A cache of a pure function: what it holds never shows in a result.
    static COMPILED: RefCell<HashMap<Arc<str>, Regex>> = RefCell::new(HashMap::new());
}

pub(super) fn call(name: &str, mut call: Call<'_>) -> Result<Value, HostError> {
    if name != "regex.match" {
        return Err(HostError::Unknown);
    }
    let [_, _] = call.exactly()?;
    let (pattern, text) = (call.text(1)?, call.text(2)?);
    call.meter.matched(text)?;
    COMPILED.with_borrow_mut(|compiled| {
        if let Some(regex) = compiled.get(pattern) {
            return Ok(Value::from(regex.is_match(text)));
        }
        let regex = RegexBuilder::new(pattern).size_limit(caps::REGEX_COMPILED_BYTES_MAX).build();
        let regex = regex.map_err(|_| HostError::Unclear("the regular expression is not valid"))?;
        let found = regex.is_match(text);
        if compiled.len() >= caps::REGEX_CACHE_MAX {
            compiled.clear();
        }
        compiled.insert(pattern.clone(), regex);
        Ok(Value::from(found))
    })
}
