//! The vocabulary in a head and clusters: runs of it, which is sorted by frequency, so that rare
//! words cost little.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::config::list;
use crate::error::{Error, Result};

/// The most clusters.
pub(super) const MOST_CLUSTERS: usize = 96;

/// Words of the head where the user does not say, but for small vocabularies.
const USUAL_HEAD: usize = 2_000;
/// By how much each cluster's end is then further than the one before, and by how much its words
/// see less of the state.
const USUAL_GROWTH: f64 = 1.5;
/// The most words of a cluster, or that share of a vocabulary that would have too many clusters.
/// What an occurrence of a word costs is in proportion to its cluster: on texts with many rare
/// words, clusters that each have a third of the vocabulary are several times slower.
const USUAL_WORDS: usize = 12_000;
const USUAL_SHARE: usize = 64;

/// How a vocabulary is cut, and how much less of the hidden state rare words see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clusters {
    /// The ends of the head and of every cluster but the last, which ends with the vocabulary.
    pub cutoffs: Vec<usize>,
    /// What the size of the state is divided by from one cluster to the next: PyTorch's
    /// `div_value`.
    pub divisor: f64,
}

impl Clusters {
    /// The divisor where the user says where to cut (Grave 2017).
    pub const USUAL_DIVISOR: f64 = 4.0;

    /// How a vocabulary is cut where the user does not say: the head has 2 000 words, or a quarter
    /// of a small vocabulary, and every cluster ends half further, but has at most 12 000 words, or
    /// a 64th of a vocabulary of more than 768 000. The state's size falls as ranks grow, so that
    /// clusters have about as many weights each.
    pub fn usual(vocab_size: usize) -> Self {
        let most = USUAL_WORDS.max(vocab_size.div_ceil(USUAL_SHARE));
        let mut end = USUAL_HEAD.min(vocab_size.div_ceil(4));
        let words =
            |begin: usize| ((begin as f64 * (USUAL_GROWTH - 1.0)).ceil() as usize).min(most);
        let mut cutoffs = vec![end];
        // What would be a small part of a cluster joins the one before.
        while end + words(end) + words(end) / 5 < vocab_size {
            end += words(end);
            cutoffs.push(end);
        }
        Self {
            cutoffs,
            divisor: USUAL_GROWTH,
        }
    }

    /// Checks that a vocabulary of this size can be cut so.
    ///
    /// # Errors
    /// If it cannot.
    pub(super) fn validate(&self, vocab_size: usize) -> Result<()> {
        let ascend = self.cutoffs.windows(2).all(|pair| pair[0] < pair[1]);
        let within = self.cutoffs.first() > Some(&0) && self.cutoffs.last() < Some(&vocab_size);
        if !ascend || !within {
            return Err(Error::usage(
                format!("--cutoffs {}", list(&self.cutoffs)),
                format!(
                    "the ends of the head and of the clusters must ascend from at least 1 to below \
                     the vocabulary's {vocab_size}"
                ),
                format!(
                    "{} are usual for this vocabulary",
                    list(&Self::usual(vocab_size).cutoffs)
                ),
            ));
        }
        if self.cutoffs.len() > MOST_CLUSTERS {
            return Err(Error::usage(
                format!("--cutoffs {}", list(&self.cutoffs)),
                format!(
                    "there are {} of them, and at most {MOST_CLUSTERS} clusters",
                    self.cutoffs.len()
                ),
                "Leave some of them out",
            ));
        }
        if !(self.divisor.is_finite() && self.divisor >= 1.0) {
            return Err(Error::usage(
                format!("--tail-divisor {}", self.divisor),
                "it must be a number from 1 on",
                "4 is the usual one",
            ));
        }
        Ok(())
    }

    /// Words of the head.
    pub(super) fn head(&self) -> usize {
        self.cutoffs.first().copied().unwrap_or(0)
    }

    /// Words of each cluster as numbers of the vocabulary.
    pub(super) fn ranges(&self, vocab_size: usize) -> Vec<Range<usize>> {
        let ends = self.cutoffs.iter().copied().skip(1).chain([vocab_size]);
        self.cutoffs
            .iter()
            .copied()
            .zip(ends)
            .map(|(begin, end)| begin..end)
            .collect()
    }

    /// What cluster `number` sees of a state of `size` numbers: at least one.
    pub(super) fn size(&self, number: usize, size: usize) -> usize {
        ((size as f64 / self.divisor.powi(number as i32 + 1)) as usize).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_cuts_fit_every_vocabulary() {
        let usual = Clusters::usual(10_000);
        assert_eq!(
            (usual.cutoffs, usual.divisor),
            (vec![2_000, 3_000, 4_500, 6_750], 1.5)
        );
        assert_eq!(Clusters::usual(100).cutoffs, [25, 38, 57, 86]);
        assert_eq!(Clusters::usual(1).cutoffs, [1]);
        let large = Clusters::usual(800_000);
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
            Clusters::usual(vocab_size)
                .validate(vocab_size)
                .expect("it fits");
        }
    }

    #[test]
    fn clusters_are_runs_with_ever_smaller_states() {
        let clusters = Clusters {
            cutoffs: vec![3, 5],
            divisor: 4.0,
        };
        assert_eq!(
            (clusters.head(), clusters.ranges(12)),
            (3, vec![3..5, 5..12])
        );
        assert_eq!(
            [0, 1, 2].map(|number| clusters.size(number, 100)),
            [25, 6, 1]
        );
        assert_eq!(clusters.size(1, 3), 1);
        assert_eq!(
            Clusters {
                divisor: 1.0,
                ..clusters.clone()
            }
            .size(1, 7),
            7
        );
        assert_eq!(
            Clusters {
                divisor: 1.25,
                ..clusters
            }
            .size(1, 256),
            163
        );
    }

    #[test]
    fn cuts_that_cannot_be_are_refused() {
        let is_refused = |cutoffs: &[usize], divisor| {
            Clusters {
                cutoffs: cutoffs.to_vec(),
                divisor,
            }
            .validate(12)
            .is_err()
        };
        assert!(!is_refused(&[1, 2, 11], 1.0));
        for cutoffs in [&[][..], &[0], &[12], &[3, 3], &[5, 4]] {
            assert!(is_refused(cutoffs, 4.0), "{cutoffs:?}");
        }
        for divisor in [0.0, 0.9, -4.0, f64::NAN, f64::INFINITY] {
            assert!(is_refused(&[3], divisor), "{divisor}");
        }
        let many = |count| {
            Clusters {
                cutoffs: (1..=count).collect(),
                divisor: 2.0,
            }
            .validate(1_000)
        };
        assert!(many(MOST_CLUSTERS).is_ok() && many(MOST_CLUSTERS + 1).is_err());
    }
}
