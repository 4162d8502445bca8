//! Dependencies between our own crates point down, along the table of `ARCHITECTURE.md`.

use super::Finding;
use crate::graph::Package;

/// A crate, its rank, and the own crates it may be built with.
///
/// Crates that come with later parts are listed already, so that the arrow is decided before the crate exists.
const TABLE: &[(&str, u8, &[&str])] = &[
    ("aegis-model", 0, &[]),
    ("aegis-proto", 1, &["aegis-model"]),
    ("aegis-identity", 1, &["aegis-model"]),
    ("aegis-limits", 1, &["aegis-model"]),
    ("aegis-dlp", 1, &["aegis-model"]),
    ("aegis-policy", 2, &["aegis-model", "aegis-proto", "aegis-dlp"]),
    ("aegis-audit", 2, &["aegis-model", "aegis-proto"]),
    ("aegis-raft-store", 2, &["aegis-model", "aegis-proto"]),
    (
        "aegis-controlplane",
        3,
        &[
            "aegis-model",
            "aegis-proto",
            "aegis-identity",
            "aegis-limits",
            "aegis-dlp",
            "aegis-policy",
            "aegis-audit",
            "aegis-raft-store",
        ],
    ),
    (
        "aegis-dataplane",
        3,
        &[
            "aegis-model",
            "aegis-proto",
            "aegis-identity",
            "aegis-limits",
            "aegis-dlp",
            "aegis-policy",
            "aegis-audit",
        ],
    ),
    ("aegis-sdk", 3, &["aegis-model", "aegis-proto", "aegis-audit"]),
    (
        "aegis",
        4,
        &[
            "aegis-model",
            "aegis-proto",
            "aegis-identity",
            "aegis-limits",
            "aegis-dlp",
            "aegis-policy",
            "aegis-audit",
            "aegis-raft-store",
            "aegis-controlplane",
            "aegis-dataplane",
            "aegis-sdk",
        ],
    ),
];

/// Crates that do not ship. They may use any crate, and no shipped crate is built with them.
const FOR_DEVELOPMENT: &[&str] = &["aegis-testkit", "aegis-sim", "aegis-loadtest", "xtask"];

/// Packages whose name is not `aegis-` and their folder.
const OWN_NAMES: &[&str] = &["aegis", "xtask"];

/// Finds arrows outside the table, packages that the table does not know, and names that do not fit their folder.
pub fn check(packages: &[Package]) -> Vec<Finding> {
    packages.iter().flat_map(|package| [name_problems(package), arrow_problems(package)].concat()).collect()
}

fn name_problems(package: &Package) -> Vec<Finding> {
    let folder = package.folder.rsplit('/').next().unwrap_or_default();
    let expected = if OWN_NAMES.contains(&folder) { folder.to_owned() } else { format!("aegis-{folder}") };
    if package.name == expected {
        return Vec::new();
    }
    let problem = format!("package `{}` should be named `{expected}`, after its folder", package.name);
    vec![Finding::new(&package.folder, problem)]
}

fn arrow_problems(package: &Package) -> Vec<Finding> {
    let finding = |problem| Finding::new(format!("{}/Cargo.toml", package.folder), problem);
    if FOR_DEVELOPMENT.contains(&package.name.as_str()) {
        return Vec::new();
    }
    let Some((name, _, may)) = TABLE.iter().find(|(name, ..)| *name == package.name) else {
        let problem = format!("`{}` has no row in the table of arrows: decide what it may use", package.name);
        return vec![finding(problem)];
    };
    let outside = package.needs.iter().filter(|need| !may.contains(&need.as_str()));
    outside
        .map(|need| match FOR_DEVELOPMENT.contains(&need.as_str()) {
            true => finding(format!("`{name}` is built with `{need}`, which only tests may use")),
            false => finding(format!("`{name}` may not use `{need}`; it may use {may:?}")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn package(folder: &str, name: &str, needs: &[&str]) -> Package {
        let needs: BTreeSet<String> = needs.iter().map(|need| (*need).to_owned()).collect();
        Package { name: name.to_owned(), folder: folder.to_owned(), needs, ..Package::default() }
    }

    fn problem(folder: &str, name: &str, needs: &[&str]) -> String {
        let findings = check(&[package(folder, name, needs)]);
        findings.first().map(ToString::to_string).unwrap_or_default()
    }

    #[test]
    fn the_table_itself_points_down() {
        for (name, rank, may) in TABLE {
            for need in *may {
                let (_, below, _) = TABLE.iter().find(|(other, ..)| other == need).expect("a known crate");
                assert!(below < rank, "`{name}` (rank {rank}) points at `{need}` (rank {below})");
            }
        }
    }

    #[test]
    fn arrows_of_the_table_pass() {
        assert_eq!(problem("crates/model", "aegis-model", &[]), "");
        assert_eq!(problem("crates/aegis", "aegis", &["aegis-sdk", "aegis-dataplane"]), "");
        assert_eq!(problem("loadtest", "aegis-loadtest", &["aegis-model", "aegis-testkit"]), "");
    }

    #[test]
    fn an_arrow_up_or_sideways_is_found() {
        assert!(
            problem("crates/model", "aegis-model", &["aegis-proto"]).contains("may not use `aegis-proto`")
        );
        assert!(problem("crates/proto", "aegis-proto", &["aegis-identity"]).contains("may not use"));
        assert!(problem("crates/sdk", "aegis-sdk", &["aegis-dataplane"]).contains("may not use"));
    }

    #[test]
    fn a_shipped_crate_is_not_built_with_test_helpers() {
        assert!(problem("crates/policy", "aegis-policy", &["aegis-testkit"]).contains("only tests may use"));
        let mut dev_only = package("crates/policy", "aegis-policy", &[]);
        dev_only.needs_for_tests.insert("aegis-testkit".to_owned());
        assert_eq!(check(&[dev_only]), []);
    }

    #[test]
    fn an_unknown_crate_and_a_foreign_name_are_found() {
        assert!(problem("crates/extra", "aegis-extra", &[]).contains("has no row"));
        assert!(problem("crates/policy", "policy", &[]).contains("should be named `aegis-policy`"));
    }
}
