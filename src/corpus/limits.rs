//! Limits on the size of a vocabulary.

use serde::{Deserialize, Serialize};

/// Default number of subwords.
pub const DEFAULT_SUBWORDS: usize = 4096;
/// Minimum number of subwords: one for each byte, and the boundary.
pub const MIN_SUBWORDS: usize = 257;

/// Which types a vocabulary keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Maximum number of types, including the boundary and `<unk>`; the most frequent types are
    /// kept. For subwords, the number of types to learn.
    pub vocab_size: Option<usize>,
    /// Minimum number of occurrences of a type. For subwords, the minimum number of times that the
    /// two parts of a subword occur side by side.
    pub min_count: u64,
}
