//! Manifests: signed and verified strictly, each with one spelling, each for its own cluster, tenant and bundle.

use aegis_identity::keys::SigningKey;
use aegis_identity::manifest::{
    DOMAIN, Manifest, ManifestRefusal, ManifestTrust, Signed, chunks_of, digest_of,
};
use aegis_model::caps;
use aegis_model::ids::{ClusterId, TenantId};
use proptest::prelude::*;

use crate::forge::key;

fn cluster() -> ClusterId {
    "c-1".parse().unwrap()
}

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

fn bundle() -> Vec<u8> {
    let byte = |at: usize| u8::try_from(at % 251).unwrap();
    (0..caps::BUNDLE_CHUNK_BYTES * 2 + 7).map(byte).collect()
}

fn manifest() -> Manifest {
    Manifest::describe(cluster(), tenant(), 12, &bundle(), 1_800_000_000_000, &key(1)).unwrap()
}

fn signed() -> Signed {
    manifest().sign(&key(1))
}

fn trust(keys: &[SigningKey]) -> ManifestTrust {
    ManifestTrust::new(cluster(), keys.iter().map(|key| key.verifying_key().clone())).unwrap()
}

#[track_caller]
fn refused(signed: &Signed, expected: ManifestRefusal) {
    assert_eq!(trust(&[key(1)]).verify(signed, &tenant()).unwrap_err(), expected);
}

#[test]
fn what_is_signed_is_verified_and_vouches_for_its_bundle() {
    let verified = trust(&[key(1), key(2)]).verify(&signed(), &tenant()).unwrap();
    assert_eq!(verified.manifest(), &manifest());
    assert_eq!(verified.manifest().chunks.len(), 3);
    assert_eq!(verified.manifest().chunks[1], digest_of(chunks_of(&bundle()).nth(1).unwrap()));
    verified.check_bundle(&bundle()).unwrap();
    verified.is_version(12).unwrap();
    assert_eq!(verified.is_version(11), Err(ManifestRefusal::WrongVersion));
    let mut other = bundle();
    other[caps::BUNDLE_CHUNK_BYTES] ^= 1;
    assert_eq!(verified.check_bundle(&other), Err(ManifestRefusal::WrongBundle));
    assert_eq!(verified.check_bundle(&bundle()[1..]), Err(ManifestRefusal::WrongBundle));
}

#[test]
fn the_bytes_are_pinned() {
    // Whoever changes these bytes makes every signature of before worthless: it needs another domain.
    let small = Manifest::describe(cluster(), tenant(), 300, b"x", 5, &key(1)).unwrap().sign(&key(1));
    let x = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    let id: String = key(1).id().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let hex: String = small.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, format!("0a03632d31120461636d6518ac022220{x}28013220{x}38054220{id}"));
}

#[test]
fn a_key_that_is_not_the_clusters_is_refused_and_a_replaced_one_still_counts() {
    let old = signed();
    assert_eq!(
        trust(&[key(2)]).verify(&old, &tenant()).unwrap_err(),
        ManifestRefusal::UnknownKey(key(1).id())
    );
    trust(&[key(2), key(1)]).verify(&old, &tenant()).unwrap();
    assert!(ManifestRefusal::UnknownKey(key(1).id()).retryable() && !ManifestRefusal::Signature.retryable());
}

#[test]
fn another_clusters_or_tenants_manifest_is_refused() {
    let other = Manifest { cluster: "c-2".parse().unwrap(), ..manifest() }.sign(&key(1));
    refused(&other, ManifestRefusal::WrongCluster);
    let other = Manifest { tenant: "acme2".parse().unwrap(), ..manifest() }.sign(&key(1));
    refused(&other, ManifestRefusal::WrongTenant);
}

#[test]
fn a_signature_without_the_domain_or_by_another_key_is_refused() {
    let Signed { bytes, .. } = signed();
    refused(&Signed { signature: key(1).sign(&bytes), bytes: bytes.clone() }, ManifestRefusal::Signature);
    let message = [DOMAIN, &bytes].concat();
    refused(&Signed { signature: key(2).sign(&message), bytes: bytes.clone() }, ManifestRefusal::Signature);
    let other_domain = [b"aegis/manifest/v2\0", &bytes[..]].concat();
    refused(&Signed { signature: key(1).sign(&other_domain), bytes }, ManifestRefusal::Signature);
}

#[test]
fn every_single_bit_counts() {
    let good = signed();
    for at in 0..good.bytes.len() * 8 {
        let mut twin = good.clone();
        twin.bytes[at / 8] ^= 1 << (at % 8);
        assert!(trust(&[key(1)]).verify(&twin, &tenant()).is_err(), "bit {at}");
    }
    for at in 0..good.signature.len() * 8 {
        let mut twin = good.clone();
        twin.signature[at / 8] ^= 1 << (at % 8);
        refused(&twin, ManifestRefusal::Signature);
    }
}

