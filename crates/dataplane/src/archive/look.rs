//! Single files of copies, looked at where they lie.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, GetRange};

use super::{Archive, ArchiveError};

impl Archive {
    /// The names of the files in a folder of the log `origin`.
    pub(crate) async fn names(&self, origin: &str, folder: &str) -> Result<Vec<String>, ArchiveError> {
        let folder = self.at(origin, folder);
        let name = |path: &Path| {
            let mut below = path.prefix_match(&folder)?;
            let name = below.next()?.as_ref().to_owned();
            below.next().is_none().then_some(name)
        };
        Ok(self.list(&folder).await?.iter().filter_map(|(path, _)| name(path)).collect())
    }

    /// A file of the log `origin`, if it is there; nothing of it is read if it is larger than `bytes_max`.
    pub(crate) async fn file(
        &self,
        origin: &str,
        file: &str,
        bytes_max: u64,
    ) -> Result<Option<Bytes>, ArchiveError> {
        self.get(&self.at(origin, file), bytes_max).await
    }

    /// The last bytes of a file, if it is there.
    pub(crate) async fn tail(
        &self,
        origin: &str,
        file: &str,
        bytes_max: u64,
    ) -> Result<Option<Bytes>, ArchiveError> {
        let path = self.at(origin, file);
        let options = GetOptions { range: Some(GetRange::Suffix(bytes_max)), ..GetOptions::default() };
        let read = async {
            match self.store.get_opts(&path, options).await {
                Ok(object) => object.bytes().await.map(Some),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.within(&path, read).await
    }
}
