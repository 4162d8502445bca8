//! An export: a log's folder with the records of one chain. It is verified like the whole.

use std::io;
use std::path::{Path, PathBuf};

use crate::journal::Disk;
use crate::record::Chain;
use crate::segment;

/// Copies what somebody needs who may see the records of `chain` and of no other (TEN-1): the tree, the entries, the
/// checkpoint, the ends of segments, and the chain. Only sealed segments are exported, and never the key. While a log runs, a
/// segment that is sealed during the copy makes it inconsistent, which verification finds: copy again.
///
/// # Errors
/// What a disk says; [`io::ErrorKind::AlreadyExists`] if `to` is there already.
pub fn export(from: (&dyn Disk, &Path), chain: &Chain, to: (&dyn Disk, &Path)) -> io::Result<()> {
    let ((disk, source), (out, target)) = (from, to);
    if out.list(target).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    out.create_dir(target)?;
    for name in ["checkpoint", "verifier"] {
        copy(disk, &source.join(name), out, &target.join(name))?;
    }
    for part in [PathBuf::from("tile"), segment::folder(&Chain::Log), segment::folder(chain)] {
        let mut at = target.to_owned();
        for parent in part.parent().into_iter().flat_map(Path::components) {
            at.push(parent);
            out.create_dir(&at)?;
        }
        copy_dir(disk, &source.join(&part), out, &target.join(&part))?;
    }
    Ok(())
}

fn copy_dir(disk: &dyn Disk, from: &Path, out: &dyn Disk, to: &Path) -> io::Result<()> {
    out.create_dir(to)?;
    for name in disk.list(from)? {
        let (from, to) = (from.join(&name), to.join(&name));
        // What cannot be listed is a file.
        if disk.list(&from).is_ok() {
            copy_dir(disk, &from, out, &to)?;
        } else {
            copy(disk, &from, out, &to)?;
        }
    }
    out.sync_dir(to)
}

fn copy(disk: &dyn Disk, from: &Path, out: &dyn Disk, to: &Path) -> io::Result<()> {
    let mut file = out.create(to)?;
    file.append(&disk.read(from)?)?;
    file.sync()
}
