//! A server that speaks S3, with its signatures checked, started by the test.

use std::path::Path;

use aegis_controlplane::store::{Shelf, StoreConfig};
use aegis_testkit::server::{Mood, Server};

use crate::contract::{keeps_the_contract, tenant, version};

pub(crate) use aegis_testkit::stores::S3_SECRET as SECRET;

/// A server over `folder` with the bucket `bundles`.
pub(crate) fn server(folder: &Path) -> Server {
    aegis_testkit::stores::s3(folder, "bundles")
}

pub(crate) fn shelf(folder: &Path, url: &str, secret: &str) -> Shelf {
    let path = folder.join("secret");
    std::fs::write(&path, format!("{secret}\n")).unwrap();
    let options = [
        ("aws_endpoint", url),
        ("aws_allow_http", "true"),
        ("aws_region", "eu-test-1"),
        ("aws_access_key_id", "aegis"),
    ];
    let config = StoreConfig {
        url: "s3://bundles/policies/prod".to_owned(),
        options: options.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        secret_files: [("aws_secret_access_key".to_owned(), path)].into(),
    };
    config.open().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(&folder.path().join("data"));
    keeps_the_contract(&shelf(folder.path(), &server.url(), SECRET)).await;
    let bundle = folder.path().join("data/bundles/policies/prod/acme/versions/1/bundle.tar.gz");
    assert_eq!(std::fs::read(bundle).unwrap(), version("a").bundle);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_or_fails_is_an_error_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(&folder.path().join("data"));
    let shelf = shelf(folder.path(), &server.url(), SECRET);
    let acme = tenant("acme");
    for mood in [Mood::Failing, Mood::Down] {
        server.set(mood);
        let error = shelf.put_version(&acme, 1, &version("a")).await.unwrap_err();
        assert!(error.retryable(), "{mood:?}: {error}");
        assert!(!format!("{error:?}").contains(SECRET));
        assert!(shelf.versions(&acme).await.is_err());
        assert!(shelf.enforced_mark(&acme).await.is_err(), "down is not the same as empty");
    }
    server.set(Mood::Well);
    shelf.put_version(&acme, 1, &version("a")).await.unwrap();
    assert_eq!(shelf.versions(&acme).await.unwrap(), [1].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_refused_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(&folder.path().join("data"));
    let shelf = shelf(folder.path(), &server.url(), "hunter2hunter2");
    let error = shelf.put_version(&tenant("acme"), 1, &version("a")).await.unwrap_err();
    assert!(!format!("{error} {error:?} {shelf:?}").contains("hunter2"));
}
