//! Strings. Positions and lengths count characters, as in OPA.

use regorus::Value;

use super::{Call, HostError, letters};

pub(super) fn call(name: &str, call: Call<'_>) -> Result<Value, HostError> {
    match name {
        "lower" | "upper" => cased(name, call),
        "trim" | "trim_left" | "trim_right" | "trim_prefix" | "trim_suffix" | "trim_space" => {
            trimmed(name, call)
        }
        "startswith" | "endswith" | "contains" => compared(name, call),
        "indexof" => indexof(call),
        "substring" => substring(call),
        "replace" => replace(call),
        "split" => split(call),
        "concat" => concat(call),
        "strings.any_prefix_match" => any_affix(call, |text, affix| text.starts_with(affix)),
        "strings.any_suffix_match" => any_affix(call, |text, affix| text.ends_with(affix)),
        _ => Err(HostError::Unknown),
    }
}

fn cased(name: &str, mut call: Call<'_>) -> Result<Value, HostError> {
    let [_] = call.exactly()?;
    let text = call.text(1)?;
    let convert = if name == "lower" { letters::lower } else { letters::upper };
    let converted = text.chars().map(convert).collect::<Option<String>>();
    let converted = converted
        .ok_or(HostError::Unclear("it has letters whose upper and lower case depend on the engine"))?;
    call.write(converted.len(), || converted)
}

fn trimmed(name: &str, mut call: Call<'_>) -> Result<Value, HostError> {
    let text = &**call.text(1)?;
    let result = if name == "trim_space" {
        let [_] = call.exactly()?;
        text.trim()
    } else {
        let [_, _] = call.exactly()?;
        let cut = &**call.text(2)?;
        // The search for every character in `cut`.
        call.meter.bytes(text.len().saturating_mul(cut.len()))?;
        let cuts = |character: char| cut.contains(character);
        match name {
            "trim" => text.trim_matches(cuts),
            "trim_left" => text.trim_start_matches(cuts),
            "trim_right" => text.trim_end_matches(cuts),
            "trim_prefix" => text.strip_prefix(cut).unwrap_or(text),
            _ => text.strip_suffix(cut).unwrap_or(text),
        }
    };
    call.write(result.len(), || result.to_owned())
}

fn compared(name: &str, mut call: Call<'_>) -> Result<Value, HostError> {
    let [_, _] = call.exactly()?;
    let (text, part) = (&**call.text(1)?, &**call.text(2)?);
    Ok(Value::from(match name {
        "startswith" => text.starts_with(part),
        "endswith" => text.ends_with(part),
        _ => text.contains(part),
    }))
}

fn indexof(mut call: Call<'_>) -> Result<Value, HostError> {
    let [_, _] = call.exactly()?;
    let (text, part) = (&**call.text(1)?, &**call.text(2)?);
    if part.is_empty() {
        return Err(HostError::Unclear("it looks for an empty string"));
    }
    let index = text.find(part).map_or(-1, |at| length(&text[..at]));
    Ok(Value::from(index))
}

fn length(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

fn substring(mut call: Call<'_>) -> Result<Value, HostError> {
    let [_, _, _] = call.exactly()?;
    let text = &**call.text(1)?;
    let (offset, length) = (call.whole(2)?, call.whole(3)?);
    let offset = usize::try_from(offset).map_err(|_| HostError::Unclear("the offset is negative"))?;
    let rest = text.char_indices().nth(offset).map_or("", |(at, _)| &text[at..]);
    let part = match usize::try_from(length) {
        Ok(length) => rest.char_indices().nth(length).map_or(rest, |(at, _)| &rest[..at]),
        // A negative length means everything behind the offset.
        Err(_) => rest,
    };
    call.write(part.len(), || part.to_owned())
}

fn replace(mut call: Call<'_>) -> Result<Value, HostError> {
    let [_, _, _] = call.exactly()?;
    let (text, old, new) = (&**call.text(1)?, &**call.text(2)?, &**call.text(3)?);
    let found = text.matches(old).count();
    let bytes = (text.len() - found * old.len()).saturating_add(found.saturating_mul(new.len()));
    call.write(bytes, || text.replace(old, new))
}

fn split(mut call: Call<'_>) -> Result<Value, HostError> {
    let [_, _] = call.exactly()?;
    let (text, delimiter) = (&**call.text(1)?, &**call.text(2)?);
    let count = if delimiter.is_empty() { text.len() } else { text.matches(delimiter).count() + 1 };
    call.meter.values(count)?;
    // An empty delimiter stands between any two characters, and not at the ends.
    let parts: Vec<Value> = if delimiter.is_empty() {
        text.chars().map(|character| Value::from(character.to_string())).collect()
    } else {
        text.split(delimiter).map(Value::from).collect()
    };
    Ok(Value::from(parts))
}

/// Argument `argument` as strings: one, or an array or set of them.
fn texts<'a>(
    call: &mut Call<'a>,
    argument: usize,
    expected: &'static str,
) -> Result<Vec<&'a str>, HostError> {
    let members = call.members(argument)?;
    let mut texts = Vec::with_capacity(members.len());
    for member in members {
        let Value::String(text) = member else { return Err(HostError::Type { argument, expected }) };
        call.meter.bytes(text.len())?;
        texts.push(&**text);
    }
    Ok(texts)
}

fn concat(mut call: Call<'_>) -> Result<Value, HostError> {
    let [_, _] = call.exactly()?;
    let delimiter = &**call.text(1)?;
    let texts = texts(&mut call, 2, "an array or a set of strings")?;
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    let bytes = bytes.saturating_add(delimiter.len().saturating_mul(texts.len().saturating_sub(1)));
    call.write(bytes, || texts.join(delimiter))
}

fn any_affix(mut call: Call<'_>, matches: impl Fn(&str, &str) -> bool) -> Result<Value, HostError> {
    let [_, _] = call.exactly()?;
    let mut strings = |argument: usize| match call.get(argument)? {
        Value::String(_) => Ok(vec![&**call.text(argument)?]),
        _ => texts(&mut call, argument, "a string, or an array or a set of strings"),
    };
    let (searched, affixes) = (strings(1)?, strings(2)?);
    let pairs = searched.len().saturating_mul(affixes.len());
    let longest = affixes.iter().map(|affix| affix.len()).max().unwrap_or_default();
    call.meter.bytes(pairs.saturating_mul(longest.saturating_add(1)))?;
    Ok(Value::from(searched.iter().any(|text| affixes.iter().any(|affix| matches(text, affix)))))
}
