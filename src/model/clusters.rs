//! The vocabulary in a head and clusters: runs of it, which is sorted by frequency, so that rare words cost little.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::config::list;
use crate::error::{Error, Result};

/// The most clusters.
pub(super) const MOST_CLUSTERS: usize = 28;

/// Ends of the head and of clusters where the user does not say: each cluster has several times the words of what is before it.
const USUAL: [usize; 4] = [2_000, 10_000, 50_000, 200_000];

/// How a vocabulary is cut, and how much less of the hidden state rare words see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clusters {
    /// The ends of the head and of every cluster but the last, which ends with the vocabulary.
    pub cutoffs: Vec<usize>,
    /// What the size of the state is divided by from one cluster to the next: PyTorch's `div_value`.
    pub divisor: usize,
}

impl Clusters {
    /// The divisor where the user does not say (Grave 2017).
    pub const USUAL_DIVISOR: usize = 4;

    /// The cutoffs where the user does not say: those of 2 000, 10 000, 50 000 and 200 000 that are at most half of the vocabulary's size, and
    /// for small vocabularies a quarter of it.
    pub fn usual(vocab_size: usize) -> Vec<usize> {
        let fitting: Vec<usize> = USUAL.into_iter().filter(|&end| end <= vocab_size / 2).collect();
        if fitting.is_empty() { vec![vocab_size.div_ceil(4)] } else { fitting }
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
                format!("the ends of the head and of the clusters must ascend from at least 1 to below the vocabulary's {vocab_size}"),
                format!("{} are usual for this vocabulary", list(&Self::usual(vocab_size))),
            ));
        }
        if self.cutoffs.len() > MOST_CLUSTERS {
            return Err(Error::usage(
                format!("--cutoffs {}", list(&self.cutoffs)),
                format!("there are {} of them, and at most {MOST_CLUSTERS} clusters", self.cutoffs.len()),
                "Leave some of them out",
            ));
        }
        if self.divisor == 0 {
            return Err(Error::usage("--tail-divisor 0", "it must be at least 1", "4 is the usual one"));
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
        self.cutoffs.iter().copied().zip(ends).map(|(begin, end)| begin..end).collect()
    }

    /// What cluster `number` sees of a state of `size` numbers: at least one.
    pub(super) fn size(&self, number: usize, size: usize) -> usize {
        (0..=number).fold(size, |size, _| size / self.divisor).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_cutoffs_are_those_of_the_help_text_and_fit_every_vocabulary() {
        assert_eq!(Clusters::usual(800_000), [2_000, 10_000, 50_000, 200_000]);
        assert_eq!(Clusters::usual(100_000), [2_000, 10_000, 50_000]);
        assert_eq!(Clusters::usual(10_000), [2_000]);
        assert_eq!(Clusters::usual(3_999), [1_000]);
        for vocab_size in 2..5_000 {
            Clusters { cutoffs: Clusters::usual(vocab_size), divisor: 4 }.validate(vocab_size).expect("it fits");
        }
    }

    #[test]
    fn clusters_are_runs_with_ever_smaller_states() {
        let clusters = Clusters { cutoffs: vec![3, 5], divisor: 4 };
        assert_eq!((clusters.head(), clusters.ranges(12)), (3, vec![3..5, 5..12]));
        assert_eq!([0, 1, 2].map(|number| clusters.size(number, 100)), [25, 6, 1]);
        assert_eq!(clusters.size(1, 3), 1);
        assert_eq!(Clusters { divisor: 1, ..clusters }.size(1, 7), 7);
    }

    #[test]
    fn cuts_that_cannot_be_are_refused() {
        let is_refused = |cutoffs: &[usize], divisor| Clusters { cutoffs: cutoffs.to_vec(), divisor }.validate(12).is_err();
        assert!(!is_refused(&[1, 2, 11], 1));
        for cutoffs in [&[][..], &[0], &[12], &[3, 3], &[5, 4]] {
            assert!(is_refused(cutoffs, 4), "{cutoffs:?}");
        }
        assert!(is_refused(&[3], 0));
        let many = |count| Clusters { cutoffs: (1..=count).collect(), divisor: 2 }.validate(1_000);
        assert!(many(MOST_CLUSTERS).is_ok() && many(MOST_CLUSTERS + 1).is_err());
    }
}
