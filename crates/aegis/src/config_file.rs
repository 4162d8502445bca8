//! Configuration files: bounded, in UTF-8, with the file's name in every problem.

use std::path::Path;

use anyhow::Context;

use crate::ended::WrongUse;
use crate::state::read_bounded;

/// Larger than any configuration that a person writes.
const BYTES_MAX: usize = 1 << 20;

/// Reads the file at `path`; `parse` gets its text and the folder at which relative paths begin.
///
/// # Errors
/// [`WrongUse`] for what is wrong with the content; otherwise what the system says.
pub(crate) fn read<T>(
    path: &Path,
    parse: impl FnOnce(&str, &Path) -> Result<T, String>,
) -> anyhow::Result<T> {
    let shown = path.display();
    let bytes =
        read_bounded(path, BYTES_MAX).with_context(|| format!("reading the configuration `{shown}`"))?;
    let text = String::from_utf8(bytes).map_err(|_| WrongUse(format!("`{shown}` is not UTF-8")))?;
    let folder = path.canonicalize().with_context(|| format!("reading the configuration `{shown}`"))?;
    let folder = folder.parent().unwrap_or(Path::new("/"));
    Ok(parse(&text, folder).map_err(|problem| WrongUse(format!("`{shown}`: {problem}")))?)
}

/// Whether the file at `path` is the configuration of a control node: it names a cluster and keys of it. What cannot be
/// read is the matter of whoever reads it in full.
pub(crate) fn is_of_control_node(path: &Path) -> bool {
    let bytes = read_bounded(path, BYTES_MAX).unwrap_or_default();
    let table = String::from_utf8(bytes).ok().and_then(|text| text.parse::<toml::Table>().ok());
    table.is_some_and(|table| table.contains_key("cluster_keys") || table.contains_key("advertise"))
}
