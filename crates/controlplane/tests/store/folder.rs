//! The store in a local folder.

use std::os::unix::fs::PermissionsExt;

use aegis_controlplane::store::{ShelfError, StoreConfig};

use crate::contract::{keeps_the_contract, tenant, version};

#[tokio::test]
async fn a_folder_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    keeps_the_contract(&StoreConfig::folder(folder.path()).open().unwrap()).await;
    let mut found: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, ["!2E.!2Fglobex", "acme", "globex", "globex!2Fversions!2F3"]);
    let bundle = std::fs::read(folder.path().join("acme/versions/1/bundle.tar.gz")).unwrap();
    assert_eq!(bundle, version("a").bundle);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_an_error_and_then_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = StoreConfig::folder(&folder.path().join("store")).open().unwrap();
    // A file where the tenant's folder would be: this fails for the superuser as well.
    std::fs::write(folder.path().join("store/acme"), "in the way").unwrap();
    let error = shelf.put_version(&tenant("acme"), 1, &version("a")).await.unwrap_err();
    assert!(matches!(error, ShelfError::Failed { .. }) && error.retryable(), "{error}");
    std::fs::remove_file(folder.path().join("store/acme")).unwrap();
    shelf.put_version(&tenant("acme"), 1, &version("a")).await.unwrap();
    let mode = std::fs::metadata(folder.path().join("store/acme")).unwrap().permissions().mode();
    assert_eq!(mode & 0o002, 0, "nobody else writes there");
}

#[tokio::test]
async fn somebody_elses_file_is_told_loudly_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = StoreConfig::folder(folder.path()).open().unwrap();
    let place = folder.path().join("acme/versions/1");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("bundle.tar.gz"), "foreign").unwrap();
    let error = shelf.put_version(&tenant("acme"), 1, &version("a")).await.unwrap_err();
    assert_eq!(error.code(), "store_differs");
    assert_eq!(std::fs::read(place.join("bundle.tar.gz")).unwrap(), b"foreign");
    assert!(!place.join("manifest.pb").exists(), "a version whose bundle is wrong is not there");
}
