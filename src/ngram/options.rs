//! Options of Kneser-Ney estimation.

use crate::error::{Error, Result};

const MAX_ORDER: usize = 64;

/// Options of a Kneser-Ney model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KneserNeyOptions {
    /// Number of words in the longest n-grams.
    pub order: usize,
    /// Minimum number of occurrences of the n-grams that are kept, for the orders 3, 4, … in
    /// turn; the last value applies to all higher orders. The values must not decrease. If empty,
    /// all n-grams are kept.
    ///
    /// Dropped n-grams still count for discounts and for lower orders. Their probability mass goes
    /// to the words that are reached by backing off.
    pub min_counts: Vec<u32>,
    /// Approximate limit on the memory for counting and estimation, in bytes.
    pub memory: usize,
}

impl Default for KneserNeyOptions {
    /// Order 5, all n-grams, 8 GiB.
    fn default() -> Self {
        Self {
            order: 5,
            min_counts: Vec::new(),
            memory: usize::try_from(8_u64 << 30).unwrap_or(usize::MAX),
        }
    }
}

impl KneserNeyOptions {
    /// The minimum number of occurrences of an n-gram of an order that is kept.
    pub(super) fn min_count(&self, order: usize) -> u32 {
        let min_count = order
            .checked_sub(3)
            .and_then(|index| self.min_counts.get(index).or(self.min_counts.last()));
        min_count.copied().unwrap_or(1)
    }

    pub(super) fn validate(&self) -> Result<()> {
        if !(1..=MAX_ORDER).contains(&self.order) {
            return Err(Error::config(
                "order",
                self.order,
                format!("it is the number of words in an n-gram, from 1 to {MAX_ORDER}"),
                "5 is suitable for most texts",
            ));
        }
        if let Some(pair) = self.min_counts.windows(2).find(|pair| pair[0] > pair[1]) {
            let list: Vec<String> = self.min_counts.iter().map(u32::to_string).collect();
            return Err(Error::config(
                "min_counts",
                list.join(","),
                format!(
                    "the values must not decrease from order to order, as from {} to {}: an n-gram \
                     requires its context",
                    pair[0], pair[1]
                ),
                "Give values that do not decrease",
            ));
        }
        Ok(())
    }

    /// The error for a text that requires more memory than [`Self::memory`].
    pub(super) fn memory_error(&self, what: &str) -> Error {
        Error::invalid(
            format!("{what} at order {}", self.order),
            format!(
                "it requires more memory than the limit of {} bytes",
                self.memory
            ),
            "Increase `memory`, or use a lower order, higher minimum counts or less text",
        )
    }
}
