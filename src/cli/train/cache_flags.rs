//! The flags of `elman train` for texts that are too large for memory.

use std::path::{Path, PathBuf};

use clap::Args;
use etcetera::base_strategy::{BaseStrategy, choose_native_strategy};

use crate::decompress;
use crate::error::{Error, Result};
use crate::prepared::TokenCache;

/// Where the tokens of large texts are kept.
#[derive(Debug, Clone, Args)]
pub(super) struct CacheFlags {
    /// Keep the tokens of a training file of more than this size in files of --cache-dir and not in
    /// memory; the next run on the same text finds them there
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    cache_above: u64,
    /// The directory of such tokens, which the user removes [default: elman in the user's directory
    /// for caches]
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
}

impl CacheFlags {
    /// The cache for a training file; `None` if its tokens are kept in memory.
    ///
    /// # Errors
    /// If the user has no directory for caches.
    pub(super) fn cache_for(&self, train: &Path) -> Result<Option<TokenCache>> {
        if decompress::is_standard_input(train) {
            return Ok(None);
        }
        // A file that cannot be read is an error where it is read.
        let bytes = std::fs::metadata(train).map_or(0, |file| match file.is_file() {
            true => file.len(),
            false => 0,
        });
        if bytes <= self.cache_above.saturating_mul(1 << 20) {
            return Ok(None);
        }
        let directory = match &self.cache_dir {
            Some(directory) => directory.clone(),
            None => {
                let system = choose_native_strategy().map_err(|_| no_directory())?;
                system.cache_dir().join("elman")
            }
        };
        Ok(Some(TokenCache::new(directory)))
    }
}

fn no_directory() -> Error {
    Error::usage(
        "a training text above --cache-above",
        "its tokens are kept in a file, and the system names no directory for caches",
        "Add --cache-dir DIR, or a larger --cache-above to keep them in memory",
    )
}
