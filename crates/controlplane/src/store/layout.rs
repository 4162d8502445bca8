//! Where things lie in the object store.
//!
//! ```text
//! {prefix}/{tenant}/bundle.tar.gz                     the enforced version; replaced with each activation
//! {prefix}/{tenant}/versions/{number}/bundle.tar.gz   a version's bundle, for ever
//! {prefix}/{tenant}/versions/{number}/manifest.sig    64 bytes: Ed25519 over `aegis/manifest/v1\0` and the manifest
//! {prefix}/{tenant}/versions/{number}/manifest.pb     the message `aegis.v1.Manifest`; written last
//! ```
//!
//! A tenant's name is one part of the path. Names may hold `/` and `:`, so every byte but `A-Z a-z 0-9 _ - .` is written
//! as `!` and two hexadecimal digits, and so is a dot at the beginning: two tenants never share a place, and no name leads
//! out of its own (TEN-1).

use aegis_model::ids::TenantId;
use object_store::path::Path;

/// The name of a bundle.
pub const BUNDLE: &str = "bundle.tar.gz";
/// The name of a manifest.
pub const MANIFEST: &str = "manifest.pb";
/// The name of a manifest's signature.
pub const SIGNATURE: &str = "manifest.sig";
const VERSIONS: &str = "versions";

/// The part of a path that stands for `tenant`.
pub fn tenant_part(tenant: &TenantId) -> String {
    let mut part = String::with_capacity(tenant.as_str().len());
    for (at, byte) in tenant.as_str().bytes().enumerate() {
        match byte {
            b'.' if at == 0 => part.push_str("!2E"),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' => part.push(char::from(byte)),
            other => part.push_str(&format!("!{other:02X}")),
        }
    }
    part
}

/// The place of the enforced bundle, which a stock OPA polls.
pub fn enforced(prefix: &Path, tenant: &TenantId) -> Path {
    join(prefix, &[&tenant_part(tenant), BUNDLE])
}

/// The folder of a tenant's versions.
pub fn versions(prefix: &Path, tenant: &TenantId) -> Path {
    join(prefix, &[&tenant_part(tenant), VERSIONS])
}

/// The place of an object of a version.
pub fn of_version(prefix: &Path, tenant: &TenantId, number: u64, object: &str) -> Path {
    join(&versions(prefix, tenant), &[&number.to_string(), object])
}

/// The number of the version whose manifest lies at `path`, within `folder`.
pub fn number_of_manifest(folder: &Path, path: &Path) -> Option<u64> {
    let parts: Vec<_> = path.prefix_match(folder)?.collect();
    match parts.as_slice() {
        [number, object] if object.as_ref() == MANIFEST => {
            // Only the one spelling that is written.
            number.as_ref().parse::<u64>().ok().filter(|read| read.to_string() == number.as_ref())
        }
        _ => None,
    }
}

fn join(path: &Path, parts: &[&str]) -> Path {
    parts.iter().fold(path.clone(), |path, part| path.join(*part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    #[test]
    fn every_tenant_has_a_place_of_its_own() {
        let places = [
            ("acme", "acme"),
            ("acme/payments", "acme!2Fpayments"),
            ("acme:payments", "acme!3Apayments"),
            ("..", "!2E."),
            (".", "!2E"),
            ("../acme", "!2E.!2Facme"),
            ("/", "!2F"),
            ("a.b-c_D", "a.b-c_D"),
        ];
        for (name, part) in places {
            assert_eq!(tenant_part(&tenant(name)), part);
        }
    }

    #[test]
    fn the_layout_is_as_documented() {
        let prefix = Path::from("policies/prod");
        assert_eq!(enforced(&prefix, &tenant("a/b")).as_ref(), "policies/prod/a!2Fb/bundle.tar.gz");
        let manifest = of_version(&prefix, &tenant("a"), 12, MANIFEST);
        assert_eq!(manifest.as_ref(), "policies/prod/a/versions/12/manifest.pb");
        assert_eq!(number_of_manifest(&versions(&prefix, &tenant("a")), &manifest), Some(12));
        // The one place where two tenants could meet, if names were paths.
        let nested = enforced(&prefix, &tenant("a/versions/12"));
        assert_ne!(nested, of_version(&prefix, &tenant("a"), 12, BUNDLE));
    }

    #[test]
    fn only_manifests_of_versions_count() {
        let folder = versions(&Path::default(), &tenant("a"));
        let number = |text: &str| number_of_manifest(&folder, &Path::from(text));
        assert_eq!(number("a/versions/7/manifest.pb"), Some(7));
        for other in [
            "a/versions/7/bundle.tar.gz",
            "a/versions/07/manifest.pb",
            "a/versions/+7/manifest.pb",
            "a/versions/x/manifest.pb",
            "a/versions/7/x/manifest.pb",
            "a/manifest.pb",
            "b/versions/7/manifest.pb",
        ] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
