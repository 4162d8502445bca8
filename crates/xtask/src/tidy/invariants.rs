//! Invariants are registered in `docs/invariants.md`, and what is registered as enforced really is in the code.
//!
//! A row of the register is `| ID | property | where enforced | where tested |`. A cell that begins with
//! `not yet` says which part brings it; every other path in backticks must be a file that names the invariant.

use super::Finding;
use crate::tree::Tree;

/// Where the register lies.
const REGISTER: &str = "docs/invariants.md";

/// Names of standards that have the form of an invariant's id.
const STANDARDS: &[&str] = &["UTF-8", "UTF-16", "UTF-32", "SHA-1", "SHA-2", "SHA-3"];

/// One row of the register.
struct Row<'a> {
    line: usize,
    id: &'a str,
    enforced: &'a str,
    tested: &'a str,
}

/// Compares the register with the sources, both ways.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let Some(register) = tree.text(REGISTER) else {
        return vec![Finding::new(REGISTER, "is missing")];
    };
    let rows = read(register);
    let mut findings = unregistered(tree, &rows);
    for row in &rows {
        findings.extend(cell_problems(tree, row, "enforced", row.enforced));
        findings.extend(cell_problems(tree, row, "tested", row.tested));
    }
    findings
}

fn read(register: &str) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for (line, text) in register.lines().enumerate() {
        let cells: Vec<&str> = text.trim().trim_matches('|').split('|').map(str::trim).collect();
        if let [id, _, enforced, tested] = cells[..]
            && is_id(id)
        {
            rows.push(Row { line, id, enforced, tested });
        }
    }
    rows
}

/// Ids in sources that no row registers. Our own fixtures below are the one exception.
fn unregistered(tree: &Tree, rows: &[Row<'_>]) -> Vec<Finding> {
    let families: Vec<&str> = rows.iter().filter_map(|row| row.id.split('-').next()).collect();
    let mut findings = Vec::new();
    for (path, text) in tree.rust().chain(tree.ending(".proto")).chain(tree.ending(".rego")) {
        if path == own_file() {
            continue;
        }
        for (line, content) in text.lines().enumerate() {
            let start = content.trim_start();
            let comment = start.starts_with("//") || start.starts_with('#');
            for word in words(content).filter(|word| is_id(word) && !STANDARDS.contains(word)) {
                let family = word.split('-').next().unwrap_or_default();
                // Outside comments an `ORDER-1` may be a test's data; within a known family it is a typo.
                let ours = comment || families.contains(&family);
                if ours && !rows.iter().any(|row| row.id == word) {
                    findings.push(Finding::at(
                        path,
                        line,
                        format!("`{word}` is not registered in {REGISTER}"),
                    ));
                }
            }
        }
    }
    findings
}

fn cell_problems(tree: &Tree, row: &Row<'_>, column: &str, cell: &str) -> Vec<Finding> {
    let finding = |problem: String| Finding::at(REGISTER, row.line, problem);
    if cell.starts_with("not yet") {
        return Vec::new();
    }
    let paths: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
    if paths.is_empty() {
        return vec![finding(format!("`{}` must name where it is {column}, or say `not yet`", row.id))];
    }
    let named =
        |path: &str| tree.text(path).map(|text| text.lines().flat_map(words).any(|word| word == row.id));
    paths
        .into_iter()
        .filter_map(|path| match named(path) {
            None => Some(finding(format!("`{path}` is no file"))),
            Some(false) => Some(finding(format!("`{path}` does not name `{}`", row.id))),
            Some(true) => None,
        })
        .collect()
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|it: char| !it.is_ascii_alphanumeric() && it != '-' && it != '_')
}

/// `WALK-1`: three to five capitals, a dash, one or two digits.
fn is_id(word: &str) -> bool {
    let Some((family, number)) = word.split_once('-') else { return false };
    (3..=5).contains(&family.len())
        && family.bytes().all(|byte| byte.is_ascii_uppercase())
        && (1..=2).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn own_file() -> &'static str {
    "crates/xtask/src/tidy/invariants.rs"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(row: &str, code: &str) -> Vec<String> {
        let register =
            format!("| id | property | where enforced | where tested |\n|---|---|---|---|\n{row}\n");
        let tree = Tree::of(&[(REGISTER, &register), ("a.rs", code)]);
        check(&tree).into_iter().map(|finding| finding.problem).collect()
    }

    const ROW: &str = "| WALK-1 | one snapshot | `a.rs` | not yet: the simulation |";

    #[test]
    fn a_registered_and_named_id_passes() {
        assert_eq!(problems(ROW, "// WALK-1: one snapshot, UTF-8 and SHA-256.\n"), Vec::<String>::new());
        assert_eq!(problems(ROW, "// WALK-1\nlet invoice = \"ORDER-1\";\n"), Vec::<String>::new());
    }

    #[test]
    fn an_unregistered_id_is_found() {
        assert_eq!(problems(ROW, "// WALK-1, XYZ-4\n"), ["`XYZ-4` is not registered in docs/invariants.md"]);
        assert_eq!(problems(ROW, "// WALK-1\nlet id = \"WALK-9\";\n").len(), 1);
    }

    #[test]
    fn a_claim_that_the_code_does_not_bear_is_found() {
        assert_eq!(problems(ROW, "// nothing\n"), ["`a.rs` does not name `WALK-1`"]);
        assert_eq!(problems(&ROW.replace("`a.rs`", "`b.rs`"), "// WALK-1\n"), ["`b.rs` is no file"]);
        assert!(problems(&ROW.replace("`a.rs`", "somewhere"), "// WALK-1\n")[0].contains("must name where"));
    }

    #[test]
    fn a_missing_register_is_found() {
        assert_eq!(check(&Tree::default()).len(), 1);
    }
}
