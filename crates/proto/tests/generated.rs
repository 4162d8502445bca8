//! The committed code in `src/gen` is what the generator makes of `proto/`, byte for byte.
//!
//! `AEGIS_GENERATE=write cargo test -p aegis-proto --test generated` writes it instead of comparing;
//! `cargo xtask gen` runs that. No `protoc` is needed: protox parses the files.

#[path = "generated/json.rs"]
mod json;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use prost::Message;
use prost_types::FileDescriptorSet;

/// Package `aegis.v1`: what nodes say to clients and to each other.
const PRODUCT: [&str; 9] = [
    "aegis/v1/approvals.proto",
    "aegis/v1/decision.proto",
    "aegis/v1/evidence.proto",
    "aegis/v1/feed.proto",
    "aegis/v1/lending.proto",
    "aegis/v1/manifest.proto",
    "aegis/v1/raft.proto",
    "aegis/v1/search.proto",
    "aegis/v1/tokens.proto",
];
/// What a data node serves, and so stands in the descriptor that its reflection shows.
const DATA_NODE: [&str; 1] = ["aegis/v1/decision.proto"];
/// What the control plane replicates and keeps on disk; nothing of it is served.
const CONTROL: [&str; 2] = ["aegis/control/v1/state.proto", "aegis/control/v1/command.proto"];
/// What people say to the control plane, over gRPC and as JSON: a file of its own, whose messages are JSON documents too.
const ADMIN: [&str; 1] = ["aegis/v1/admin.proto"];
/// What only the load generator serves.
const LOADTEST: [&str; 1] = ["aegis/loadtest/v1/echo.proto"];
/// JSON documents and pieces of bundles and snapshots: kept as slices of the received message instead of copies.
const BYTES_FIELDS: [&str; 9] = [
    ".aegis.v1.SearchHit.record",
    ".aegis.v1.DecideRequest.params",
    ".aegis.v1.DecideRequest.context",
    ".aegis.v1.CompleteRequest.result",
    ".aegis.v1.CompleteResponse.result",
    ".aegis.v1.DecideResponse.params",
    ".aegis.v1.DecideResponse.explanation",
    ".aegis.v1.GetBundleResponse.chunk",
    ".aegis.v1.RaftInstallSnapshotRequest.chunk",
];
/// Messages that hold tokens, keys, bundles or values of a call: `src/redacted.rs` writes their `Debug`.
const WITHOUT_DEBUG: [&str; 22] = [
    ".aegis.v1.SearchHit",
    ".aegis.control.v1.SealedSecrets",
    ".aegis.v1.GetApprovalResponse",
    ".aegis.v1.ApprovalOpening",
    ".aegis.v1.ApprovalStanding",
    ".aegis.control.v1.ApprovalCall",
    ".aegis.v1.DecideRequest",
    ".aegis.v1.DecideResponse",
    ".aegis.v1.DecideStreamRequest",
    ".aegis.v1.CompleteRequest",
    ".aegis.v1.CompleteResponse",
    ".aegis.v1.IssueTokenRequest",
    ".aegis.v1.SignedAssertion",
    ".aegis.v1.OwnToken",
    ".aegis.v1.IssuerToken",
    ".aegis.v1.IssuedToken",
    ".aegis.control.v1.PutChunk",
    ".aegis.control.v1.AddKey",
    ".aegis.control.v1.RewrapKey",
    ".aegis.control.v1.Key",
    ".aegis.control.v1.WrappedKey",
    ".aegis.v1.TenantSecretKey",
];
/// Refuses unknown and repeated fields.
const STRICT_CODEC: &str = "crate::codec::StrictCodec";
/// The reference is measured with the codec that everybody else has.
const PLAIN_CODEC: &str = "tonic_prost::ProstCodec";
/// Reads requests exactly and answers leniently.
const EXACT_CODEC: &str = "crate::codec::ExactCodec";

#[test]
fn committed_code_is_what_the_generator_makes() {
    let generated = generate().expect("the proto files compile");
    let folder = crate_folder().join("src/gen");
    if std::env::var("AEGIS_GENERATE").is_ok_and(|mode| mode == "write") {
        fs::create_dir_all(&folder).expect("src/gen can be made");
        for (name, content) in &generated {
            fs::write(folder.join(name), content).expect("src/gen can be written");
        }
        return;
    }
    for (name, content) in &generated {
        let committed = fs::read(folder.join(name)).unwrap_or_default();
        assert!(committed == *content, "src/gen/{name} is stale: run `cargo xtask gen`");
    }
    let mut expected: Vec<&str> = generated.iter().map(|(name, _)| *name).collect();
    expected.sort_unstable();
    let mut found: Vec<String> = fs::read_dir(&folder)
        .expect("src/gen is there")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    found.sort_unstable();
    assert_eq!(found, expected, "src/gen holds exactly the generated files");
}

/// A file's name and content.
type Generated = (&'static str, Vec<u8>);

/// Every generated file.
fn generate() -> Result<Vec<Generated>, Box<dyn Error>> {
    Ok(vec![
        ("aegis.v1.rs", generate_rust(&PRODUCT, STRICT_CODEC, "aegis.v1.rs")?),
        ("aegis.v1.admin.rs", generate_admin()?),
        ("aegis.control.v1.rs", generate_rust(&CONTROL, PLAIN_CODEC, "aegis.control.v1.rs")?),
        ("aegis.loadtest.v1.rs", generate_rust(&LOADTEST, PLAIN_CODEC, "aegis.loadtest.v1.rs")?),
        ("descriptor.bin", descriptor(&DATA_NODE)?),
        ("admin_descriptor.bin", descriptor(&ADMIN)?),
    ])
}

/// Generates the Rust code of `files` and what they import, and returns the file called `name`.
fn generate_rust(files: &[&str], codec: &str, name: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut builder = tonic_prost_build::configure()
        .out_dir(folder.path())
        .codec_path(codec)
        .skip_debug(WITHOUT_DEBUG)
        .emit_rerun_if_changed(false);
    for field in BYTES_FIELDS {
        builder = builder.bytes(field);
    }
    builder.compile_fds(parse(files)?)?;
    Ok(fs::read(folder.path().join(name))?)
}

/// Generates the admin API's messages with their JSON form, as `tests/generated/json.rs` describes it.
fn generate_admin() -> Result<Vec<u8>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let set = parse(&ADMIN)?;
    let mut builder = tonic_prost_build::configure()
        .out_dir(folder.path())
        .codec_path(EXACT_CODEC)
        .skip_debug(json::WITHOUT_DEBUG)
        .emit_rerun_if_changed(false);
    for field in json::BYTES_FIELDS {
        builder = builder.bytes(field);
    }
    for (path, attribute) in json::message_attributes(&set) {
        builder = builder.message_attribute(path, attribute);
    }
    for (path, attribute) in json::field_attributes(&set) {
        builder = builder.field_attribute(path, attribute);
    }
    // The codec tells requests from answers by their names.
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    builder.compile_fds_with_config(set, config)?;
    Ok(fs::read(folder.path().join("aegis.v1.rs"))?)
}

/// The encoded descriptors of `files` for reflection, without comments.
fn descriptor(files: &[&str]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut set = parse(files)?;
    for file in &mut set.file {
        file.source_code_info = None;
    }
    Ok(set.encode_to_vec())
}

fn parse(files: &[&str]) -> Result<FileDescriptorSet, Box<dyn Error>> {
    Ok(protox::compile(files, [proto_folder()])?)
}

fn proto_folder() -> PathBuf {
    crate_folder().join("../../proto")
}

fn crate_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
