//! Every reason code has its page in `docs/errors`, every page its code, and the page says what it must.

use aegis_model::reason::ReasonCode;

use super::Finding;
use crate::tree::Tree;

/// The headings of a page, in order.
const SECTIONS: &[&str] = &[
    "## What it means",
    "## When it happens",
    "## What the caller does",
    "## What the policy author or operator does",
    "## Example",
];

/// The folder of the pages; its `README.md` is the index.
const FOLDER: &str = "docs/errors/";

/// Pairs codes with pages, and checks each page's title, retry line and sections, and the index.
pub fn check(tree: &Tree, codes: &[ReasonCode]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let index_path = format!("{FOLDER}README.md");
    let index = tree.text(&index_path).unwrap_or_default();
    for code in codes {
        let path = format!("{FOLDER}{code}.md");
        match tree.text(&path) {
            None => findings.push(Finding::new(&path, format!("the code `{code}` has no page"))),
            Some(text) => findings.extend(page_problems(&path, text, *code)),
        }
        if !index.contains(&format!("]({code}.md)")) {
            findings.push(Finding::new(&index_path, format!("does not link the page of `{code}`")));
        }
    }
    for (path, _) in tree.texts() {
        let Some(name) = path.strip_prefix(FOLDER).and_then(|name| name.strip_suffix(".md")) else {
            continue;
        };
        if name != "README" && !codes.iter().any(|code| code.as_str() == name) {
            findings.push(Finding::new(path, "belongs to no reason code"));
        }
    }
    findings
}

fn page_problems(path: &str, text: &str, code: ReasonCode) -> Vec<Finding> {
    let mut findings = Vec::new();
    let title = format!("# {code}");
    if text.lines().next() != Some(title.as_str()) {
        findings.push(Finding::at(path, 0, format!("the title must be `{title}`")));
    }
    let retry = if code.retryable() { "Retry as it is: yes" } else { "Retry as it is: no" };
    if !text.contains(retry) {
        findings.push(Finding::new(path, format!("must say `{retry}`, as the code does")));
    }
    let headings: Vec<&str> = text.lines().filter(|line| line.starts_with("## ")).collect();
    if headings != SECTIONS {
        findings.push(Finding::new(path, format!("its sections must be {SECTIONS:?}, but are {headings:?}")));
    }
    for section in text.split("\n## ").skip(1) {
        let (heading, body) = section.split_once('\n').unwrap_or((section, ""));
        if body.trim().is_empty() {
            findings.push(Finding::new(path, format!("the section `{heading}` is empty")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: ReasonCode = ReasonCode::BudgetExceeded;
    const INDEX: (&str, &str) = ("docs/errors/README.md", "[x](BudgetExceeded.md)");

    fn page() -> String {
        let sections = SECTIONS.iter().map(|heading| format!("{heading}\n\nWords.\n\n")).collect::<String>();
        format!("# BudgetExceeded\n\nRetry as it is: no, only later.\n\n{sections}")
    }

    fn problems(text: &str) -> String {
        let tree = Tree::of(&[INDEX, ("docs/errors/BudgetExceeded.md", text)]);
        check(&tree, &[CODE]).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_whole_page_passes() {
        assert_eq!(problems(&page()), "");
    }

    #[test]
    fn a_code_without_a_page_or_a_link_and_a_page_without_a_code_are_found() {
        let found = check(&Tree::of(&[INDEX, ("docs/errors/Gone.md", "# Gone\n")]), &[CODE]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].problem.contains("no page") && found[1].problem.contains("no reason code"));
        let tree = Tree::of(&[("docs/errors/BudgetExceeded.md", &page())]);
        assert!(check(&tree, &[CODE])[0].problem.contains("does not link"));
    }

    #[test]
    fn a_page_that_lacks_something_is_found() {
        assert!(problems(&page().replace("# BudgetExceeded", "# Budget")).contains("the title must be"));
        assert!(
            problems(&page().replace("it is: no", "it is: yes")).contains("must say `Retry as it is: no`")
        );
        assert!(problems(&page().replace("## Example", "## Sample")).contains("its sections must be"));
        let empty = page().replace("## What it means\n\nWords.", "## What it means\n");
        assert!(problems(&empty).contains("is empty"));
    }
}
