//! The division of a vocabulary, which is sorted by frequency, into a head and clusters of rare
//! words, so that rare words cost little.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::format::comma_separated;
use crate::error::{Error, Result};

/// The largest number of clusters.
pub(super) const MAX_CLUSTERS: usize = 96;

/// The default number of words in the head, except for small vocabularies.
const DEFAULT_HEAD: usize = 2_000;
/// The default growth from the end of one cluster to the end of the next, and the default divisor.
const DEFAULT_GROWTH: f64 = 1.5;
/// The default limit on the words of a cluster, or the fraction of a vocabulary that would
/// otherwise have too many clusters. The cost of an occurrence of a word is proportional to the
/// size of its cluster: on texts with many rare words, clusters of a third of the vocabulary each
/// are several times slower.
const DEFAULT_MAX_WORDS: usize = 12_000;
const DEFAULT_MAX_FRACTION: usize = 64;

/// How a vocabulary is divided, and how the size of projected states decreases for rare words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clusters {
    /// The ends of the head and of all clusters but the last, which ends with the vocabulary.
    pub cutoffs: Vec<usize>,
    /// The ratio of the sizes of projected states of consecutive clusters: PyTorch's `div_value`.
    pub divisor: f64,
}

impl Clusters {
    /// The default divisor for given cutoffs (Grave 2017).
    pub const DEFAULT_DIVISOR: f64 = 4.0;

    /// The default division of a vocabulary: the head has 2,000 words, or a quarter of a small
    /// vocabulary, and each cluster ends at 1.5 times the end of the one before, with at most
    /// 12,000 words, or a 64th of a vocabulary of more than 768,000. Projected states become
    /// smaller for rarer words, so that clusters have similar numbers of weights.
    pub fn default_for(vocab_size: usize) -> Self {
        let max_words = DEFAULT_MAX_WORDS.max(vocab_size.div_ceil(DEFAULT_MAX_FRACTION));
        let mut end = DEFAULT_HEAD.min(vocab_size.div_ceil(4));
        let words =
            |start: usize| ((start as f64 * (DEFAULT_GROWTH - 1.0)).ceil() as usize).min(max_words);
        let mut cutoffs = vec![end];
        // A remainder of less than a fifth of a cluster joins the one before.
        while end + words(end) + words(end) / 5 < vocab_size {
            end += words(end);
            cutoffs.push(end);
        }
        Self {
            cutoffs,
            divisor: DEFAULT_GROWTH,
        }
    }

    /// Checks that the clusters divide a vocabulary of this size.
    ///
    /// # Errors
    /// If they do not.
    pub(super) fn validate(&self, vocab_size: usize) -> Result<()> {
        let ascend = self.cutoffs.windows(2).all(|pair| pair[0] < pair[1]);
        let within = self.cutoffs.first() > Some(&0) && self.cutoffs.last() < Some(&vocab_size);
        if !ascend || !within {
            return Err(Error::config(
                "cutoffs",
                comma_separated(&self.cutoffs),
                format!(
                    "the ends of the head and of the clusters must ascend from at least 1 to below \
                     the vocabulary's {vocab_size}"
                ),
                format!(
                    "{} are usual for this vocabulary",
                    comma_separated(&Self::default_for(vocab_size).cutoffs)
                ),
            ));
        }
        if self.cutoffs.len() > MAX_CLUSTERS {
            return Err(Error::config(
                "cutoffs",
                comma_separated(&self.cutoffs),
                format!(
                    "there are {} cutoffs, and at most {MAX_CLUSTERS} clusters",
                    self.cutoffs.len()
                ),
                "Remove some of them",
            ));
        }
        if !(self.divisor.is_finite() && self.divisor >= 1.0) {
            return Err(Error::config(
                "tail_divisor",
                self.divisor,
                "it must be a number from 1 on",
                "4 is the usual value",
            ));
        }
        Ok(())
    }

    /// The number of words in the head.
    pub(super) fn head_words(&self) -> usize {
        self.cutoffs.first().copied().unwrap_or(0)
    }

    /// The words of each cluster, as ranges of the vocabulary.
    pub(super) fn ranges(&self, vocab_size: usize) -> Vec<Range<usize>> {
        let ends = self.cutoffs.iter().copied().skip(1).chain([vocab_size]);
        self.cutoffs
            .iter()
            .copied()
            .zip(ends)
            .map(|(start, end)| start..end)
            .collect()
    }

    /// The size of a cluster's projected states, at least 1.
    pub(super) fn projected_size(&self, index: usize, state_size: usize) -> usize {
        ((state_size as f64 / self.divisor.powi(index as i32 + 1)) as usize).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_cutoffs_fit_every_vocabulary() {
        let default = Clusters::default_for(10_000);
        assert_eq!(
            (default.cutoffs, default.divisor),
            (vec![2_000, 3_000, 4_500, 6_750], 1.5)
        );
        assert_eq!(Clusters::default_for(100).cutoffs, [25, 38, 57, 86]);
        assert_eq!(Clusters::default_for(1).cutoffs, [1]);
        let large = Clusters::default_for(800_000);
        assert_eq!(
            (large.cutoffs.len(), &large.cutoffs[7..10]),
            (69, &[34_173, 46_673, 59_173][..])
        );
        assert!(
            large
                .ranges(800_000)
                .iter()
                .all(|words| words.len() <= 15_000)
        );
        for vocab_size in (2..5_000).chain([800_000, 100_000_000]) {
            Clusters::default_for(vocab_size)
                .validate(vocab_size)
                .expect("it fits");
        }
    }

    #[test]
    fn clusters_are_ranges_with_decreasing_sizes() {
        let clusters = Clusters {
            cutoffs: vec![3, 5],
            divisor: 4.0,
        };
        assert_eq!(
            (clusters.head_words(), clusters.ranges(12)),
            (3, vec![3..5, 5..12])
        );
        assert_eq!(
            [0, 1, 2].map(|index| clusters.projected_size(index, 100)),
            [25, 6, 1]
        );
        assert_eq!(clusters.projected_size(1, 3), 1);
        assert_eq!(
            Clusters {
                divisor: 1.0,
                ..clusters.clone()
            }
            .projected_size(1, 7),
            7
        );
        assert_eq!(
            Clusters {
                divisor: 1.25,
                ..clusters
            }
            .projected_size(1, 256),
            163
        );
    }

    #[test]
    fn invalid_cutoffs_are_rejected() {
        let is_rejected = |cutoffs: &[usize], divisor| {
            Clusters {
                cutoffs: cutoffs.to_vec(),
                divisor,
            }
            .validate(12)
            .is_err()
        };
        assert!(!is_rejected(&[1, 2, 11], 1.0));
        for cutoffs in [&[][..], &[0], &[12], &[3, 3], &[5, 4]] {
            assert!(is_rejected(cutoffs, 4.0), "{cutoffs:?}");
        }
        for divisor in [0.0, 0.9, -4.0, f64::NAN, f64::INFINITY] {
            assert!(is_rejected(&[3], divisor), "{divisor}");
        }
        let many = |count| {
            Clusters {
                cutoffs: (1..=count).collect(),
                divisor: 2.0,
            }
            .validate(1_000)
        };
        assert!(many(MAX_CLUSTERS).is_ok() && many(MAX_CLUSTERS + 1).is_err());
    }
}
