//! The known name that an unknown one was probably meant to be.

/// Longest name that is compared; longer ones are no typing errors of a field.
const NAME_CHARS_MAX: usize = 64;

/// The nearest of `known` by edit distance, if it is near enough to be meant.
pub(super) fn nearest<'k>(unknown: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if unknown.len() > NAME_CHARS_MAX {
        return None;
    }
    let limit = (unknown.chars().count() / 3).max(1);
    let candidates = known.filter(|name| name.len() <= NAME_CHARS_MAX);
    let best = candidates.map(|name| (distance(unknown, name), name)).min()?;
    (best.0 <= limit).then_some(best.1)
}

/// Edits of one character (insert, delete, replace, swap of neighbours) from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().collect();
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut cost = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(before[j - 2] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_slips_are_found_and_other_words_are_not() {
        let known = ["allowed_tools", "denied_tools", "agent", "mode"];
        assert_eq!(nearest("allowed_tool", known.into_iter()), Some("allowed_tools"));
        assert_eq!(nearest("agnet", known.into_iter()), Some("agent"));
        assert_eq!(nearest("alowedTools", known.into_iter()), Some("allowed_tools"));
        assert_eq!(nearest("colour", known.into_iter()), None);
    }
}
