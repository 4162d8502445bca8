//! The OPA bundle: a gzipped tar that a stock OPA loads, the same bytes for the same sources.
//!
//! Layout: `/.manifest`, `/aegis/main.rego`, `/aegis/unit/NAME.rego`, `/aegis/custom/NAME.rego`,
//! `/aegis/index/data.json`, and the sources under `/sources/` (OPA reads none of them: their data files
//! are renamed with a suffix).
//! [`unpack`] takes the sources out again.
//! Format: <https://www.openpolicyagent.org/docs/management-bundles>.

pub mod unpack;

use std::io::Write;

use flate2::{Compression, GzBuilder};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::ast::PolicySet;
use crate::compile::{self, Compiled};
use crate::diagnostic::Diagnostic;

/// A written bundle.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The gzipped tar.
    pub bytes: Vec<u8>,
    /// `sha256:` and the hexadecimal digest of `bytes`.
    pub digest: String,
    /// What the manifest says: the digest of the sources.
    pub revision: String,
}

/// The judgement for a stock OPA.
pub const MAIN_REGO: &str = include_str!("rego/main.rego");

/// Compiles a checked set into a bundle.
///
/// # Errors
/// Problems that show only when it is compiled, with their places.
pub fn build(set: &PolicySet) -> Result<Bundle, Vec<Diagnostic>> {
    Ok(write(set, &compile::compile(set)?))
}

pub(crate) fn write(set: &PolicySet, compiled: &Compiled) -> Bundle {
    let revision = revision(set);
    let mut files = vec![
        (".manifest".to_owned(), manifest(&revision, compiled)),
        (
            "aegis/index/data.json".to_owned(),
            serde_json::to_vec(&compiled.index).expect("an index is plain JSON"),
        ),
        ("aegis/main.rego".to_owned(), MAIN_REGO.as_bytes().to_vec()),
    ];
    for unit in &compiled.units {
        files.push((format!("aegis/unit/{}.rego", unit.name), unit.rego.clone().into_bytes()));
    }
    for module in &compiled.custom {
        files.push((format!("aegis/custom/{}.rego", module.name), module.rego.clone().into_bytes()));
    }
    for file in &set.files {
        files.push((format!("sources/{}.txt", file.path), file.text.as_bytes().to_vec()));
    }
    files.sort();
    let bytes = archive(&files);
    let digest = format!("sha256:{}", hex(&Sha256::digest(&bytes)));
    Bundle { bytes, digest, revision }
}

fn manifest(revision: &str, compiled: &Compiled) -> Vec<u8> {
    let manifest = json!({
        "revision": revision,
        "roots": ["aegis"],
        "rego_version": 1,
        "metadata": {"aegis": {"compiler": env!("CARGO_PKG_VERSION"), "entrypoint": "data.aegis.verdict", "zones": compiled.zones}},
    });
    serde_json::to_vec(&manifest).expect("a manifest is plain JSON")
}

/// SHA-256 over path and text of every source, each with its length before it.
fn revision(set: &PolicySet) -> String {
    let mut digest = Sha256::new();
    for file in &set.files {
        for part in [file.path.as_bytes(), file.text.as_bytes()] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
    hex(&digest.finalize())
}

/// Fixed times, owners and modes: the same files give the same bytes.
fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::default());
    let mut tar = tar::Builder::new(gzip);
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        tar.append_data(&mut header, format!("/{path}").trim_start_matches('/'), content.as_slice())
            .expect("writing to memory does not fail");
    }
    let mut gzip = tar.into_inner().expect("writing to memory does not fail");
    gzip.flush().expect("writing to memory does not fail");
    gzip.finish().expect("writing to memory does not fail")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
