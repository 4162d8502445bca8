//! How much of the disk the audit logs of a node take, by tenant, and how much is left.
//!
//! Nobody waits for it. A thread looks now and then, seldom enough to take a hundredth of one core at most, and never longer than
//! for so many files; what it says is of the last look.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aegis_audit::record::Chain;
use aegis_audit::segment;
use aegis_model::caps;
use aegis_model::metric::Family;

use crate::decider::Decider;
use crate::snapshot::Snapshot;

/// What the last look found. Nothing before the first one.
#[derive(Debug, Default)]
pub(crate) struct Occupied(Mutex<Option<Found>>);

/// What a folder takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Found {
    bytes: u64,
    files: u64,
    /// Whether there are more files than are counted.
    partial: bool,
    /// By the name of the folder below `segments`, so that tenants that nobody knows any more are counted too.
    chains: BTreeMap<String, u64>,
    disk: Option<Disk>,
}

/// The file system that a folder is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Disk {
    bytes: u64,
    /// For those who are not root.
    free: u64,
}

/// Tenants without a label of their own.
const OTHERS: &str = "other";

/// Looks for as long as it is polled.
pub(crate) async fn run(decider: Arc<Decider>) {
    loop {
        let began = decider.clock.monotonic();
        let looking = Arc::clone(&decider);
        let looked = tokio::task::spawn_blocking(move || look(&looking)).await;
        match looked.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            Ok(found) => decider.records.occupied.say(found),
            Err(error) => tracing::debug!(%error, "how much the audit logs take cannot be told"),
        }
        let took = decider.clock.monotonic().since(began);
        tokio::time::sleep(Duration::from_secs(caps::OCCUPIED_LOOK_SECONDS).max(took * 100)).await;
    }
}

fn look(decider: &Decider) -> io::Result<Found> {
    let root = decider.records.root();
    let mut found = Found { disk: Some(disk(root)?), ..Found::default() };
    walk(root, None, &mut found)?;
    Ok(found)
}

impl Found {
    /// What tenants take, by their labels: those that `snapshot` knows, and all others together.
    fn tenants(mut self, snapshot: &Snapshot) -> BTreeMap<String, u64> {
        let mut tenants = BTreeMap::new();
        for tenant in snapshot.tenants() {
            let own = segment::folder(&Chain::Tenant(tenant.id().clone()));
            let name = own.file_name().unwrap_or_default().to_string_lossy();
            let bytes = self.chains.remove(&*name).unwrap_or(0);
            *tenants.entry(tenant.label().unwrap_or(OTHERS).to_owned()).or_default() += bytes;
        }
        let of_nobody: u64 = self.chains.into_values().sum();
        if of_nobody > 0 {
            *tenants.entry(OTHERS.to_owned()).or_default() += of_nobody;
        }
        tenants
    }
}