/// Rightly signed by a key of the cluster, so that only the reader can refuse it.
fn resigned(bytes: Vec<u8>) -> Signed {
    let signature = key(1).sign(&[DOMAIN, &bytes].concat());
    Signed { bytes, signature }
}

#[test]
fn a_second_spelling_is_refused_though_it_is_signed() {
    let good = signed().bytes;
    let with = |more: &[u8]| resigned([&good[..], more].concat());
    refused(&with(&[9 << 3, 1]), ManifestRefusal::Malformed); // an unknown field
    refused(&with(&[3 << 3, 12]), ManifestRefusal::Malformed); // a field twice
    refused(&with(&[7 << 3, 0]), ManifestRefusal::Malformed); // a default
    refused(&with(&[0]), ManifestRefusal::Malformed);
    // The version, 12, as a longer varint.
    let place = good.windows(2).position(|pair| pair == [3 << 3, 12]).unwrap();
    let longer = [&good[..=place], &[0x8c, 0x00], &good[place + 2..]].concat();
    refused(&resigned(longer), ManifestRefusal::Malformed);
    // The first field moved to the end.
    let moved = [&good[5..], &good[..5]].concat();
    refused(&resigned(moved), ManifestRefusal::Malformed);
    for length in 0..good.len() {
        let refusal = trust(&[key(1)]).verify(&resigned(good[..length].to_vec()), &tenant()).unwrap_err();
        assert!(matches!(refusal, ManifestRefusal::Malformed | ManifestRefusal::Size), "{length}: {refusal}");
    }
    refused(&resigned(vec![0xff; caps::MANIFEST_BYTES_MAX + 1]), ManifestRefusal::TooLong);
}

#[test]
fn sizes_and_chunks_have_to_agree() {
    let describe = |bundle: &[u8]| Manifest::describe(cluster(), tenant(), 1, bundle, 0, &key(1));
    assert_eq!(describe(&[]).unwrap_err(), ManifestRefusal::Size);
    assert_eq!(describe(&vec![0; caps::BUNDLE_BYTES_MAX + 1]).unwrap_err(), ManifestRefusal::Size);
    let largest = vec![0; caps::BUNDLE_BYTES_MAX];
    let longest = Manifest::describe(
        format!("{}.c", "c".repeat(caps::CLUSTER_ID_BYTES_MAX - 2)).parse().unwrap(),
        "t".repeat(caps::NAME_BYTES_MAX).parse().unwrap(),
        u64::MAX,
        &largest,
        u64::MAX,
        &key(1),
    );
    let longest = longest.unwrap().sign(&key(1));
    Manifest::read_unverified(&longest.bytes).unwrap();
    let mut fewer = manifest();
    fewer.chunks.pop();
    refused(&fewer.sign(&key(1)), ManifestRefusal::Size);
    refused(&Manifest { bundle_bytes: 0, ..manifest() }.sign(&key(1)), ManifestRefusal::Size);
    refused(&Manifest { version: 0, ..manifest() }.sign(&key(1)), ManifestRefusal::Malformed);
}

#[test]
fn keys_are_bounded() {
    let keys = |count: u64| (0..count).map(|seed| key(seed).verifying_key().clone());
    let most = caps::MANIFEST_KEYS_MAX as u64;
    assert_eq!(ManifestTrust::new(cluster(), keys(most)).unwrap().keys().count(), caps::MANIFEST_KEYS_MAX);
    assert_eq!(ManifestTrust::new(cluster(), keys(most + 1)).unwrap_err(), ManifestRefusal::TooManyKeys);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_bytes_are_read_they_are_written_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(manifest) = Manifest::read_unverified(&bytes) {
            prop_assert_eq!(manifest.sign(&key(1)).bytes.len(), bytes.len());
        }
    }

    #[test]
    fn a_manifest_survives_its_bytes(
        cluster in "([a-z0-9]{1,20}[.]){0,2}[a-z]([a-z0-9-]{0,18}[a-z0-9])?", tenant in "[A-Za-z0-9_.:/-]{1,128}",
        version in 1_u64.., created in any::<u64>(), size in 1_usize..2_000,
    ) {
        let bundle = vec![7; size];
        let manifest = Manifest::describe(
            cluster.parse().unwrap(), tenant.parse().unwrap(), version, &bundle, created, &key(1),
        ).unwrap();
        let signed = manifest.clone().sign(&key(1));
        prop_assert_eq!(Manifest::read_unverified(&signed.bytes).unwrap(), manifest);
    }
}
