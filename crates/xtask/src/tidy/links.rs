//! Links in Markdown lead somewhere: local files exist, and anchors are headings of the file they point into.
//!
//! Links to other hosts are not followed: a check that needs the network fails for reasons of its own.

use std::collections::BTreeMap;

use super::Finding;
use crate::tree::Tree;

/// Finds links whose file or anchor does not exist.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending(".md") {
        for (line, content) in prose(text) {
            let content = without_code_spans(content);
            for target in targets(&content).filter(|target| is_local(target)) {
                if let Some(problem) = problem(tree, path, target) {
                    findings.push(Finding::at(path, line, problem));
                }
            }
        }
    }
    findings
}

fn problem(tree: &Tree, from: &str, target: &str) -> Option<String> {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let Some(path) = resolve(from, file) else {
        return Some(format!("`{target}` leads out of the repository"));
    };
    if !tree.has(&path) {
        return Some(format!("`{target}` leads nowhere: there is no `{path}`"));
    }
    let text = tree.text(&path).filter(|_| path.ends_with(".md") && !anchor.is_empty())?;
    let known = anchors(text);
    (!known.iter().any(|it| it == anchor)).then(|| format!("`{path}` has no heading for `#{anchor}`"))
}

/// The lines outside fenced code blocks.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    text.lines().enumerate().filter(move |(_, line)| {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, None) => return true,
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (Some(_), _) => {}
        }
        false
    })
}

/// The line with everything between backticks taken out.
fn without_code_spans(line: &str) -> String {
    if !line.matches('`').count().is_multiple_of(2) {
        return line.to_owned();
    }
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

/// Targets of `[text](target)`, `[text](target "title")` and `[name]: target`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let inline = line.match_indices("](").filter_map(|(at, _)| {
        let rest = &line[at + 2..];
        rest.split_once(')').map(|(target, _)| target.split(' ').next().unwrap_or_default())
    });
    let definition = line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: "));
    let defined = definition.map(|(_, target)| target.split(' ').next().unwrap_or_default());
    inline.chain(defined).map(|target| target.trim_matches(['<', '>']))
}

fn is_local(target: &str) -> bool {
    !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:")
}

/// The path from the root that `target` means in a file at `from`; nothing when it leaves the root.
fn resolve(from: &str, target: &str) -> Option<String> {
    if target.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = match target.starts_with('/') {
        true => Vec::new(),
        false => from.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev().collect(),
    };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The anchors of a page, made from its headings as the common forges make them.
fn anchors(text: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let headings = prose(text).filter_map(|(_, line)| {
        let words = line.trim_start_matches('#');
        (words.len() < line.len() && words.starts_with(' ')).then(|| words.trim())
    });
    headings
        .map(|heading| {
            let slug = slug(heading);
            let count = seen.entry(slug.clone()).or_default();
            *count += 1;
            if *count == 1 { slug } else { format!("{slug}-{}", *count - 1) }
        })
        .collect()
}

/// Lower case, spaces as dashes, no punctuation but `-` and `_`; of a link only its text counts.
fn slug(heading: &str) -> String {
    let mut text = heading.to_owned();
    while let Some((before, rest)) = text.split_once("](") {
        let after = rest.split_once(')').map_or("", |(_, after)| after);
        text = format!("{before}{after}");
    }
    let kept = text.chars().filter(|it| it.is_alphanumeric() || " -_".contains(*it));
    kept.flat_map(char::to_lowercase).map(|it| if it == ' ' { '-' } else { it }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let other = "# The walk of a call\n\n## `walk.rs`: one screen\n\n## Again\n\n## Again\n";
        let files = [("docs/a.md", text), ("docs/deep/other.md", other), ("src/lib.rs", "//! Code.\n")];
        check(&Tree::of(&files)).into_iter().map(|finding| finding.problem).collect()
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let good = "# Here\n[a](deep/other.md) [b](../src/lib.rs) [c](#here) [d](/src) [e](https://x.y/z)\n\
            [f](deep/other.md#the-walk-of-a-call) [g](deep/other.md#walkrs-one-screen)\n\
            [h](deep/other.md#again-1) [i](deep/ \"a title\")\n[ref]: deep/other.md\n";
        assert_eq!(problems(good), Vec::<String>::new());
    }

    #[test]
    fn code_is_not_prose() {
        assert_eq!(
            problems("`[a](none.md)`\n```\n[b](none.md)\n```\n~~~\n```\n[c](none.md)\n~~~\n"),
            [""; 0]
        );
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        assert!(problems("[a](none.md)")[0].contains("there is no `docs/none.md`"));
        assert!(problems("[a](../../up.md)")[0].contains("leads out"));
        assert!(problems("[a](deep/other.md#gone)")[0].contains("has no heading for `#gone`"));
        assert!(problems("[a](#gone)")[0].contains("has no heading"));
        assert!(problems("[ref]: none.md")[0].contains("leads nowhere"));
        assert!(problems("```\ncode\n```\n[a](none.md)")[0].contains("leads nowhere"));
    }
}
