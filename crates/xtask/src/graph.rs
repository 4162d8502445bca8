//! Cargo's package graph, reduced to what the checks ask of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context;
use cargo_metadata::{CargoOpt, DependencyKind, MetadataCommand};

/// One package of the workspace.
#[derive(Debug, Clone, Default)]
pub struct Package {
    /// Its name in `Cargo.toml`.
    pub name: String,
    /// The folder of its `Cargo.toml`, from the root of the checkout.
    pub folder: String,
    /// Own packages that it is built with (normal and build dependencies).
    pub needs: BTreeSet<String>,
    /// Own packages that only its tests, benches and examples are built with.
    pub needs_for_tests: BTreeSet<String>,
}

/// The workspace and the features that its third-party packages resolved to.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// The workspace's own packages.
    pub packages: Vec<Package>,
    /// `name version` of every resolved package, with its features.
    pub features: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// Asks cargo, for the platform of this machine and with `Cargo.lock` as it stands.
    ///
    /// # Errors
    /// When cargo fails, for example because `Cargo.lock` no longer fits the manifests.
    pub fn read(root: &Path) -> anyhow::Result<Self> {
        let metadata = MetadataCommand::new()
            .manifest_path(root.join("Cargo.toml"))
            .features(CargoOpt::AllFeatures)
            // Without a platform cargo fetches the sources of every platform's packages.
            .other_options(["--locked".to_owned(), "--filter-platform".to_owned(), host()?])
            .exec()
            .context("asking cargo for the package graph")?;

        let own: BTreeSet<String> =
            metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect();
        let mut packages = Vec::new();
        for package in metadata.workspace_packages() {
            let manifest = package.manifest_path.as_std_path();
            let folder = manifest.parent().unwrap_or(manifest);
            let folder = folder.strip_prefix(root).unwrap_or(folder).to_string_lossy().replace('\\', "/");
            let of_kind = |for_tests: bool| {
                let wanted = |kind: DependencyKind| (kind == DependencyKind::Development) == for_tests;
                let all = package.dependencies.iter();
                all.filter(|it| own.contains(&it.name) && wanted(it.kind)).map(|it| it.name.clone()).collect()
            };
            packages.push(Package {
                name: package.name.to_string(),
                folder,
                needs: of_kind(false),
                needs_for_tests: of_kind(true),
            });
        }

        let resolved = metadata.resolve.as_ref().context("cargo gave no resolved graph")?;
        let mut features = BTreeMap::new();
        for node in &resolved.nodes {
            let package = &metadata[&node.id];
            let names: BTreeSet<String> = node.features.iter().map(ToString::to_string).collect();
            features.insert(format!("{} {}", package.name, package.version), names);
        }
        Ok(Self { packages, features })
    }
}

/// The platform triple of the compiler in use.
fn host() -> anyhow::Result<String> {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = std::process::Command::new(compiler).arg("-vV").output().context("running `rustc -vV`")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("`rustc -vV` named no host")?.to_owned())
}
