//! What every store has to do, whatever it is.

use aegis_controlplane::store::{Shelf, ShelfError, Shelved};
use aegis_identity::manifest::digest_of;
use aegis_model::ids::TenantId;
use bytes::Bytes;

pub(crate) fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

pub(crate) fn version(content: &str) -> Shelved {
    Shelved {
        bundle: Bytes::from(format!("bundle {content}").repeat(10_000)),
        manifest: Bytes::from(format!("manifest {content}")),
        signature: [7; 64],
    }
}

pub(crate) async fn keeps_the_contract(shelf: &Shelf) {
    versions_never_change(shelf).await;
    the_enforced_bundle_is_replaced(shelf).await;
    tenants_do_not_meet(shelf).await;
}

async fn versions_never_change(shelf: &Shelf) {
    let acme = tenant("acme");
    assert_eq!(shelf.versions(&acme).await.unwrap(), [].into());
    for number in [1, 2, 11] {
        shelf.put_version(&acme, number, &version("a")).await.unwrap();
    }
    assert_eq!(shelf.versions(&acme).await.unwrap(), [1, 2, 11].into());
    // Once more is fine, other content is not, and changes nothing.
    shelf.put_version(&acme, 2, &version("a")).await.unwrap();
    let refused = shelf.put_version(&acme, 2, &version("b")).await.unwrap_err();
    assert!(
        matches!(&refused, ShelfError::Differs { path } if path.ends_with("acme/versions/2/bundle.tar.gz"))
    );
    assert!(!refused.retryable());
    shelf.put_version(&acme, 2, &version("a")).await.unwrap();
    // Only the last of the objects differs.
    let other = Shelved { manifest: Bytes::from_static(b"other"), ..version("a") };
    let refused = shelf.put_version(&acme, 11, &other).await.unwrap_err();
    assert!(matches!(&refused, ShelfError::Differs { path } if path.ends_with("manifest.pb")), "{refused}");
}

async fn the_enforced_bundle_is_replaced(shelf: &Shelf) {
    let acme = tenant("acme");
    assert_eq!(shelf.enforced_mark(&acme).await.unwrap(), None);
    assert_eq!(shelf.enforced_digest(&acme).await.unwrap(), None);
    let first = shelf.put_enforced(&acme, version("a").bundle).await.unwrap();
    assert!(first.is_some());
    assert_eq!(shelf.enforced_mark(&acme).await.unwrap(), first);
    assert_eq!(shelf.enforced_digest(&acme).await.unwrap(), Some(digest_of(&version("a").bundle)));
    let second = shelf.put_enforced(&acme, version("b").bundle).await.unwrap();
    assert_ne!(second, first);
    assert_eq!(shelf.enforced_digest(&acme).await.unwrap(), Some(digest_of(&version("b").bundle)));
}

async fn tenants_do_not_meet(shelf: &Shelf) {
    // Were names paths, the enforced bundle of the second would lie among the versions of the first.
    let (one, two, up) = (tenant("globex"), tenant("globex/versions/3"), tenant("../globex"));
    shelf.put_enforced(&two, version("two").bundle).await.unwrap();
    shelf.put_version(&one, 3, &version("one")).await.unwrap();
    shelf.put_version(&up, 4, &version("up")).await.unwrap();
    assert_eq!(shelf.versions(&one).await.unwrap(), [3].into());
    assert_eq!(shelf.versions(&two).await.unwrap(), [].into());
    assert_eq!(shelf.versions(&up).await.unwrap(), [4].into());
    assert_eq!(shelf.enforced_digest(&one).await.unwrap(), None);
}