/// Counts the files below `folder`; those of `chain`, if it is of one. What goes away meanwhile is not counted.
fn walk(folder: &Path, chain: Option<&str>, found: &mut Found) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let of_segments = folder.file_name().is_some_and(|name| name == "segments");
    for entry in entries {
        let entry = entry?;
        if found.files >= caps::OCCUPIED_FILES_MAX {
            found.partial = true;
            return Ok(());
        }
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_chain = of_segments && chain.is_none() && name.starts_with("tenant-");
        match entry.metadata() {
            Ok(is) if is.is_dir() => walk(&entry.path(), if is_chain { Some(&*name) } else { chain }, found)?,
            Ok(is) => {
                found.files += 1;
                found.bytes += is.len();
                if let Some(chain) = chain {
                    *found.chains.entry(chain.to_owned()).or_default() += is.len();
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn disk(folder: &Path) -> io::Result<Disk> {
    let told = rustix::fs::statvfs(folder)?;
    let bytes = |blocks: u64| blocks.saturating_mul(told.f_frsize);
    Ok(Disk { bytes: bytes(told.f_blocks), free: bytes(told.f_bavail) })
}

impl Occupied {
    fn say(&self, found: Found) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }

    /// As metrics; none before the first look.
    pub(crate) fn families(&self, snapshot: &Snapshot) -> Vec<Family> {
        let Some(found) = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone() else {
            return Vec::new();
        };
        let mut tenants = Family::gauge(
            "aegis_journal_tenant_bytes",
            "Bytes of the sealed audit records of a tenant on this node's disk.",
        );
        for (tenant, bytes) in found.clone().tenants(snapshot) {
            tenants = tenants.with(&[("tenant", &tenant)], bytes as f64);
        }
        let mut families = vec![
            Family::gauge(
                "aegis_journal_folder_bytes",
                "Bytes of all files in the folder of this node's audit logs.",
            )
            .with(&[], found.bytes as f64),
            Family::gauge(
                "aegis_journal_folder_files",
                "Files in the folder of this node's audit logs, as far as they are counted.",
            )
            .with(&[], found.files as f64),
            Family::gauge(
                "aegis_journal_folder_partial",
                "Whether that folder has more files than are counted.",
            )
            .with(&[], u8::from(found.partial).into()),
            tenants,
        ];
        if let Some(disk) = found.disk {
            families.push(
                Family::gauge("aegis_journal_disk_bytes", "Size of the disk that the audit logs are on.")
                    .with(&[], disk.bytes as f64),
            );
            families.push(
                Family::gauge("aegis_journal_disk_free_bytes", "What is free of it for this node.")
                    .with(&[], disk.free as f64),
            );
        }
        families
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::Retention;
    use crate::retention::tests::bench;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_told_is_what_the_files_have() {
        let (_kept, decider) = bench(Retention::default()).await;
        // Nothing changes any more.
        decider.records.close().unwrap();
        let snapshot = decider.snapshot();
        assert!(decider.records.occupied.families(&snapshot).is_empty(), "nothing before the first look");
        let root = decider.records.root().to_owned();
        // Apart from the folder's own growth: a tenant that nobody knows any more.
        let life = decider.records.folder_of_running().unwrap();
        let stranger = life.join("segments").join("tenant-00000000000000000000000000000000");
        fs::create_dir(&stranger).unwrap();
        fs::write(stranger.join("00000001.seg"), [b'x'; 700]).unwrap();
        let found = look(&decider).unwrap();
        let listed = sizes(&root);
        assert_eq!((found.bytes, found.files), (listed.iter().sum(), listed.len() as u64));
        let acme = life.join(segment::folder(&"tenant/acme".parse().unwrap()));
        let tenants = found.clone().tenants(&snapshot);
        assert_eq!(tenants["acme"], sizes(&acme).iter().sum::<u64>());
        assert_eq!(tenants["other"], 700);
        assert!(tenants["acme"] > 0 && !found.partial);
        let disk = found.disk.unwrap();
        assert!(disk.free <= disk.bytes && disk.bytes > 0);
        decider.records.occupied.say(found);
        let page = aegis_proto::exposition::Format::Text.page(&decider.records.occupied.families(&snapshot));
        assert!(page.contains("aegis_journal_tenant_bytes{tenant=\"other\"} 700"), "{page}");
        assert!(page.contains("aegis_journal_disk_free_bytes "), "{page}");
    }

    fn sizes(folder: &Path) -> Vec<u64> {
        let mut sizes = Vec::new();
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let is = entry.metadata().unwrap();
            if is.is_dir() { sizes.extend(self::sizes(&entry.path())) } else { sizes.push(is.len()) }
        }
        sizes
    }

    #[test]
    fn what_is_too_much_to_count_is_said() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), b"four").unwrap();
        let mut found = Found { files: caps::OCCUPIED_FILES_MAX, ..Found::default() };
        walk(folder.path(), None, &mut found).unwrap();
        assert!(found.partial && found.bytes == 0);
        let mut nothing = Found::default();
        walk(&folder.path().join("gone"), None, &mut nothing).unwrap();
        assert_eq!(nothing, Found::default());
    }
}
